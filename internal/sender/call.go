package sender

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sluice/internal/gateway"
)

// call makes one request and says what came of it. The one question that
// matters when no answer comes is whether the request may have left: before a
// byte is written the provider surely doesn't have it, after that nobody knows.
// depart is asked when a connection is in hand, for getting one may take long;
// if it refuses, nothing is written and errNotMade returned. written is called
// once, when the request has been written or never will be. answer is what the
// provider said, if anything.
func (d *Desk) call(ctx context.Context, p Provider, c Call, depart func(context.Context) error, written func()) (result gateway.Result, answer *Answer, err error) {
	var left, barred, closed, reused atomic.Bool
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer written()
	defer func() {
		if v := recover(); v != nil {
			d.Log.ErrorContext(ctx, "a provider's code panicked", "message", c.Message.ID, "panic", defectName(v), "stack", string(debug.Stack()))
			result = defect("the provider's code panicked", left.Load())
		}
	}()

	var passed atomic.Pointer[time.Time]
	req, err := p.NewRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if depart(ctx) != nil {
				barred.Store(true)
				cancel()
				closed.Store(closeUnlessShared(info.Conn))
				return
			}
			now := time.Now()
			passed.Store(&now)
			reused.Store(info.Reused)
		},
		WroteHeaders: func() { left.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			written()
			if at := passed.Load(); at != nil {
				d.Pacer.Left(*at)
			}
		},
	}), c)
	if err != nil {
		if known, ok := errors.AsType[*gateway.Error](err); ok {
			return refusal(known), nil, nil
		}
		if v, ok := errors.AsType[*Verdict](err); ok {
			return v.Result, nil, nil
		}
		d.Log.ErrorContext(ctx, "a request couldn't be made", "message", c.Message.ID, "err", defectName(err))
		return defect("the request couldn't be made", false), nil, nil
	}
	resp, err := d.Client.Do(req)
	switch {
	case err != nil && barred.Load() && (closed.Load() || !left.Load()):
		return gateway.Result{}, nil, errNotMade
	case err != nil && reused.Load() && !left.Load() && ctx.Err() == nil:
		// The provider closed the idle connection while the call stood at the gate.
		// Nothing was written, and it says nothing about the provider.
		d.Client.CloseIdleConnections()
		return d.call(ctx, p, c, depart, written)
	case err != nil:
		return unanswered(err, left.Load()), nil, nil
	}
	defer resp.Body.Close()
	left.Store(true) // who answers was asked
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil && resp.StatusCode < http.StatusMultipleChoices {
		return unanswered(err, true), nil, nil // it said yes to something, but not what
	}
	answer = &Answer{Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(body)}
	return p.Interpret(*answer), answer, nil
}

// closeUnlessShared keeps a request from being written on a connection of its
// own. One that other requests share is left alone: there the end of the
// context is enough, but for a request whose first frame is just being written.
func closeUnlessShared(c net.Conn) (closed bool) {
	if t, ok := c.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol == "h2" || c == nil {
		return false
	}
	_ = c.Close() // nothing was written on it that could get lost
	return true
}

// recoveries is how often the provider's adapter may mend the cause of a
// refusal within one attempt.
const recoveries = 2

// recovered reports whether the call may be made again, at once. It departs as
// every other; once the desk is stopped none does.
func (d *Desk) recovered(ctx context.Context, p Provider, c Call, r gateway.Result, answer *Answer) (again bool) {
	defer func() {
		if v := recover(); v != nil {
			d.Log.ErrorContext(ctx, "a provider's code panicked", "message", c.Message.ID, "panic", defectName(v), "stack", string(debug.Stack()))
			again = false
		}
	}()
	recoverer, ok := p.(Recoverer)
	if !ok || answer == nil || r.Outcome == gateway.OutcomeAccepted || r.Outcome == gateway.OutcomeUnknown {
		return false
	}
	return d.working.Err() == nil && recoverer.Recover(ctx, c, *answer)
}

// refusal is the result of a request that the provider's adapter wouldn't make.
func refusal(e *gateway.Error) gateway.Result {
	switch e.Class {
	case gateway.ClassSuspended:
		return gateway.Result{Outcome: gateway.OutcomeSuspended, Scope: gateway.ScopeAccount, Error: e}
	case gateway.ClassTransient:
		return gateway.Result{Outcome: gateway.OutcomeTransient, Scope: gateway.ScopeAccount, Error: e}
	case gateway.ClassThrottled:
		return gateway.Result{Outcome: gateway.OutcomeThrottled, Scope: gateway.ScopeAccount, Error: e}
	default:
		return gateway.Result{Outcome: gateway.OutcomeRejected, Scope: gateway.ScopeMessage, Error: e}
	}
}

// defectName names what went wrong in our own code without repeating what a
// message or a secret may be part of: only the runtime's own words are known.
func defectName(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", v)
}

func defect(what string, left bool) gateway.Result {
	e := &gateway.Error{Class: gateway.ClassInternal, Code: "internal", Title: what}
	if left {
		return gateway.Result{Outcome: gateway.OutcomeUnknown, Scope: gateway.ScopeMessage, Error: e}
	}
	return gateway.Result{Outcome: gateway.OutcomeRejected, Scope: gateway.ScopeMessage, Error: e}
}

// unanswered classes a call that brought no complete answer. Texts of network
// errors hold addresses and are not shown.
func unanswered(err error, left bool) gateway.Result {
	code, title := networkCode(err)
	if left {
		return gateway.Result{
			Outcome: gateway.OutcomeUnknown, Scope: gateway.ScopeMessage,
			Error: &gateway.Error{Class: gateway.ClassUnknown, Code: "no_answer", Title: "the request was written and no clear answer came", Detail: title},
		}
	}
	return gateway.Result{
		Outcome: gateway.OutcomeTransient, Scope: gateway.ScopeAccount,
		Error: &gateway.Error{Class: gateway.ClassTransient, Code: code, Title: "the provider couldn't be reached", Detail: title},
	}
}

func networkCode(err error) (code, title string) {
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		rec  tls.RecordHeaderError
		host x509.HostnameError
		said tls.AlertError
		slow net.Error
	)
	switch {
	case errors.As(err, &dns):
		return "dns", "its name didn't resolve"
	case errors.As(err, &cert), errors.As(err, &rec), errors.As(err, &host), errors.As(err, &said):
		return "tls", "no secure connection came about"
	case errors.As(err, &slow) && slow.Timeout():
		return "timeout", "it took too long"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed", "the connection was closed"
	default:
		return "connect", "the connection failed"
	}
}
