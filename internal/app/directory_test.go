package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/api"
	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/sender"
)

func directory(t *testing.T, text string) *Directory {
	t.Helper()
	d, err := NewDirectory(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const twoAccounts = `
api: {public_url: "https://sluice.example", keys: [KEY, {name: orders, hash: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", accounts: [b], scopes: [send]}]}
defaults: {rate: 7, unknown_grace: 5s, retention: {content: 1h, record: 2h, dead_letter: 3h}}
accounts:
  - {id: b, provider: sinch-whatsapp, region: eu1, bot_id: bot, token: token}
  - {id: a, provider: whatsapp-cloud, phone_number_id: "1", access_token: t, app_secret: s, rate: 80}
`

func TestDirectoryAnswersFromTheConfiguration(t *testing.T) {
	d := directory(t, twoAccounts)
	if diff := cmp.Diff([]gateway.AccountID{"a", "b"}, d.Accounts()); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	a, ok := d.Account("a")
	if !ok || a.Rate != 80 || a.Provider != gateway.WhatsAppCloud || d.Provider("b") != gateway.SinchWhatsApp {
		t.Errorf("a is %+v, b's provider %s", a, d.Provider("b"))
	}
	for name, want := range map[string]api.Key{
		key: {Name: "tests", All: true, Send: true, Read: true, Operate: true},
		"":  {Name: "orders", Accounts: []gateway.AccountID{"b"}, Send: true},
	} {
		got, ok := d.Key(sha256.Sum256([]byte(name)))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("key %s (-want +got):\n%s", want.Name, diff)
		}
	}
	if _, ok := d.Key([32]byte{}); ok {
		t.Error("a key of zeros is known")
	}
	// Without a callback secret the token signs per-message URLs.
	if got := d.LinkSecrets("b"); len(got) != 1 || string(got[0]) != "token" {
		t.Error("b's links aren't signed with its token")
	}
	if got := d.LinkSecrets("a"); got != nil {
		t.Error("a has secrets for links that its provider doesn't call")
	}
}

func TestAnAccountThatNobodyKnowsHasTheDefaults(t *testing.T) {
	d := directory(t, twoAccounts)
	const left = gateway.AccountID("left")
	if _, ok := d.Account(left); ok {
		t.Error("it is known")
	}
	if want := (gateway.Retention{Content: time.Hour, Record: 2 * time.Hour, DeadLetter: 3 * time.Hour}); d.retention(left) != want {
		t.Errorf("retention = %+v", d.retention(left))
	}
	if got := d.unknownGrace(left); got != 5*time.Second {
		t.Errorf("grace = %v", got)
	}
	if dialect, ok := d.Dialect(left); ok || dialect != nil {
		t.Error("it has a dialect")
	}
	if d.LinkSecrets(left) != nil || d.Provider(left) != "" || d.For(left, "id", 1) != "" || d.Check(left, &gateway.Message{}) != nil {
		t.Error("it has more than defaults")
	}
}

const fiveAccounts = `
api: {public_url: "https://sluice.example"}
accounts:
  - {id: cloud, provider: whatsapp-cloud, phone_number_id: "1", access_token: t, app_secret: s, verify_token: v}
  - {id: v2, provider: whatsapp-v2, sender: "+15550001111", access_token: a, app_secret: s}
  - {id: onprem, provider: whatsapp-onprem, base_url: "https://wa.example", username: admin, password: p, callback_token: c}
  - {id: v1, provider: sinch-whatsapp, region: eu1, bot_id: b, token: t}
  - {id: conversation, provider: sinch-conversation, region: eu, project_id: p, app_id: a, key_id: k, key_secret: s, webhook_secret: w}
`

func TestEveryProviderHasItsDialect(t *testing.T) {
	d := directory(t, fiveAccounts)
	defer d.Close()
	for _, id := range d.Accounts() {
		if _, ok := d.Dialect(id); !ok {
			t.Errorf("%s has none", id)
		}
		m := gateway.Message{Content: gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "x"}}, Recipient: "+46732001122"}
		if errs := d.Check(id, &m); errs != nil {
			t.Errorf("%s can't express a text: %v", id, errs)
		}
	}
}

func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	d := directory(t, fiveAccounts)
	defer d.Close()
	provider := func(id gateway.AccountID) any { dialect, _ := d.Dialect(id); return dialect }
	before := map[gateway.AccountID]any{"onprem": provider("onprem"), "cloud": provider("cloud"), "v1": provider("v1")}
	next := strings.NewReplacer("app_secret: s, verify_token", "app_secret: s2, verify_token", "bot_id: b, token: t}", "bot_id: b, token: t2, rate: 3}").Replace(fiveAccounts)
	if err := d.Replace(parse(t, next)); err != nil {
		t.Fatal(err)
	}
	if provider("onprem") != before["onprem"] {
		t.Error("an account that didn't change lost its provider, and the tokens in it")
	}
	if provider("cloud") == before["cloud"] || provider("v1") == before["v1"] {
		t.Error("an account that changed kept its provider")
	}
	// What was signed before the change is still good.
	body := []byte("{}")
	for secret, want := range map[string]bool{"s": true, "s2": true, "s3": false} {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		h := http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}
		dialect, _ := d.Dialect("cloud")
		if err := dialect.Verify(h, nil, body); (err == nil) != want {
			t.Errorf("signed with %s: %v", secret, err)
		}
	}
	if got := d.LinkSecrets("v1"); len(got) != 2 || string(got[0]) != "t2" || string(got[1]) != "t" {
		t.Errorf("%d link secrets, want the new one and the one before", len(got))
	}
	if a, _ := d.Account("v1"); a.Rate != 3 {
		t.Errorf("rate %v", a.Rate)
	}
}

func TestCAFileThatIsNoneIsNamedByItsKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newAccount(config.Account{Provider: gateway.WhatsAppOnPrem, CAFile: file}, nil, nil)
	if err == nil || err.Error() != "ca_file: holds no certificate" {
		t.Errorf("error: %v", err)
	}
}

func version(t *testing.T, n int) string {
	t.Helper()
	return fmt.Sprintf(`
defaults: {unknown_grace: %ds}
accounts: [{id: a, provider: whatsapp-cloud, phone_number_id: "1", access_token: t, rate: %d, max_in_flight: %d}]`, n, n, n)
}

func TestReplaceIsSeenAsAWholeOrNotAtAll(t *testing.T) {
	one, two := parse(t, version(t, 1)), parse(t, version(t, 2))
	d, err := NewDirectory(one)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				a, ok := d.Account("a")
				if n := a.MaxInFlight; !ok || a.Rate != float64(n) || a.UnknownGrace != time.Duration(n)*time.Second {
					t.Errorf("a mixture: %+v", a)
					return
				}
			}
		})
	}
	for range 200 {
		for _, c := range []int{1, 2} {
			next := one
			if c == 2 {
				next = two
			}
			if err := d.Replace(next); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	readers.Wait()
	if a, _ := d.Account("a"); a.Rate != 2 {
		t.Errorf("the last one isn't in force: %+v", a)
	}
}

func TestAReplacementThatCannotBeLeavesTheOneBefore(t *testing.T) {
	d := directory(t, twoAccounts)
	next := parse(t, `accounts: [{id: a, provider: whatsapp-onprem, base_url: "https://wa.example", token: t}]`)
	next.Accounts[0].CAFile = filepath.Join(t.TempDir(), "gone.pem") // since it was checked
	err := d.Replace(next)
	if err == nil || !strings.HasPrefix(err.Error(), "accounts[0].ca_file: ") {
		t.Fatalf("it was taken, or refused with %v", err)
	}
	if a, ok := d.Account("a"); !ok || a.Rate != 80 || len(d.Accounts()) != 2 {
		t.Errorf("a is %+v of %v", a, d.Accounts())
	}
}

func TestAnAccountThatLeftIsKeptAndNeverSends(t *testing.T) {
	d := directory(t, twoAccounts)
	defer d.Close()
	if a := d.retired("gone"); !a.Paused || a.ID != "gone" || a.Retention.Record != 2*time.Hour || a.MaxAttempts == 0 {
		t.Errorf("it is %+v", a.Account)
	}
}

// A host's certificate is renewed under the name of its file; where nothing
// changed, the provider keeps its logins.
func TestCAFileIsReadAgain(t *testing.T) {
	host := httptest.NewTLSServer(nil)
	defer host.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: host.Certificate().Raw})
	c := config.Account{Provider: gateway.WhatsAppOnPrem, BaseURL: host.URL, Token: "t", CAFile: file}
	var last *account
	for i, held := range [][]byte{ca, ca, append([]byte("renewed\n"), ca...)} {
		if err := os.WriteFile(file, held, 0o600); err != nil {
			t.Fatal(err)
		}
		next, err := newAccount(c, last, nil)
		if err != nil {
			t.Fatal(err)
		}
		if kept := last != nil && next.provider == last.provider; kept != (i == 1) {
			t.Errorf("version %d: the provider is kept: %v", i, kept)
		}
		last = next
	}
}

// Hosts sign their certificates themselves: who trusts one trusts it for the
// account, messages and logins, and for no other.
func TestCAFileIsOfOneAccount(t *testing.T) {
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if agent := r.Header.Get("User-Agent"); !strings.HasPrefix(agent, "Sluice/") {
			t.Errorf("%s is asked for by %q", r.URL.Path, agent)
		}
		if r.URL.Path == "/v1/users/login" {
			fmt.Fprint(w, `{"users":[{"token":"t1","expires_after":"2999-03-01 15:29:26+00:00"}]}`)
		}
	}))
	host.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that are refused
	host.StartTLS()
	defer host.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: host.Certificate().Raw})
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := providerClient(nil)
	defer shared.CloseIdleConnections()
	m := gateway.Message{ID: "m", Recipient: "+46732001122", Content: gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "x"}}}
	for _, c := range []struct {
		name, file string
		want       string // code of the login's error
	}{{"the account's own", file, ""}, {"another's", "", "tls"}} {
		t.Run(c.name, func(t *testing.T) {
			a, err := newAccount(config.Account{
				Provider: gateway.WhatsAppOnPrem, BaseURL: host.URL, Username: "u", Password: "p", CAFile: c.file,
			}, nil, shared)
			if err != nil {
				t.Fatal(err)
			}
			defer a.client.CloseIdleConnections()
			req, err := a.provider.NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
			if e, ok := errors.AsType[*gateway.Error](err); c.want != "" {
				if !ok || e.Class != gateway.ClassTransient || e.Code != c.want {
					t.Errorf("the login: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			resp, err := a.client.Do(req) // as the sender does
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}

// A client whose idle connections nobody could close would find one after the
// other closed by the provider, each behind the gate.
func TestTheSenderCanCloseIdleConnections(t *testing.T) {
	var connections atomic.Int32
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	host.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	host.Start()
	defer host.Close()
	shared := providerClient(nil)
	defer shared.CloseIdleConnections()
	client := &http.Client{Transport: through(func() *http.Client { return shared })}
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want another one after the first was closed", n)
	}
}
