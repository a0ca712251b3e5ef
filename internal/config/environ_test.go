package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnvNames(t *testing.T) {
	want := []string{
		"SLUICE_API_ADMIN_LISTEN", "SLUICE_API_LISTEN", "SLUICE_API_PUBLIC_URL",
		"SLUICE_DEFAULTS_MAX_ATTEMPTS", "SLUICE_DEFAULTS_ON_UNKNOWN", "SLUICE_DEFAULTS_RATE",
		"SLUICE_DEFAULTS_RETENTION_CONTENT", "SLUICE_DEFAULTS_RETENTION_DEAD_LETTER", "SLUICE_DEFAULTS_RETENTION_RECORD",
		"SLUICE_DEFAULTS_TIMEOUT", "SLUICE_DEFAULTS_TTL", "SLUICE_DEFAULTS_UNKNOWN_GRACE",
		"SLUICE_REDIS_URL", "SLUICE_REDIS_WAIT_REPLICAS", "SLUICE_WORKER_ADMIN_LISTEN",
	}
	if diff := cmp.Diff(want, EnvNames()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVariablesStandOverTheFile(t *testing.T) {
	got := parse(
		t, "redis: {url: '${MISSING}', wait_replicas: 3}\napi: {listen: ':1'}\ndefaults: {max_attempts: 2}",
		"SLUICE_REDIS_URL=redis://other:6379/5", "SLUICE_API_LISTEN=:2", "SLUICE_WORKER_ADMIN_LISTEN=127.0.0.1:0",
		"SLUICE_DEFAULTS_MAX_ATTEMPTS=4", "SLUICE_DEFAULTS_RETENTION_CONTENT=2d", "SLUICE_DEFAULTS_RATE=12.5",
		"SLUICE_REDIS_WAIT_REPLICAS=", "SLUICE_NOTHING=x", "SLUICE_API_KEYS=x", "SLUICE_ACCOUNTS=x", "sluice_api_listen=:3", "no pair",
	)
	want := defaults()
	want.Redis = Redis{URL: "redis://other:6379/5", WaitReplicas: 3}
	want.API.Listen, want.Worker.AdminListen = ":2", "127.0.0.1:0"
	want.Defaults.MaxAttempts, want.Defaults.Rate = 4, 12.5
	want.Defaults.Retention.Content = 48 * time.Hour
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAProblemNamesTheVariableItCameFrom(t *testing.T) {
	got := problemsOf(t, "defaults: {rate: 5, ttl: 1h}", "SLUICE_DEFAULTS_RATE=0", "SLUICE_DEFAULTS_TTL=soon")
	want := []string{
		"defaults.ttl: must be a duration such as 20s, 24h or 7d (SLUICE_DEFAULTS_TTL)",
		"defaults.rate: must be from 1 to 100,000 (SLUICE_DEFAULTS_RATE)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	for name, content := range map[string]string{"secret": "from a file\n", "blank": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"TOKEN=a$b${c}", "EMPTY=", "N=80"}
	tests := []struct {
		name, text, want, problem string
	}{
		{name: "a variable", text: "${TOKEN}", want: "a$b${c}"}, // its own text isn't looked into
		{name: "a variable inside a text", text: "x-${N}-${N}", want: "x-80-80"},
		{name: "a file", text: "${file:" + secret + "}", want: "from a file"},
		{name: "a file beside the configuration", text: "${file:secret}", want: "from a file"},
		{name: "two dollar signs are one", text: "$${TOKEN}$$", want: "${TOKEN}$"},
		{name: "a dollar sign alone is one", text: "5$ or $N", want: "5$ or $N"},
		{name: "a variable there isn't", text: "${NONE}", problem: "the variable NONE is not set, or empty"},
		{name: "an empty variable", text: "${EMPTY}", problem: "the variable EMPTY is not set, or empty"},
		{name: "a file there isn't", text: "${file:none}", problem: "the file none can't be read: no such file or directory"},
		{name: "an empty file", text: "${file:blank}", problem: "the file blank is empty"},
		{name: "a reference without its end", text: "${hunter2", problem: "has ${ without }; write $$ for a dollar sign"},
		{name: "a reference that is none", text: "${hunter 2}", problem: "holds a reference that is neither ${NAME} nor ${file:path}; write $$ for a dollar sign"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(account("app_secret: '"+tt.text+"'")), dir, environ)
			if tt.problem != "" {
				if want := "accounts[0].app_secret: " + tt.problem + " (line 1)"; err == nil || err.Error() != want {
					t.Errorf("Parse: %v\nwant  %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Accounts[0].AppSecret.Reveal(); got != tt.want {
				t.Errorf("%s = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestAReferenceMayStandForANumber(t *testing.T) {
	c := parse(t, account("rate: '${N}'"), "N=80")
	if got := *c.Accounts[0].Rate; got != 80 {
		t.Errorf("rate = %v, want 80", got)
	}
}

func TestARequiredKeyWithoutItsVariableIsOneProblem(t *testing.T) {
	got := problemsOf(t, "accounts: [{id: a, provider: whatsapp-cloud, phone_number_id: 1, access_token: '${NONE}'}]")
	want := []string{"accounts[0].access_token: the variable NONE is not set, or empty (line 1)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
