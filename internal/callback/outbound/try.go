package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// maxAnswer is how much of an answer is read, so that its connection can be
// used again. What it says is of no interest.
const maxAnswer = 64 << 10

// answer is what came of one call. Text of network errors is not kept: it holds
// the URL.
type answer struct {
	status int            // zero: none came
	fault  string         // one of a closed set, if none came
	after  time.Duration  // the receiver asked to wait so long
	void   *gateway.Error // no call can ever be made
}

func (a answer) confirmed() bool { return a.status >= 200 && a.status < 300 }

// busy reports whether the receiver as a whole seems unable to answer now. Any
// other answer, a bad one too, shows that it is there.
func (a answer) busy() bool {
	switch a.status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// String says what came without saying whence.
func (a answer) String() string {
	if a.status != 0 {
		return "HTTP " + strconv.Itoa(a.status)
	}
	return a.fault
}

// receiverOf names who is called: host and port in one form. Empty: the URL is
// none that can be called.
func receiverOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	switch {
	case host == "" || u.Scheme != "http" && u.Scheme != "https":
		return ""
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	return net.JoinHostPort(host, port)
}

// try makes one call.
func (c *Courier) try(ctx context.Context, n *gateway.Notice) answer {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	body, err := encode(n)
	if err != nil {
		return answer{void: &gateway.Error{Class: gateway.ClassInternal, Code: "internal", Title: "the callback couldn't be written"}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(body))
	if err != nil {
		return answer{void: errURL()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	setHeaders(req.Header, noticeID(n), time.Now(), body, c.o.Secrets())

	resp, err := c.client.Do(req)
	if err != nil {
		if c.o.Refused(err) {
			return answer{void: &gateway.Error{
				Class: gateway.ClassPermanent, Code: CodeRefused, Title: "the callback URL leads where nothing may be called",
			}}
		}
		return answer{fault: faultOf(err)}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // the status has said it all
	a := answer{status: resp.StatusCode}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		a.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return a
}

// retryAfter reads the header's two forms (RFC 9110, 10.2.3), up to maxWait.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if v != "" && strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.Atoi(v)
		if err != nil || seconds > int(maxWait/time.Second) {
			return maxWait // a number too large to tell is a long time
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxWait)
}

func faultOf(err error) string {
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
		return "its name didn't resolve"
	case errors.As(err, &cert), errors.As(err, &rec), errors.As(err, &host), errors.As(err, &said):
		return "no secure connection came about"
	case errors.As(err, &slow) && slow.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	default:
		return "the connection failed"
	}
}

// Codes of the errors that notices are dropped with.
const (
	CodeURL         = "callback_url"         // its URL is none
	CodeRefused     = "callback_refused"     // its URL leads where nothing may be called
	CodeGone        = "callback_gone"        // the receiver answered 410
	CodeUnconfirmed = "callback_unconfirmed" // a day has passed
)

func errURL() *gateway.Error {
	return &gateway.Error{Class: gateway.ClassPermanent, Code: CodeURL, Title: "the callback URL is none that can be called"}
}

func errGone() *gateway.Error {
	return &gateway.Error{Class: gateway.ClassPermanent, Code: CodeGone, Title: "the receiver wants no more callbacks", Detail: "HTTP 410"}
}

// errUnconfirmed says what came last.
func errUnconfirmed(last string) *gateway.Error {
	return &gateway.Error{Class: gateway.ClassTransient, Code: CodeUnconfirmed, Title: "the callback wasn't confirmed within a day", Detail: last}
}
