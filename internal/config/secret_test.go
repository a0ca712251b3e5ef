package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestASecretIsNeverShown(t *testing.T) {
	const hidden = "hunter2"
	c := parse(t, account("app_secret: "+hidden), "SLUICE_REDIS_URL=redis://:"+hidden+"@localhost:6379/0")
	var shown bytes.Buffer
	for _, v := range []any{c, *c, c.Redis, c.Accounts, c.Redis.URL, &c.Redis.URL, []Secret{hidden}, map[string]Secret{"k": hidden}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		if err := json.NewEncoder(&shown).Encode(v); err != nil {
			t.Error(err)
		}
		if err := yaml.NewEncoder(&shown).Encode(v); err != nil {
			t.Error(err)
		}
		slog.New(slog.NewTextHandler(&shown, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("json", "v", v)
	}
	hex := fmt.Sprintf("%x", hidden)
	for line := range strings.Lines(shown.String()) {
		if strings.Contains(line, hidden) || strings.Contains(strings.ToLower(line), hex) {
			t.Errorf("shown in %s", line)
		}
	}
	if !strings.Contains(shown.String(), mask) {
		t.Error("nothing was masked")
	}
	if got := c.Accounts[0].AppSecret.Reveal(); got != hidden {
		t.Errorf("Reveal() = %q", got)
	}
}

// A redis.url that can't be read must not be quoted, in part either.
func TestAPasswordIsNotInTheProblem(t *testing.T) {
	for _, u := range []string{"redis://user:hunter2/x@host", "hunter2", "http://:hunter2@h", "redis-sentinel://:hunter2@,", "redis://h:hunter2"} {
		for _, p := range problemsOf(t, "", "SLUICE_REDIS_URL="+u) {
			if strings.Contains(p, "hunter2") {
				t.Errorf("%s: %s", u, p)
			}
		}
	}
}
