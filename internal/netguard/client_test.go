package netguard

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server on 127.0.0.1 that answers "ok" and counts requests.
func serve(t *testing.T) (port string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port(), requests
}

// client makes a client that leaves nothing behind.
func client(t *testing.T, g *Guard) *http.Client {
	t.Helper()
	c := g.Client(5 * time.Second)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, link string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestClientReachesWhatIsListed(t *testing.T) {
	port, _ := serve(t)
	for _, tc := range []struct{ name, allow, host string }{
		{"by address", "127.0.0.1", "127.0.0.1"},
		{"by network", "127.0.0.0/8", "127.0.0.1"},
		{"a name in a listed network", "127.0.0.0/8", "localhost"},
		{"by name, wherever it leads", "localhost", "localhost"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := get(t, client(t, guard(t, tc.allow)), "http://"+tc.host+":"+port)
			if err != nil || got != "ok" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestANameIsJudgedByWhatItResolvesTo(t *testing.T) {
	port, requests := serve(t)
	for _, tc := range []struct {
		name, allow, link string
		want              Reason
	}{
		{"https name of loopback", "10.0.0.0/8", "https://localhost:" + port, ReasonAddress},
		{"http name of loopback", "10.0.0.0/8", "http://localhost:" + port, ReasonScheme},
		{"http address of loopback", "10.0.0.0/8", "http://127.0.0.1:" + port, ReasonAddress},
		{"http name without networks", "media.internal", "http://localhost:" + port, ReasonScheme},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := get(t, client(t, guard(t, tc.allow)), tc.link)
			if got := reason(t, err); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if strings.Contains(tc.link, "localhost") && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "::1")) {
				t.Errorf("the error tells the address: %v", err)
			}
		})
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestPublicAddressesAreNotDialledByHTTP(t *testing.T) {
	g := guard(t, "10.0.0.0/8")
	if got := reason(t, g.controlInside("tcp", "8.8.8.8:80", nil)); got != ReasonAddress {
		t.Errorf("got %q", got)
	}
	if err := g.controlInside("tcp", "10.1.1.1:80", nil); err != nil {
		t.Error(err)
	}
}

func TestEveryRedirectIsJudged(t *testing.T) {
	private, requests := serve(t)
	for _, tc := range []struct {
		name, to string
		want     Reason
	}{
		{"to a private address", "https://10.0.0.1/", ReasonAddress},
		{"to the metadata service", "http://169.254.169.254/latest", ReasonAddress},
		{"to a name of loopback", "https://localhost:" + private, ReasonAddress},
		{"to http outside", "http://cdn.example.com/", ReasonScheme},
		{"to another scheme", "ftp://cdn.example.com/", ReasonURL},
		{"to credentials", "https://a:b@cdn.example.com/", ReasonURL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.RedirectHandler(tc.to, http.StatusFound))
			defer s.Close()
			// The redirecting server is allowed by name only, so that its own
			// address stays private to everything else.
			u := strings.Replace(s.URL, "127.0.0.1", "entry.test", 1)
			g := guard(t, "entry.test")
			c := client(t, g)
			redirectDials(c, "entry.test", s.Listener.Addr())
			_, err := get(t, c, u)
			if got := reason(t, err); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests arrived inside", n)
	}
}

func TestThreeRedirectsAreFollowedAndAFourthIsNot(t *testing.T) {
	for hops, want := range map[int]Reason{3: "", 4: ReasonRedirects} {
		var referer atomic.Value
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := len(strings.Trim(r.URL.Path, "/"))
			if n == hops {
				referer.Store(r.Referer())
				return
			}
			http.Redirect(w, r, "/"+strings.Repeat("x", n+1)+"?secret=1", http.StatusFound)
		}))
		_, err := get(t, client(t, guard(t, "127.0.0.1")), s.URL+"/?secret=1")
		if got := reason(t, err); got != want {
			t.Errorf("%d redirects: got %q, want %q", hops, got, want)
		}
		if got, _ := referer.Load().(string); got != "" {
			t.Errorf("the link before was told on: %q", got)
		}
		s.Close()
	}
}

func TestClientRefusesOldTLSAndIgnoresProxies(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		s.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		c := client(t, guard(t, "127.0.0.1"))
		c.CloseIdleConnections()
		c.Transport = guard(t, "127.0.0.1").Transport(roots)
		_, err := get(t, c, s.URL)
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		c.CloseIdleConnections()
		s.Close()
	}
}

func TestOtherDialErrorsStayWhatTheyAre(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = get(t, client(t, guard(t, "127.0.0.1")), "http://"+l.Addr().String())
	if err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a closed port is %v", err)
	}
	_, err = get(t, client(t, guard(t, "nothing.invalid")), "http://nothing.invalid/")
	if _, ok := errors.AsType[*net.DNSError](err); !ok {
		t.Errorf("a name that is none is %v", err)
	}
}

// redirectDials sends dials for a host that DNS doesn't know to a server, the
// way an entry of DNS would.
func redirectDials(c *http.Client, host string, to net.Addr) {
	tr := c.Transport.(*transport)
	guarded := tr.plain.DialContext
	tr.plain.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if h, _, _ := net.SplitHostPort(address); h == host {
			return (&net.Dialer{}).DialContext(ctx, network, to.String())
		}
		return guarded(ctx, network, address)
	}
}

// nameServer answers every question for an A record with the addresses, in this
// order, and all others with nothing.
func nameServer(addresses ...string) *net.Resolver {
	answer := func(question []byte) []byte {
		end := 12 + bytes.IndexByte(question[12:], 0) + 1 + 4 // header, name, type and class
		reply := slices.Clone(question[:end])
		reply[2], reply[3] = 0x81, 0x80 // an answer, to who wanted and got recursion
		clear(reply[6:12])
		if question[end-3] != 1 { // not A
			return reply
		}
		reply[7] = byte(len(addresses))
		for _, a := range addresses {
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name again, A, IN, no TTL
			reply = append(reply, netip.MustParseAddr(a).AsSlice()...)
		}
		return reply
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			length := make([]byte, 2)
			if _, err := io.ReadFull(theirs, length); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(length))
			if _, err := io.ReadFull(theirs, question); err != nil {
				return
			}
			reply := answer(question)
			_, _ = theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}()
		return ours, nil
	}}
}

// Every address of a name is judged by itself: those inside aren't dialled,
// whatever else the name resolves to.
func TestANameThatLeadsInsideAndOutsideDoesNotLeadInside(t *testing.T) {
	port, requests := serve(t)
	errPublic := errors.New("dialled, if this were no test")
	for _, addresses := range [][]string{
		{"127.0.0.1", "8.8.8.8"},
		{"8.8.8.8", "127.0.0.1"},
		{"10.0.0.1", "127.0.0.1", "8.8.8.8", "169.254.169.254"},
	} {
		t.Run(strings.Join(addresses, " "), func(t *testing.T) {
			g := guard(t)
			g.resolver = nameServer(addresses...)
			var outside []string
			dial := g.dial(func(network, address string, c syscall.RawConn) error {
				if err := g.Control(network, address, c); err != nil {
					return err
				}
				outside = append(outside, address)
				return errPublic
			}, ReasonAddress)
			conn, err := dial(t.Context(), "tcp", "both.example:"+port)
			if err == nil {
				_ = conn.Close()
				t.Fatal("connected")
			}
			if strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "10.0.0.1") {
				t.Errorf("the error tells an address inside: %v", err)
			}
			if want := []string{"8.8.8.8:" + port}; !slices.Equal(outside, want) {
				t.Errorf("let through: %v, want %v", outside, want)
			}
		})
	}
	t.Run("a second answer that differs from the first", func(t *testing.T) {
		g := guard(t)
		g.resolver = nameServer("127.0.0.1") // when it was asked before, it may have said 8.8.8.8
		c := client(t, g)
		_, err := get(t, c, "https://rebinds.example:"+port)
		if got := reason(t, err); got != ReasonAddress {
			t.Errorf("got %q", got)
		}
	})
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests arrived inside", n)
	}
}
