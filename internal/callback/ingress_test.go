package callback

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/gateway"
)

const (
	legacy gateway.AccountID = "legacy"   // its callbacks are unsigned
	hosted gateway.AccountID = "hosted"   // trusts a network only
	absent gateway.AccountID = "absent-1" // not configured
)

var shopDialect = fakeDialect{secret: "app-secret", token: "verify-me"}

// fixture is an Ingress with three accounts and what stands around it.
type fixture struct {
	ingress  *Ingress
	store    *fakeStore
	registry *prometheus.Registry
	log      *bytes.Buffer
}

func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{store: &fakeStore{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	o := Options{
		Accounts: fakeAccounts{
			shop:   shopDialect,
			legacy: unsignedDialect{},
			hosted: networkDialect{network: netip.MustParsePrefix("192.0.2.0/24")}, // httptest's peer
		},
		Store: f.store,
		LinkSecret: func(id gateway.AccountID) [][]byte {
			if id == absent {
				return nil
			}
			return [][]byte{secretTwo, secretOne}
		},
		Provider: func(id gateway.AccountID) gateway.ProviderName {
			return map[gateway.AccountID]gateway.ProviderName{
				shop: gateway.WhatsAppCloud, legacy: gateway.SinchWhatsApp, hosted: gateway.WhatsAppOnPrem,
			}[id]
		},
		Metrics: NewMetrics(f.registry),
		Log:     slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if change != nil {
		change(&o)
	}
	f.ingress = NewIngress(o)
	return f
}

func (f *fixture) do(t *testing.T, method, target, body string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ingress.ServeHTTP(w, r)
	return w.Result()
}

func (f *fixture) ended(p gateway.ProviderName, res result) float64 {
	return testutil.ToFloat64(f.ingress.o.Metrics.callbacks.WithLabelValues(string(p), string(res)))
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func path(account gateway.AccountID) string { return "/callbacks/" + string(account) }

func linkPath(account gateway.AccountID, secret []byte, message gateway.MessageID, attempt int) string {
	return strings.TrimPrefix(NewLinks("http://x").For(account, secret, message, attempt), "http://x")
}

// tampered changes the first character of the mac at the path's end.
func tampered(path string) string {
	at := strings.LastIndex(path, "/") + 1
	other := "A"
	if path[at] == 'A' {
		other = "B"
	}
	return path[:at] + other + path[at+1:]
}

func TestChallenge(t *testing.T) {
	tests := []struct {
		name   string
		target string
		status int
		body   string
	}{
		{"the right token gets the challenge back raw", path(shop) + "?token=verify-me&challenge=1158201444", 200, "1158201444"},
		{"a challenge is neither quoted nor escaped", path(shop) + "?token=verify-me&challenge=%3Ca%22b%5Cc%3E", 200, `<a"b\c>`},
		{"another token is refused", path(shop) + "?token=verify-you&challenge=1", 403, ""},
		{"no token is refused", path(shop), 403, ""},
		{"an unknown account is refused alike", path(absent) + "?token=verify-me&challenge=1", 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			resp := f.do(t, http.MethodGet, tt.target, "")
			if resp.StatusCode != tt.status {
				t.Fatalf("status = %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status != http.StatusOK {
				wantProblem(t, resp)
				return
			}
			if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type = %q", got)
			}
			if got := text(t, resp); got != tt.body {
				t.Errorf("body = %q, want %q", got, tt.body)
			}
		})
	}
}

func wantProblem(t *testing.T, resp *http.Response) {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type = %q, want problem+json", got)
	}
	want := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d}`, http.StatusText(resp.StatusCode), resp.StatusCode)
	if got := text(t, resp); got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
}

func TestPost(t *testing.T) {
	legacyMessage := gateway.NewMessageID(legacy, may)
	legacyOther := gateway.NewMessageID(legacy, may)
	const delivered = `{"receipts":[{"id":"p-1","status":"delivered"}]}`
	sign := func(body string) []string { return []string{signatureHeader, shopDialect.sign([]byte(body))} }
	oneReceipt := func(account gateway.AccountID, m gateway.MessageID) []applied {
		return []applied{{account, gateway.Callback{Receipts: []gateway.Receipt{
			{Message: m, ProviderMessageID: "p-1", Status: gateway.StatusDelivered},
		}}}}
	}

	tests := []struct {
		name     string
		target   string
		body     string
		header   []string
		storeErr error
		provider gateway.ProviderName
		want     result
		status   int
		stored   []applied
	}{
		{
			name: "a signed receipt is stored and acknowledged", target: path(shop), body: delivered, header: sign(delivered),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, ""),
		},
		{
			name: "a byte changed after signing is refused", target: path(shop), body: delivered + " ", header: sign(delivered),
			provider: gateway.WhatsAppCloud, want: resultBadSignature, status: 401,
		},
		{
			name: "no signature is refused", target: path(shop), body: delivered,
			provider: gateway.WhatsAppCloud, want: resultBadSignature, status: 401,
		},
		{
			name: "a bad signature is refused before the body is looked at", target: path(shop), body: "not json",
			provider: gateway.WhatsAppCloud, want: resultBadSignature, status: 401,
		},
		{
			name: "an unknown account is refused as a bad signature is", target: path(absent), body: delivered, header: sign(delivered),
			provider: noProvider, want: resultUnknownAccount, status: 401,
		},
		{
			name: "an unsigned dialect is refused on the plain URL", target: path(legacy), body: delivered,
			provider: gateway.SinchWhatsApp, want: resultUnsigned, status: 401,
		},
		{
			name: "a caller inside the account's networks is let in", target: path(hosted), body: delivered,
			provider: gateway.WhatsAppOnPrem, want: resultStored, status: 200, stored: oneReceipt(hosted, ""),
		},
		{
			name: "what only halts the account is stored", target: path(shop), body: `{"halts":[30]}`, header: sign(`{"halts":[30]}`),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200,
			stored: []applied{{shop, gateway.Callback{Halts: []gateway.Halt{{For: 30 * time.Second, Outcome: gateway.OutcomeThrottled}}}}},
		},
		{
			name: "the URL of an attempt doesn't vouch for what halts the account", target: linkPath(legacy, secretOne, legacyMessage, 2),
			body: `{"halts":[30]}`, provider: gateway.SinchWhatsApp, want: resultIgnored, status: 200,
		},
		{
			name: "unknown keys are acknowledged and nothing is stored", target: path(shop), body: `{"news":[1]}`, header: sign(`{"news":[1]}`),
			provider: gateway.WhatsAppCloud, want: resultIgnored, status: 200,
		},
		{
			name: "an authentic body that isn't JSON is not asked for again", target: path(shop), body: `{"receipts":`, header: sign(`{"receipts":`),
			provider: gateway.WhatsAppCloud, want: resultNotJSON, status: 400,
		},
		{
			name: "an authentic empty body isn't JSON either", target: path(shop), body: "", header: sign(""),
			provider: gateway.WhatsAppCloud, want: resultNotJSON, status: 400,
		},
		{
			name: "JSON of an unknown shape is asked for again", target: path(shop), body: `{"receipts":{}}`, header: sign(`{"receipts":{}}`),
			provider: gateway.WhatsAppCloud, want: resultUnreadable, status: 503,
		},
		{
			name: "what could be read beside an unknown shape is stored at once", target: path(shop),
			body:     `{"receipts":[7,{"id":"p-1","status":"delivered"}]}`,
			header:   sign(`{"receipts":[7,{"id":"p-1","status":"delivered"}]}`),
			provider: gateway.WhatsAppCloud, want: resultUnreadable, status: 503, stored: oneReceipt(shop, ""),
		},
		{
			name: "a store that doesn't confirm makes the provider repeat", target: path(shop), body: delivered, header: sign(delivered),
			storeErr: fmt.Errorf("apply: %w", gateway.ErrUnavailable),
			provider: gateway.WhatsAppCloud, want: resultUnavailable, status: 503,
		},
		{
			name: "any other failure of the store does too", target: path(shop), body: delivered, header: sign(delivered),
			storeErr: errors.New("script failed"),
			provider: gateway.WhatsAppCloud, want: resultUnavailable, status: 503,
		},
		{
			name: "correlation data of the account is kept", target: path(shop),
			body:     `{"receipts":[{"message":"` + string(message) + `","id":"p-1","status":"delivered"}]}`,
			header:   sign(`{"receipts":[{"message":"` + string(message) + `","id":"p-1","status":"delivered"}]}`),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, message),
		},
		{
			name: "correlation data of another account is taken away", target: path(shop),
			body:     `{"receipts":[{"message":"` + string(foreign) + `","id":"p-1","status":"delivered"}]}`,
			header:   sign(`{"receipts":[{"message":"` + string(foreign) + `","id":"p-1","status":"delivered"}]}`),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, ""),
		},
		{
			name: "correlation data that isn't ours is taken away", target: path(shop),
			body:     `{"receipts":[{"message":"order-4711","id":"p-1","status":"delivered"},{"message":"x","status":"read"}]}`,
			header:   sign(`{"receipts":[{"message":"order-4711","id":"p-1","status":"delivered"},{"message":"x","status":"read"}]}`),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, ""),
		},

		{
			name: "the URL of an attempt names the message of an unsigned receipt", target: linkPath(legacy, secretOne, legacyMessage, 2), body: delivered,
			provider: gateway.SinchWhatsApp, want: resultStored, status: 200, stored: oneReceipt(legacy, legacyMessage),
		},
		{
			name: "a URL made with the newer secret is valid too", target: linkPath(legacy, secretTwo, legacyMessage, 2), body: delivered,
			provider: gateway.SinchWhatsApp, want: resultStored, status: 200, stored: oneReceipt(legacy, legacyMessage),
		},
		{
			name: "a URL made with a secret no longer known is refused", target: linkPath(legacy, []byte("retired"), legacyMessage, 2), body: delivered,
			provider: gateway.SinchWhatsApp, want: resultBadLink, status: 401,
		},
		{
			name: "a tampered mac is refused", target: tampered(linkPath(legacy, secretOne, legacyMessage, 2)), body: delivered,
			provider: gateway.SinchWhatsApp, want: resultBadLink, status: 401,
		},
		{
			name:     "the mac of another attempt is refused",
			target:   path(legacy) + "/" + string(legacyMessage) + "/3/" + linkMAC(legacy, secretOne, legacyMessage, 2),
			body:     delivered,
			provider: gateway.SinchWhatsApp, want: resultBadLink, status: 401,
		},
		{
			name:     "the mac of another message is refused",
			target:   path(legacy) + "/" + string(legacyOther) + "/2/" + linkMAC(legacy, secretOne, legacyMessage, 2),
			body:     delivered,
			provider: gateway.SinchWhatsApp, want: resultBadLink, status: 401,
		},
		{
			name:     "the URL of another account is refused, though both share a secret",
			target:   path(shop) + "/" + string(legacyMessage) + "/2/" + linkMAC(legacy, secretOne, legacyMessage, 2),
			body:     delivered,
			provider: gateway.WhatsAppCloud, want: resultBadLink, status: 401,
		},
		{
			name:   "the URL of an account that doesn't exist is refused alike",
			target: linkPath(absent, secretOne, gateway.NewMessageID(absent, may), 1), body: delivered,
			provider: noProvider, want: resultBadLink, status: 401,
		},
		{
			name: "an unsigned receipt of another message than the URL's is refused", target: linkPath(legacy, secretOne, legacyMessage, 2),
			body:     `{"receipts":[{"message":"` + string(legacyOther) + `","id":"p-1","status":"delivered"}]}`,
			provider: gateway.SinchWhatsApp, want: resultOtherMessage, status: 401,
		},
		{
			name: "a signed dialect needs its signature on the URL of an attempt as well", target: linkPath(shop, secretOne, message, 1), body: delivered,
			provider: gateway.WhatsAppCloud, want: resultBadSignature, status: 401,
		},
		{
			name: "with it, the URL names the message", target: linkPath(shop, secretOne, message, 1), body: delivered, header: sign(delivered),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, message),
		},
		{
			name: "a signed receipt that names its message keeps it", target: linkPath(shop, secretOne, message, 1),
			body:     `{"receipts":[{"message":"` + string(another) + `","id":"p-1","status":"delivered"}]}`,
			header:   sign(`{"receipts":[{"message":"` + string(another) + `","id":"p-1","status":"delivered"}]}`),
			provider: gateway.WhatsAppCloud, want: resultStored, status: 200, stored: oneReceipt(shop, another),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.store.err = tt.storeErr
			resp := f.do(t, http.MethodPost, tt.target, tt.body, tt.header...)
			if resp.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, tt.status)
			}
			if diff := cmp.Diff(tt.stored, f.store.got()); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			if got := f.ended(tt.provider, tt.want); got != 1 {
				t.Errorf("counted %v of %s/%s, want 1", got, tt.provider, tt.want)
			}
			if tt.status == http.StatusOK {
				if f.log.Len() != 0 {
					t.Errorf("an accepted callback was logged: %s", f.log)
				}
				return
			}
			wantProblem(t, resp)
			if got := resp.Header.Get("Retry-After"); (got != "") != (tt.status == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After = %q with status %d", got, tt.status)
			}
			if lines := strings.Count(f.log.String(), "\n"); lines != 1 || !strings.Contains(f.log.String(), `"reason":"`+string(tt.want)+`"`) {
				t.Errorf("want one line that gives the reason %s, got:\n%s", tt.want, f.log)
			}
		})
	}
}

func TestPeerOutsideTheNetworksIsRefused(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.Peer = func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.7") }
	})
	if resp := f.do(t, http.MethodPost, path(hosted), `{"receipts":[{"id":"p-1","status":"sent"}]}`); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status = %d, want 401", resp.StatusCode)
	}
	if got := f.ended(gateway.WhatsAppOnPrem, resultPeerRefused); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}

func TestConnectionPeer(t *testing.T) {
	tests := []struct {
		name, remote string
		want         netip.Addr
	}{
		{"IPv4", "192.0.2.1:1234", netip.MustParseAddr("192.0.2.1")},
		{"IPv4 on a socket for both", "[::ffff:192.0.2.1]:1234", netip.MustParseAddr("192.0.2.1")},
		{"IPv6", "[2001:db8::1]:1234", netip.MustParseAddr("2001:db8::1")},
		{"a Unix socket has none", "@", netip.Addr{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := connectionPeer(&http.Request{RemoteAddr: tt.remote}); got != tt.want {
				t.Errorf("connectionPeer = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRouting(t *testing.T) {
	tests := []struct {
		name, method, target string
		status               int
		allow                string
	}{
		{"PUT on the plain URL", http.MethodPut, path(shop), 405, "GET, HEAD, POST"},
		{"DELETE on the plain URL", http.MethodDelete, path(shop), 405, "GET, HEAD, POST"},
		{"GET on the URL of an attempt", http.MethodGet, linkPath(shop, secretOne, message, 1), 405, "POST"},
		{"no account", http.MethodPost, "/callbacks/", 404, ""},
		{"half of an attempt's URL", http.MethodPost, path(shop) + "/" + string(message), 404, ""},
		{"more than an attempt's URL", http.MethodPost, linkPath(shop, secretOne, message, 1) + "/x", 404, ""},
		{"another path", http.MethodGet, "/", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := newFixture(t, nil).do(t, tt.method, tt.target, "")
			if resp.StatusCode != tt.status || resp.Header.Get("Allow") != tt.allow {
				t.Errorf("status, Allow = %d, %q; want %d, %q", resp.StatusCode, resp.Header.Get("Allow"), tt.status, tt.allow)
			}
			wantProblem(t, resp)
		})
	}
}

func TestBodySize(t *testing.T) {
	body := func(size int) string {
		const head, tail = `{"news":"`, `"}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	tests := []struct {
		name    string
		target  string
		size    int
		chunked bool // no Content-Length
		status  int
	}{
		{"3 MiB are taken", path(shop), 3 << 20, false, 200},
		{"the very limit is taken", path(shop), MaxBody, true, 200},
		{"a byte more is refused", path(shop), MaxBody + 1, true, 413},
		{"a byte more is refused by its announced length", path(shop), MaxBody + 1, false, 413},
		{"an unknown account's is refused alike", path(absent), MaxBody + 1, true, 413},
		{"on the URL of an attempt too", linkPath(shop, secretOne, message, 1), MaxBody + 1, true, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			raw := body(tt.size)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.target, strings.NewReader(raw))
			if tt.chunked {
				r.ContentLength = -1
			}
			r.Header.Set(signatureHeader, shopDialect.sign([]byte(raw)))
			w := httptest.NewRecorder()
			f.ingress.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
		})
	}
}

// What is signed is what arrived: nothing is unpacked, whoever packed it.
func TestAPackedBodyIsNotUnpacked(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(`{"receipts":[{"id":"p-1","status":"read"}]}`))
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, nil)
	resp := f.do(t, http.MethodPost, path(shop), packed.String(),
		signatureHeader, shopDialect.sign(packed.Bytes()), "Content-Encoding", "gzip", "Content-Type", "application/json")
	if resp.StatusCode != http.StatusBadRequest || len(f.store.got()) > 0 {
		t.Errorf("status %d, stored %v", resp.StatusCode, f.store.got())
	}
}

func TestThousandReceiptsInOneBody(t *testing.T) {
	f := newFixture(t, nil)
	var b strings.Builder
	var want []gateway.Receipt
	for i := range 1000 {
		id := fmt.Sprintf("p-%d", i)
		fmt.Fprintf(&b, `,{"id":%q,"status":"read"}`, id)
		want = append(want, gateway.Receipt{ProviderMessageID: gateway.ProviderMessageID(id), Status: gateway.StatusRead})
	}
	body := `{"receipts":[` + b.String()[1:] + `],"inbound":[{"from":"+46732001122","text":"STOP"}]}`
	resp := f.do(t, http.MethodPost, path(shop), body, signatureHeader, shopDialect.sign([]byte(body)))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status = %d, want 200", resp.StatusCode)
	}
	heard := []gateway.Inbound{{From: "+46732001122", Consent: gateway.ConsentStop}} // the words are forgotten
	if diff := cmp.Diff([]applied{{shop, gateway.Callback{Receipts: want, Inbound: heard}}}, f.store.got()); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(f.ingress.o.Metrics.receipts.WithLabelValues("whatsapp-cloud", "read")); got != 1000 {
		t.Errorf("counted %v receipts, want 1000", got)
	}
}

func TestStoreThatHangsIsCutOff(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.StoreTimeout = 20 * time.Millisecond })
	f.store.hang = true
	body := `{"receipts":[{"id":"p-1","status":"sent"}]}`
	resp := f.do(t, http.MethodPost, path(shop), body, signatureHeader, shopDialect.sign([]byte(body)))
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status = %d, want 503", resp.StatusCode)
	}
}

// serve runs the fixture behind a real connection.
func (f *fixture) serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(f.ingress)
	t.Cleanup(srv.Close)
	return srv
}

func TestSlowBodyIsCutOff(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BodyTimeout = 50 * time.Millisecond })
	srv := f.serve(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// Ten bytes are announced, four come.
	if _, err := io.WriteString(conn, "POST "+path(shop)+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"a\""); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // ends because the server closes
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 503 ") {
		t.Errorf("answer = %q, want 503", answer)
	}
	if got := f.ended(gateway.WhatsAppCloud, resultIncomplete); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}

// slowStore outlasts the body's timeout, and fails if the request is cut off
// meanwhile.
type slowStore struct{ takes time.Duration }

func (s slowStore) Apply(ctx context.Context, _ gateway.AccountID, _ gateway.Callback) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.takes):
		return nil
	}
}

func TestBodyTimeoutEndsWithTheBody(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.BodyTimeout = 50 * time.Millisecond
		o.Store = slowStore{takes: 200 * time.Millisecond}
	})
	srv := f.serve(t)
	body := `{"receipts":[{"id":"p-1","status":"sent"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path(shop), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(signatureHeader, shopDialect.sign([]byte(body)))
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status = %d, want 200", resp.StatusCode)
	}
}

func TestLogHoldsNothingOfTheRequestButTheAccount(t *testing.T) {
	f := newFixture(t, nil)
	body := `{"receipts":[{"part":46732001122}],"inbound":[{"from":"+46732001122","text":"secret words"}]}`
	f.do(t, http.MethodPost, path(shop)+"?token=query-token", body, signatureHeader, shopDialect.sign([]byte(body)))
	f.do(t, http.MethodPost, path(shop)+"?token=query-token", body, signatureHeader, "given-signature")
	f.do(t, http.MethodGet, path(shop)+"?token=query-token", "")
	f.do(t, http.MethodPost, "/callbacks/46732001122%0Ainjected", body)
	for _, private := range []string{"46732001122", "secret words", "query-token", "given-signature", "injected", "app-secret"} {
		if strings.Contains(f.log.String(), private) {
			t.Errorf("the log holds %q:\n%s", private, f.log)
		}
	}
	if got := strings.Count(f.log.String(), "\n"); got != 4 {
		t.Errorf("%d lines, want one for each refusal:\n%s", got, f.log)
	}
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	if got, want := testutil.CollectAndCount(m.callbacks), (len(gateway.ProviderNames())+1)*len(results()); got != want {
		t.Errorf("%d series of callbacks, want %d", got, want)
	}
	if got, want := testutil.CollectAndCount(m.receipts), (len(gateway.ProviderNames())+1)*len(receiptStatuses()); got != want {
		t.Errorf("%d series of receipts, want %d", got, want)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	m.stored(gateway.WhatsAppCloud, []gateway.Receipt{{Status: "invented"}})
	if got, want := testutil.CollectAndCount(m.receipts), (len(gateway.ProviderNames())+1)*len(receiptStatuses()); got != want {
		t.Errorf("an invented status made a series: %d, want %d", got, want)
	}
}

func TestForeignReceiptsAreCounted(t *testing.T) {
	f := newFixture(t, nil)
	body := `{"receipts":[{"message":"` + string(foreign) + `","id":"p-1","status":"delivered"}]}`
	f.do(t, http.MethodPost, path(shop), body, signatureHeader, shopDialect.sign([]byte(body)))
	if got := testutil.ToFloat64(f.ingress.o.Metrics.foreign.WithLabelValues("whatsapp-cloud")); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}

// FuzzIngress: no path and body make it panic, answer beyond its statuses or
// store anything unauthenticated.
func FuzzIngress(f *testing.F) {
	f.Add("shop-eu", `{"receipts":[{"id":"p-1","status":"sent"}]}`)
	f.Add("legacy/x/1/y", `{}`)
	f.Add("../ops", "")
	f.Add("shop-eu/"+string(message)+"/1/"+linkMAC(shop, secretTwo, message, 1), "[]")
	f.Fuzz(func(t *testing.T, tail, body string) {
		fix := newFixture(t, func(o *Options) {
			o.Accounts = fakeAccounts{shop: shopDialect, legacy: unsignedDialect{}}
			o.LinkSecret = func(gateway.AccountID) [][]byte { return [][]byte{[]byte("not in the corpus")} }
		})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/callbacks/", strings.NewReader(body))
		r.URL.Path = "/callbacks/" + tail
		w := httptest.NewRecorder()
		fix.ingress.ServeHTTP(w, r)
		switch w.Code {
		case 301, 307, 308, 401, 404, 413:
		default:
			t.Fatalf("status %d for %q", w.Code, r.URL.Path)
		}
		if got := fix.store.got(); len(got) != 0 {
			t.Fatalf("stored %v", got)
		}
	})
}

func TestBodiesBeyondTheRoomForThemAreTurnedAway(t *testing.T) {
	f := newFixture(t, func(*Options) {})
	taken := 0
	for f.ingress.room.TryAcquire(MaxBody) {
		taken++
	}
	body := `{"receipts":[{"id":"p","status":"read"}]}`
	post := func() *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path(shop), strings.NewReader(body))
		r.ContentLength = -1
		w := httptest.NewRecorder()
		f.ingress.ServeHTTP(w, r)
		return w.Result()
	}
	if resp := post(); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("with %d bodies under way: %d", taken, resp.StatusCode)
	}
	f.ingress.room.Release(MaxBody)
	if resp := post(); resp.StatusCode == http.StatusServiceUnavailable {
		t.Error("turned away though there is room")
	}
	if !f.ingress.room.TryAcquire(MaxBody) {
		t.Error("the room isn't given back")
	}
}
