package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
)

// hash is the SHA-256 of the empty text, as the FIPS 180-4 examples have it.
const hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// same compares secrets by what they hide.
var same = cmp.Options{
	cmp.Comparer(func(a, b Secret) bool { return a == b }),
	cmpopts.IgnoreUnexported(Config{}),
}

func parse(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), t.TempDir(), environ)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

func TestAnEmptyFileIsTheDefaults(t *testing.T) {
	for _, text := range []string{"", "---\n", "# only a comment\n", "{}", "redis:\naccounts:\n"} {
		if diff := cmp.Diff(defaults(), parse(t, text), same); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// The example of the contract, §9, with what it stands for.
func TestTheContractsExample(t *testing.T) {
	got := parse(t, `
redis: {url: "redis://localhost:6379/0", wait_replicas: 0}   # also rediss://
api:
  listen: ":8080"
  public_url: "https://sluice.example"
  keys: [{name: orders, hash: "`+hash+`", accounts: ["shop-eu"], scopes: [send, read]}]
worker: {admin_listen: ":9090"}
network: {allow_hosts: ["media.internal"]}
callbacks: {secrets: ["${SLUICE_WHSEC}"]}
defaults: {rate: 50, timeout: 20s, max_attempts: 8, ttl: 24h, on_unknown: hold, unknown_grace: 60s, retention: {content: 24h, record: 168h, dead_letter: 720h}}
accounts:
  - {id: shop-eu, provider: whatsapp-cloud, phone_number_id: "1234", sender: "+15550001111",
     access_token: "${SHOP_EU_TOKEN}", app_secret: "${SHOP_EU_SECRET}", verify_token: "${SHOP_EU_VERIFY}", rate: 80}
`, "SLUICE_WHSEC=whsec_c2VjcmV0", "SHOP_EU_TOKEN=t", "SHOP_EU_SECRET=s", "SHOP_EU_VERIFY=v")
	want := defaults()
	want.API = API{
		Listen: ":8080", PublicURL: "https://sluice.example",
		Keys: []Key{{Name: "orders", Hash: hash, Accounts: []string{"shop-eu"}, Scopes: []Scope{ScopeSend, ScopeRead}}},
	}
	want.Network.AllowHosts = []string{"media.internal"}
	want.Callbacks.Secrets = []Secret{"whsec_c2VjcmV0"}
	want.Accounts = []Account{{
		ID: "shop-eu", Provider: gateway.WhatsAppCloud, Sender: "+15550001111", BaseURL: "https://graph.facebook.com/v23.0",
		Rate: new(80.0), Media: MediaCheck, Window: WindowIgnore,
		PhoneNumberID: "1234", AccessToken: "t", AppSecret: "s", VerifyToken: "v",
	}}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryKeyOfEveryProvider(t *testing.T) {
	got := parse(t, `
network: {allow_hosts: [wa.internal, 10.0.0.0/8]}
accounts:
  - id: cloud
    provider: whatsapp-cloud
    base_url: http://10.1.2.3:8090/v23.0/
    phone_number_id: 1234567890123456789   # digits need no quotes
    waba_id: 77
    sender: +15550001111
    access_token: token
    app_secret: secret
    verify_token: verify
    rate: 80.5
    timeout: 10s
    max_in_flight: 40
    max_attempts: 3
    ttl: 1.5d
    on_unknown: resend
    callback_url: https://internal.example/hooks?from=sluice
    media: upload
    window: reject
    opt_out_words: [STOP, "avsluta"]
    portfolio: shop
    paused: true
  - {id: v2, provider: whatsapp-v2, sender: "+15550002222", access_token: a, app_secret: b, verify_token: c}
  - {id: onprem, provider: whatsapp-onprem, base_url: "http://wa.internal:9000", sender: "+15550003333", username: u, password: p, new_password: "N3w-Passw0rd!",
     namespace: n, wa_api_key: k, callback_token: t, callback_allow: [10.0.0.0/8, "192.0.2.1", "2001:db8::/32"]}
  - {id: hosted, provider: whatsapp-onprem, base_url: "https://waba.example", api_key: k}
  - {id: token, provider: whatsapp-onprem, base_url: "https://token.example", token: k}
  - {id: bot, provider: sinch-whatsapp, region: us1, bot_id: B, token: t, callback_secret: s}
  - {id: conv, provider: sinch-conversation, region: br, project_id: P, app_id: A, key_id: I, key_secret: S,
     auth_url: "https://auth.example/oauth2/token", webhook_secret: W}
`).Accounts
	want := []Account{
		{
			ID: "cloud", Provider: gateway.WhatsAppCloud, Sender: "+15550001111", BaseURL: "http://10.1.2.3:8090/v23.0",
			Rate: new(80.5), Timeout: new(10 * time.Second), MaxInFlight: 40, MaxAttempts: new(3), TTL: new(36 * time.Hour),
			OnUnknown: gateway.ResendUnknown, CallbackURL: "https://internal.example/hooks?from=sluice",
			Media: MediaUpload, Window: WindowReject, OptOutWords: []string{"STOP", "avsluta"},
			Portfolio: "shop", Paused: true,
			PhoneNumberID: "1234567890123456789", WABAID: "77", AccessToken: "token", AppSecret: "secret", VerifyToken: "verify",
		},
		{
			ID: "v2", Provider: gateway.WhatsAppV2, Sender: "+15550002222", BaseURL: "https://api.whatsapp.com/v2", Media: MediaCheck, Window: WindowIgnore,
			AccessToken: "a", AppSecret: "b", VerifyToken: "c",
		},
		{
			ID: "onprem", Provider: gateway.WhatsAppOnPrem, Sender: "+15550003333", BaseURL: "http://wa.internal:9000", Media: MediaCheck, Window: WindowIgnore,
			Username: "u", Password: "p", NewPassword: "N3w-Passw0rd!", Namespace: "n", WAAPIKey: "k",
			CallbackToken: "t", CallbackAllow: []string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32"},
		},
		{ID: "hosted", Provider: gateway.WhatsAppOnPrem, BaseURL: "https://waba.example", Media: MediaCheck, Window: WindowIgnore, APIKey: "k"},
		{ID: "token", Provider: gateway.WhatsAppOnPrem, BaseURL: "https://token.example", Media: MediaCheck, Window: WindowIgnore, Token: "k"},
		{
			ID: "bot", Provider: gateway.SinchWhatsApp, BaseURL: "https://us1.whatsapp.api.sinch.com", Media: MediaCheck, Window: WindowIgnore,
			Region: "us1", BotID: "B", Token: "t", CallbackSecret: "s",
		},
		{
			ID: "conv", Provider: gateway.SinchConversation, BaseURL: "https://br.conversation.api.sinch.com", Media: MediaCheck, Window: WindowIgnore,
			Region: "br", ProjectID: "P", AppID: "A", KeyID: "I", KeySecret: "S",
			AuthURL: "https://auth.example/oauth2/token", WebhookSecret: "W",
		},
	}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGatewayAccountFillsInTheDefaults(t *testing.T) {
	c := parse(t, `
defaults: {rate: 7, timeout: 9s, max_attempts: 2, ttl: 3h, on_unknown: resend, unknown_grace: 5s, retention: {content: 9d, record: 2d, dead_letter: 3d}}
accounts:
  - {id: silent, provider: whatsapp-cloud, phone_number_id: 1, access_token: t}
  - {id: own, provider: whatsapp-cloud, phone_number_id: 2, access_token: t, sender: "+15550001111", rate: 80, timeout: 1m, max_attempts: 100,
     ttl: 30d, on_unknown: hold, max_in_flight: 3, paused: true, media: none, callback_url: "https://hooks.example/"}
  - {id: uploads, provider: whatsapp-cloud, phone_number_id: 3, access_token: t, media: upload}
`)
	retention := gateway.Retention{Content: 48 * time.Hour, Record: 48 * time.Hour, DeadLetter: 72 * time.Hour}
	want := []gateway.Account{
		{
			ID: "silent", Provider: gateway.WhatsAppCloud, Rate: 7, Timeout: 9 * time.Second, MaxAttempts: 2, TTL: 3 * time.Hour,
			OnUnknown: gateway.ResendUnknown, UnknownGrace: 5 * time.Second, CheckMedia: true, Retention: retention,
		},
		{
			ID: "own", Provider: gateway.WhatsAppCloud, Sender: "+15550001111", Rate: 80, Timeout: time.Minute, MaxAttempts: 100,
			TTL: 720 * time.Hour, OnUnknown: gateway.HoldUnknown, MaxInFlight: 3, Paused: true, CallbackURL: "https://hooks.example/",
			UnknownGrace: 5 * time.Second, Retention: retention,
		},
		{
			ID: "uploads", Provider: gateway.WhatsAppCloud, Rate: 7, Timeout: 9 * time.Second, MaxAttempts: 2, TTL: 3 * time.Hour,
			OnUnknown: gateway.ResendUnknown, UnknownGrace: 5 * time.Second, CheckMedia: true, UploadMedia: true, Retention: retention,
		},
	}
	var got []gateway.Account
	for _, a := range c.Accounts {
		got = append(got, c.GatewayAccount(a))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadNamesTheFileAndItsRevision(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	at := time.UnixMilli(1_790_000_000_123)
	write(t, path, "worker: {admin_listen: ':9999'}", at)
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Revision(), at.UnixMilli(); got != want {
		t.Errorf("Revision() = %d, want %d", got, want)
	}
	copied, err := Parse([]byte("worker: {admin_listen: ':9999'}"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Digest() != copied.Digest() || c.Digest() == parse(t, "").Digest() {
		t.Error("Digest() must be equal for the same text, and differ for another")
	}
	if copied.Revision() != 0 {
		t.Errorf("Revision() without a file = %d, want 0", copied.Revision())
	}

	write(t, path, "workers: {}", at)
	_, err = Load(path, nil)
	if want := "configuration " + path + ": workers: unknown key (line 1)"; err == nil || err.Error() != want {
		t.Errorf("Load: %v, want %s", err, want)
	}
	if _, err := Load(path+".none", nil); err == nil || !strings.Contains(err.Error(), "read configuration") {
		t.Errorf("Load of no file: %v", err)
	}
}

func TestPath(t *testing.T) {
	if got := Path(nil); got != DefaultPath {
		t.Errorf("Path(nil) = %q", got)
	}
	if got := Path([]string{"SLUICE_CONFIG=/etc/sluice.yaml"}); got != "/etc/sluice.yaml" {
		t.Errorf("Path = %q", got)
	}
}

// write saves a file as it would have been saved at the given time.
func write(t *testing.T, path, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}
