package netguard

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"
)

// MaxRedirects is how many redirects a client follows.
const MaxRedirects = 3

// Client makes a client for links that others wrote. Every request, redirected
// ones too, is judged by CheckURL and again when its address is dialled. The
// timeout is for a request as a whole, its body included; zero means none.
// The caller closes idle connections when done with it.
func (g *Guard) Client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport:     g.Transport(nil),
		Timeout:       timeout,
		CheckRedirect: checkRedirect,
	}
}

// Transport is what the client stands on: no proxy, TLS 1.2 or later. Nil
// roots means the system's.
func (g *Guard) Transport(roots *x509.CertPool) http.RoundTripper {
	secure := newTransport(roots)
	secure.DialContext = g.dial(g.Control, ReasonAddress)
	plain := newTransport(nil)
	plain.DialContext = g.dial(g.controlInside, ReasonScheme)
	return &transport{guard: g, secure: secure, plain: plain}
}

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // a proxy would dial in our place, unguarded
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// transport keeps http and https apart: http may only lead inside.
type transport struct {
	guard         *Guard
	secure, plain *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.guard.checkURL(r.URL); err != nil {
		if r.Body != nil {
			r.Body.Close() // RoundTrip's contract
		}
		return nil, err
	}
	if r.URL.Scheme == "http" {
		return t.plain.RoundTrip(r)
	}
	return t.secure.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *transport) CloseIdleConnections() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	next.Header.Del("Referer") // the link before may hold a secret
	if len(via) > MaxRedirects {
		return &RefusedError{ReasonRedirects}
	}
	return nil
}
