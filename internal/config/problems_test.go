package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/netguard"
)

// problemsOf is what Parse says against a text, a line for each problem.
func problemsOf(t *testing.T, text string, environ ...string) []string {
	t.Helper()
	_, err := Parse([]byte(text), t.TempDir(), environ)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[Problems](err); !ok {
		t.Fatalf("Parse: %v, want Problems", err)
	}
	return strings.Split(err.Error(), "\n")
}

// account is one sound account with more keys or other values for it.
func account(keys string) string {
	return "accounts: [{id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t, " + keys + "}]"
}

func apiKey(keys string) string { return "api: {keys: [{" + keys + "}]}" }

const soundKey = "name: k, hash: '" + hash + "', accounts: ['*'], scopes: [send]"

func TestProblems(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string // none: it is sound
	}{
		{
			"an unknown key at the top", "redis: {}\nacounts: []",
			[]string{"acounts: unknown key (line 2)"},
		},
		{
			"an unknown key deep inside", "defaults:\n  retention:\n    contents: 1h",
			[]string{"defaults.retention.contents: unknown key (line 3)"},
		},
		{
			"an unknown key of an account", "accounts:\n- id: a\n  provider: whatsapp-v2\n  access_token: t\n  rates: 5",
			[]string{"accounts[0].rates: unknown key (line 5)"},
		},
		{"a key twice", "redis: {}\nredis: {}", []string{"redis: is given twice (line 2)"}},
		{"a list for a mapping", "redis: []", []string{"redis: must be a mapping (line 1)"}},
		{"a text for a list", "accounts: none", []string{"accounts: must be a list (line 1)"}},
		{"a mapping for a text", "api: {listen: {port: 1}}", []string{"api.listen: must be a single value (line 1)"}},
		{"a word for a number", "defaults: {rate: fast}", []string{"defaults.rate: must be a number (line 1)"}},
		{"a fraction for a whole number", "defaults: {max_attempts: 1.5}", []string{"defaults.max_attempts: must be a whole number (line 1)"}},
		{"a number for a duration", "defaults: {ttl: 60}", []string{"defaults.ttl: must be a duration such as 20s, 24h or 7d (line 1)"}},
		{"a word for a truth", account("paused: maybe"), []string{"accounts[0].paused: must be true or false (line 1)"}},
		{"two documents", "redis: {}\n---\nredis: {}", []string{"must be one YAML document (line 2)"}},
		{"a list at the top", "- redis", []string{"must be a mapping (line 1)"}},

		{
			"all at once", "redis: {url: 'localhost'}\ndefaults:\n  rate: 0\n" + account("rate: 100001, ttl: 0s"),
			[]string{
				"redis.url: must be a URL such as redis://localhost:6379/0, rediss://…, redis-sentinel://master@h1:p,h2:p/0 or redis-cluster://h1:p,h2:p (line 1)",
				"defaults.rate: must be from 1 to 100,000 (line 3)",
				"accounts[0].rate: must be from 1 to 100,000 (line 4)",
				"accounts[0].ttl: must be from 1s to 30d (line 4)",
			},
		},

		{"sentinels", "redis: {url: 'redis-sentinel://master@h1:26379,h2:26379/0'}", nil},
		{"a cluster", "redis: {url: 'redis-cluster://h1:7000,h2:7000'}", nil},
		{"TLS", "redis: {url: 'rediss://user:pass@redis.example:6380/1', wait_replicas: 2}", nil},
		{"fewer than no replicas", "redis: {wait_replicas: -1}", []string{"redis.wait_replicas: must be from 0 to 16 (line 1)"}},

		{"addresses", "api: {listen: '127.0.0.1:0', admin_listen: 'localhost:9091'}\nworker: {admin_listen: '[::1]:9090'}", nil},
		{
			"addresses without a port", "api: {listen: localhost, admin_listen: 'host:http'}\nworker: {admin_listen: ':70000'}",
			[]string{
				"api.listen: must be an address such as :8080 or 127.0.0.1:8080 (line 1)",
				"api.admin_listen: must be an address such as :8080 or 127.0.0.1:8080 (line 1)",
				"worker.admin_listen: must be an address such as :8080 or 127.0.0.1:8080 (line 2)",
			},
		},
		{"a public URL with a path", "api: {public_url: 'https://example.com/sluice/'}", nil},
		{"a public URL on loopback", "api: {public_url: 'http://127.0.0.1:8080'}", nil},
		{"a public URL on an allowed host", "api: {public_url: 'http://API:8080'}\nnetwork: {allow_hosts: [api]}", nil},
		{"a public URL on an allowed address, written as IPv6", "api: {public_url: 'http://10.0.0.1'}\nnetwork: {allow_hosts: ['::ffff:10.0.0.1']}", nil},
		{
			"a public URL by http", "api: {public_url: 'http://example.com'}",
			[]string{"api.public_url: must be https; http is for loopback and the hosts of network.allow_hosts (line 1)"},
		},
		{"a public URL with a query", "api: {public_url: 'https://example.com/?a'}", []string{"api.public_url: must not hold a query (line 1)"}},
		{"no URL", "api: {public_url: 'example.com'}", []string{"api.public_url: must be an absolute https URL (line 1)"}},

		{"an API key", apiKey(soundKey), nil},
		{
			"an API key of nothing", apiKey(""),
			[]string{
				"api.keys[0].name: is required (line 1)",
				"api.keys[0].hash: must be sha256: and the 64 hex digits of the key's SHA-256 (line 1)",
				`api.keys[0].accounts: must name accounts, or "*" for all (line 1)`,
				"api.keys[0].scopes: must name at least one of send, read, operate (line 1)",
			},
		},
		{
			"two API keys of one name and hash", "api:\n  keys:\n  - {" + soundKey + "}\n  - {" + soundKey + "}",
			[]string{"api.keys[1].name: must be unique (line 4)", "api.keys[1].hash: must be unique (line 4)"},
		},
		{
			"an API key for an account there isn't", apiKey("name: k, hash: '" + hash + "', accounts: [b], scopes: [send, write]"),
			[]string{
				`api.keys[0].accounts[0]: must be the id of an account, or "*" for all (line 1)`,
				"api.keys[0].scopes[1]: must be send, read or operate (line 1)",
			},
		},
		{
			"a hash that is too short", apiKey("name: k, hash: 'sha256:e3b0', accounts: ['*'], scopes: [read]"),
			[]string{"api.keys[0].hash: must be sha256: and the 64 hex digits of the key's SHA-256 (line 1)"},
		},

		{"hosts and networks", "network: {allow_hosts: [media.internal, api, snake_case, 10.0.0.0/8, '::1', 192.0.2.7]}", nil},
		{
			"no hosts", "network: {allow_hosts: ['http://media', '*.internal', 10.0.0, 10.0.0.0/33, '', '::ffff:10.0.0.0/104']}",
			[]string{
				"network.allow_hosts[0]: must be a host name, an IP address or a CIDR (line 1)",
				"network.allow_hosts[1]: must be a host name, an IP address or a CIDR (line 1)",
				"network.allow_hosts[2]: must be a host name, an IP address or a CIDR (line 1)",
				"network.allow_hosts[3]: must be a host name, an IP address or a CIDR (line 1)",
				"network.allow_hosts[4]: must be a host name, an IP address or a CIDR (line 1)",
				"network.allow_hosts[5]: must be a host name, an IP address or a CIDR (line 1)",
			},
		},

		{"two callback secrets", "callbacks: {secrets: [whsec_c2VjcmV0, whsec_b3RoZXI=]}", nil},
		{
			"three callback secrets, one not base64", "callbacks: {secrets: [whsec_c2VjcmV0, 'whsec_?', c2VjcmV0]}",
			[]string{
				"callbacks.secrets: must be at most two: the one that signs, and the one before it (line 1)",
				"callbacks.secrets[1]: must be whsec_ and base64 (line 1)",
				"callbacks.secrets[2]: must be whsec_ and base64 (line 1)",
			},
		},

		{
			"defaults beyond their ranges", "defaults: {rate: .5, timeout: 6m, max_attempts: 0, ttl: 31d, on_unknown: drop, unknown_grace: -1s, retention: {content: 0s}}",
			[]string{
				"defaults.rate: must be from 1 to 100,000 (line 1)",
				"defaults.timeout: must be from 1s to 5m (line 1)",
				"defaults.max_attempts: must be from 1 to 100 (line 1)",
				"defaults.ttl: must be from 1s to 30d (line 1)",
				"defaults.on_unknown: must be hold or resend (line 1)",
				"defaults.unknown_grace: must be from 0s to 24h (line 1)",
				"defaults.retention.content: must be from 1s to 3650d (line 1)",
			},
		},
		{"a rate that is no number", "defaults: {rate: NaN}", []string{"defaults.rate: must be from 1 to 100,000 (line 1)"}},
		{"the ends of the ranges", account("rate: 100000, timeout: 5m, max_in_flight: 0, max_attempts: 100, ttl: 30d"), nil},
		{"the other ends", account("rate: 1, timeout: 1s, max_attempts: 1, ttl: 1s"), nil},
		{
			"an account beyond its ranges", account("rate: 0, timeout: 999ms, max_in_flight: -1, max_attempts: 101, ttl: 999ms, on_unknown: x, media: x, window: x, opt_out_words: [' ']"),
			[]string{
				"accounts[0].rate: must be from 1 to 100,000 (line 1)",
				"accounts[0].timeout: must be from 1s to 5m (line 1)",
				"accounts[0].max_in_flight: must be 0 or more (line 1)",
				"accounts[0].max_attempts: must be from 1 to 100 (line 1)",
				"accounts[0].ttl: must be from 1s to 30d (line 1)",
				"accounts[0].on_unknown: must be hold or resend (line 1)",
				"accounts[0].media: must be check, upload or none (line 1)",
				"accounts[0].window: must be ignore or reject (line 1)",
				"accounts[0].opt_out_words[0]: must not be empty (line 1)",
			},
		},
		{"files looked at, uploaded or left alone", "accounts:\n" +
			"- {id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t, media: upload}\n" +
			"- {id: b, provider: whatsapp-onprem, base_url: 'https://h', token: t, media: upload}\n" +
			"- {id: c, provider: whatsapp-v2, access_token: t, media: check}\n" +
			"- {id: d, provider: sinch-whatsapp, region: eu1, bot_id: b, token: t, media: none}", nil},
		{"files uploaded where that isn't possible", "accounts:\n" +
			"- {id: c, provider: whatsapp-v2, access_token: t, media: upload}\n" +
			"- {id: d, provider: sinch-whatsapp, region: eu1, bot_id: b, token: t, media: upload}\n" +
			"- {id: e, provider: sinch-conversation, region: eu, project_id: p, app_id: a, key_id: k, key_secret: s, media: upload}", []string{
			"accounts[0].media: upload is not possible with whatsapp-v2 (line 2)",
			"accounts[1].media: upload is not possible with sinch-whatsapp (line 3)",
			"accounts[2].media: upload is not possible with sinch-conversation (line 4)",
		}},
		{"a tier", account("tier: 250"), nil},
		{"a tier for nobody", account("tier: 0"), []string{"accounts[0].tier: must be 1 or more; without it there is no limit (line 1)"}},
		{"a tier by name", account("tier: TIER_1K"), []string{"accounts[0].tier: must be a whole number (line 1)"}},
		{"one portfolio and tier", "accounts:\n" +
			"- {id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t, portfolio: p, tier: 1000}\n" +
			"- {id: b, provider: whatsapp-cloud, phone_number_id: 2, access_token: t, portfolio: p, tier: 1000}\n" +
			"- {id: c, provider: whatsapp-cloud, phone_number_id: 3, access_token: t, portfolio: q, tier: 250}", nil},
		{"one portfolio of two tiers and providers", "accounts:\n" +
			"- {id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t, portfolio: p, tier: 1000}\n" +
			"- {id: b, provider: whatsapp-cloud, phone_number_id: 2, access_token: t, portfolio: p, tier: 250}\n" +
			"- {id: c, provider: whatsapp-cloud, phone_number_id: 3, access_token: t, portfolio: p}\n" +
			"- {id: d, provider: whatsapp-v2, access_token: t, portfolio: p, tier: 1000}", []string{
			"accounts[1].tier: must be that of accounts[0], which shares the portfolio (line 3)",
			"accounts[2].tier: must be that of accounts[0], which shares the portfolio (line 4)",
			"accounts[3].portfolio: must be of one provider, and accounts[0] is of another (line 5)",
		}},
		{"two words about files", account("media: {check: true, upload: false}"), []string{"accounts[0].media: must be a single value (line 1)"}},
		{"a sender without its plus", account("sender: 15550001111"), []string{"accounts[0].sender: must be '+' and 7 to 15 digits (line 1)"}},
		{
			"a base URL by http", account("base_url: 'http://graph.example'"),
			[]string{"accounts[0].base_url: must be https; http is for loopback and the hosts of network.allow_hosts (line 1)"},
		},
		{"a base URL on loopback", account("base_url: 'http://localhost:8090/v23.0'"), nil},
		{"a base URL inside an allowed network", "network: {allow_hosts: [10.0.0.0/8]}\n" + account("base_url: 'http://10.200.0.1'"), nil},
		{
			"a base URL outside the allowed network", "network: {allow_hosts: [10.0.0.0/8]}\n" + account("base_url: 'http://11.0.0.1'"),
			[]string{"accounts[0].base_url: must be https; http is for loopback and the hosts of network.allow_hosts (line 2)"},
		},
		{
			"a callback URL that nobody should be sent to", account("callback_url: 'ftp://host/'"),
			[]string{"accounts[0].callback_url: must be an absolute https URL (line 1)"},
		},
		{
			"a callback URL with a password", account("callback_url: 'https://u:p@host/'"),
			[]string{"accounts[0].callback_url: must not hold a user or password (line 1)"},
		},

		{"an account of nothing", "accounts:\n- {}", []string{
			"accounts[0].id: is required (line 2)",
			"accounts[0].provider: must be one of whatsapp-cloud, whatsapp-v2, whatsapp-onprem, sinch-conversation, sinch-whatsapp (line 2)",
		}},
		{"an id with capitals", "accounts: [{id: Shop, provider: whatsapp-v2, access_token: t}]", []string{
			"accounts[0].id: must be 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit (line 1)",
		}},
		{
			"an id twice", "accounts:\n- {id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t}\n- {id: a, provider: whatsapp-cloud, phone_number_id: 2, access_token: t}",
			[]string{"accounts[1].id: must be unique (line 3)"},
		},
		{"a key of another provider", account("bot_id: b"), []string{"accounts[0].bot_id: not a key of whatsapp-cloud (line 1)"}},
		{
			"cloud without its keys", "accounts: [{id: a, provider: whatsapp-cloud}]",
			[]string{"accounts[0].access_token: is required by whatsapp-cloud (line 1)", "accounts[0].phone_number_id: is required by whatsapp-cloud (line 1)"},
		},
		{"v2 without its key", "accounts: [{id: a, provider: whatsapp-v2}]", []string{"accounts[0].access_token: is required by whatsapp-v2 (line 1)"}},
		{
			"on-premises without anything", "accounts: [{id: a, provider: whatsapp-onprem}]",
			[]string{
				"accounts[0].base_url: is required by whatsapp-onprem (line 1)",
				"accounts[0]: must have one of username with password, token, or api_key (line 1)",
			},
		},
		{
			"on-premises with two ways in", "accounts: [{id: a, provider: whatsapp-onprem, base_url: 'https://h', token: t, api_key: k}]",
			[]string{"accounts[0]: must have one of username with password, token, or api_key (line 1)"},
		},
		{
			"on-premises without the password", "accounts: [{id: a, provider: whatsapp-onprem, base_url: 'https://h', username: u, callback_allow: [host], ca_file: none.pem}]",
			[]string{
				"accounts[0].password: is required beside username (line 1)",
				"accounts[0].callback_allow[0]: must be an IP address or a CIDR (line 1)",
				"accounts[0].ca_file: can't be read (line 1)",
			},
		},
		{
			"on-premises with a new password that hosts refuse", "accounts: [{id: a, provider: whatsapp-onprem, base_url: 'https://h', username: u, password: p, new_password: 'N3wPassw0rd'}]",
			[]string{"accounts[0].new_password: must have 8 to 64 characters, among them a digit, an upper and a lower case letter and a special character (line 1)"},
		},
		{
			"on-premises with a new password for nobody", "accounts: [{id: a, provider: whatsapp-onprem, base_url: 'https://h', token: t, new_password: 'N3w-Passw0rd!'}]",
			[]string{"accounts[0].username: is required beside new_password (line 1)"},
		},
		{
			"Sinch v1 without its keys", "accounts: [{id: a, provider: sinch-whatsapp}]",
			[]string{
				"accounts[0].bot_id: is required by sinch-whatsapp (line 1)",
				"accounts[0].region: is required by sinch-whatsapp (line 1)",
				"accounts[0].token: is required by sinch-whatsapp (line 1)",
			},
		},
		{
			"Sinch v1 in a region of the other API", "accounts: [{id: a, provider: sinch-whatsapp, region: br, bot_id: b, token: t}]",
			[]string{"accounts[0].region: must be one of us1, eu1 (line 1)"},
		},
		{
			"Conversation without its keys", "accounts: [{id: a, provider: sinch-conversation, region: us1, token: t}]",
			[]string{
				"accounts[0].app_id: is required by sinch-conversation (line 1)",
				"accounts[0].key_id: is required by sinch-conversation (line 1)",
				"accounts[0].key_secret: is required by sinch-conversation (line 1)",
				"accounts[0].project_id: is required by sinch-conversation (line 1)",
				"accounts[0].token: not a key of sinch-conversation (line 1)",
				"accounts[0].region: must be one of us, eu, br (line 1)",
			},
		},

		{
			"one phone number id twice", "accounts:\n- {id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: t}\n- {id: b, provider: whatsapp-cloud, phone_number_id: 1, access_token: t}",
			[]string{"accounts[1].phone_number_id: phone_number_id must differ from that of accounts[0], or both send as one sender (line 3)"},
		},
		{
			"one bot in two regions", "accounts:\n- {id: a, provider: sinch-whatsapp, region: us1, bot_id: b, token: t}\n- {id: b, provider: sinch-whatsapp, region: eu1, bot_id: b, token: t}",
			nil,
		},
		{
			"one bot twice", "accounts:\n- {id: a, provider: sinch-whatsapp, region: us1, bot_id: b, token: t}\n- {id: b, provider: sinch-whatsapp, region: us1, bot_id: b, token: u}",
			[]string{"accounts[1].bot_id: region or bot_id must differ from that of accounts[0], or both send as one sender (line 3)"},
		},
		{
			"two senders of one app", "accounts:\n- {id: a, provider: sinch-conversation, region: us, project_id: p, app_id: a, key_id: i, key_secret: s, sender: '+15550001111'}\n- {id: b, provider: sinch-conversation, region: us, project_id: p, app_id: a, key_id: i, key_secret: s, sender: '+15550002222'}",
			nil,
		},
		{
			"one sender of one app twice", "accounts:\n- {id: a, provider: sinch-conversation, region: us, project_id: p, app_id: a, key_id: i, key_secret: s}\n- {id: b, provider: sinch-conversation, region: us, project_id: p, app_id: a, key_id: i, key_secret: s}",
			[]string{"accounts[1].sender: project_id or app_id or sender must differ from that of accounts[0], or both send as one sender (line 3)"},
		},
		{
			"one host and sender twice, written differently", "accounts:\n- {id: a, provider: whatsapp-onprem, base_url: 'https://H.example/', token: t}\n- {id: b, provider: whatsapp-onprem, base_url: 'https://h.example', token: t}",
			[]string{"accounts[1].sender: base_url or sender must differ from that of accounts[0], or both send as one sender (line 3)"},
		},
		{
			"the default host written out", "accounts:\n- {id: a, provider: whatsapp-v2, access_token: t}\n- {id: b, provider: whatsapp-v2, access_token: t, base_url: 'https://api.whatsapp.com/v2'}",
			[]string{"accounts[1].sender: base_url or sender must differ from that of accounts[0], or both send as one sender (line 3)"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problemsOf(t, tt.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is valid here, the guard of the connections takes too.
func TestTheGuardTakesEveryAllowedHost(t *testing.T) {
	hosts := []string{
		"media.internal", "api", "snake_case", "A.example", "host.", "x-1.y-2", "1.a", "10.0.0.0/8", "10.1.2.3/8", "192.0.2.7",
		"::1", "2001:db8::/32", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "fe80::1%eth0", "[::1]", "host:80", "*", "1.2.3", "a..b", "ü", "",
	}
	var valid int
	for _, host := range hosts {
		if !isNetwork(host) && !isHostName(host) {
			continue
		}
		valid++
		if _, err := netguard.New([]string{host}); err != nil {
			t.Errorf("%q is valid, but %v", host, err)
		}
	}
	if valid != 12 {
		t.Errorf("%d of the hosts are valid, want 12", valid)
	}
}

// Every key of an account is either one that every account takes (contract §9)
// or one of the provider table.
func TestTheTableKnowsEveryKey(t *testing.T) {
	common := []string{
		"id", "provider", "sender", "base_url", "rate", "timeout", "max_in_flight", "max_attempts", "ttl", "on_unknown",
		"callback_url", "media", "window", "opt_out_words", "portfolio", "tier", "paused",
	}
	var want []string
	for name, only := range providerOnly() {
		if only {
			want = append(want, name)
		}
	}
	want = append(want, common...)
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(fields(reflect.ValueOf(&Account{}).Elem())))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the table and of Account (-table +Account):\n%s", diff)
	}
}

// The two ids were found by trying; their marks are equal.
func TestTwoIDsWithOneMark(t *testing.T) {
	got := problemsOf(t, `accounts:
- {id: shop-281509, provider: whatsapp-cloud, phone_number_id: 1, access_token: t}
- {id: shop-2090302, provider: whatsapp-cloud, phone_number_id: 2, access_token: t}`)
	want := []string{"accounts[1].id: has the mark of shop-281509 in Redis; choose another (line 3)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCAFile(t *testing.T) {
	dir := t.TempDir()
	text := func(file string) []byte {
		return []byte("accounts: [{id: a, provider: whatsapp-onprem, base_url: 'https://h', token: t, ca_file: " + file + "}]")
	}
	for name, content := range map[string]string{"empty.pem": "", "ca.pem": testCA} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(text("ca.pem"), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Accounts[0].CAFile, filepath.Join(dir, "ca.pem"); got != want {
		t.Errorf("CAFile = %q, want %q", got, want)
	}
	_, err = Parse(text("empty.pem"), dir, nil)
	if want := "accounts[0].ca_file: must hold PEM certificates (line 1)"; err == nil || err.Error() != want {
		t.Errorf("Parse: %v, want %s", err, want)
	}
}

func TestSyntaxErrorsQuoteNothing(t *testing.T) {
	for _, text := range []string{"accounts: [{access_token: *hunter2}]", "a: 'hunter2", "a: b: hunter2", "\thunter2", "a: \"\\hunter2\""} {
		_, err := Parse([]byte(text), "", nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
