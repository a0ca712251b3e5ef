package sender

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/gateway"
)

// These calls go through net/http's own transport: what the desk concludes from
// httptrace must hold there.
func TestCallsThroughTheRealTransport(t *testing.T) {
	read := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			h(w, r)
		}
	}
	ok := read(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "wamid.1") })
	for _, c := range []struct {
		name    string
		serve   http.HandlerFunc // nil: nobody listens
		secure  bool             // with a certificate that we don't trust
		timeout time.Duration
		want    gateway.Outcome
		code    string
	}{
		{name: "an answer is interpreted", serve: ok, want: gateway.OutcomeAccepted},
		{name: "a refused connection is transient", want: gateway.OutcomeTransient, code: "connect"},
		{name: "a failed handshake is transient", serve: ok, secure: true, want: gateway.OutcomeTransient, code: "tls"},
		{
			name:  "a connection that closes after the request was read is unknown",
			serve: read(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
			want:  gateway.OutcomeUnknown, code: "no_answer",
		},
		{
			name:    "silence after the request was read is unknown",
			serve:   read(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			timeout: 100 * time.Millisecond, want: gateway.OutcomeUnknown, code: "no_answer",
		},
		{
			name: "an answer that breaks off is unknown",
			serve: read(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "wamid")
			}),
			want: gateway.OutcomeUnknown, code: "no_answer",
		},
		{
			name: "a redirect is an answer",
			serve: read(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			}),
			want: gateway.OutcomeRejected, code: "307",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := unused(t)
			if c.serve != nil {
				server := httptest.NewUnstartedServer(c.serve)
				server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				if c.secure {
					server.StartTLS()
				} else {
					server.Start()
				}
				defer server.Close()
				url = server.URL
			}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			written := make(chan struct{}, 9)
			d := &Desk{Options: Options{Pacer: &fakePacer{}, Client: &http.Client{
				Transport:     transport,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}}}
			if c.timeout == 0 {
				c.timeout = time.Minute
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
			defer cancel()
			call := Call{Message: &gateway.Message{ID: "m", Recipient: recipient}}
			r, _, err := d.call(ctx, &fakeProvider{url: url}, call, func(context.Context) error { return nil }, func() { written <- struct{}{} })
			if err != nil {
				t.Fatal(err)
			}
			code := ""
			if r.Error != nil {
				code = r.Error.Code
			}
			if r.Outcome != c.want || code != c.code {
				t.Errorf("outcome is %s %q, want %s %q", r.Outcome, code, c.want, c.code)
			}
			if len(written) == 0 {
				t.Error("nobody was told that the request was written or never will be")
			}
		})
	}
}

// unused is an address where nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// TestBytesLeaveOnlyAfterTheLastLook proves on the real transport that a call
// which may not depart writes nothing, and that one which may departs when its
// connection is in hand and not before.
func TestBytesLeaveOnlyAfterTheLastLook(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var got atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			got.Add(1)
			_, _ = w.Write([]byte("wamid.1"))
		}))
		server.EnableHTTP2 = secure
		if secure {
			server.StartTLS()
		} else {
			server.Start()
		}
		d := &Desk{Options: Options{Pacer: &fakePacer{}, Client: server.Client(), Log: slog.New(slog.DiscardHandler)}}
		call := func(depart func(context.Context) error) error {
			_, _, err := d.call(t.Context(), &fakeProvider{url: server.URL}, Call{Message: &gateway.Message{ID: "m", Recipient: recipient}}, depart, func() {})
			return err
		}
		for range 3 { // on a new connection, and on one that is kept
			if err := call(func(context.Context) error { return errNotMade }); !errors.Is(err, errNotMade) && !secure {
				t.Errorf("refused to depart: %v", err)
			}
			before := got.Load()
			asked := false
			if err := call(func(context.Context) error {
				asked = true
				if got.Load() != before {
					t.Error("the request was there before it departed")
				}
				return nil
			}); err != nil || !asked {
				t.Errorf("departing: %v, asked %v", err, asked)
			}
		}
		if n := got.Load(); !secure && n != 3 || secure && n < 3 {
			t.Errorf("the server got %d requests, want 3", n)
		}
		server.Close()
	}
}

// A transport unpacks by itself what it asked to be packed.
func TestAnAnswerIsUnpackedNoFurtherThanItIsRead(t *testing.T) {
	const size = 64 << 20
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := io.CopyN(zip, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	d := &Desk{Options: Options{Pacer: &fakePacer{}, Client: &http.Client{Transport: transport}}}
	call := Call{Message: &gateway.Message{ID: "m", Recipient: recipient}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, answer, err := d.call(t.Context(), &fakeProvider{url: server.URL}, call, func(context.Context) error { return nil }, func() {})
	runtime.ReadMemStats(&after)
	if err != nil || answer == nil || len(answer.Body) != MaxAnswer {
		t.Fatalf("answer %v, %v", answer, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16*MaxAnswer {
		t.Errorf("%d bytes of memory for %d that are read", used, MaxAnswer)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
