//go:build unix

package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config"
)

// run runs a command to its end.
func run(t *testing.T, code int, name string, args ...string) *process {
	t.Helper()
	p := launch(t, nil, name, args...)
	p.exit(t, code)
	return p
}

func TestHelpShowsTheCommandsWithExamples(t *testing.T) {
	t.Parallel()
	p := run(t, 0, "sluice", "--help")
	for _, want := range []string{
		"Examples:", "sluice dev\n", "sluice simulate --listen 127.0.0.1:8090 --config configs/sluice.yaml", "sluice keygen\n",
		"sluice healthcheck http://127.0.0.1:8080/readyz", "  dev [flags]", "  simulate [flags]", "  version",
	} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
	if p.stderr.String() != "" {
		t.Errorf("standard error is %q", p.stderr.String())
	}
	for _, command := range []string{"dev", "simulate", "keygen", "healthcheck", "version"} {
		if p := run(t, 0, "sluice", command, "--help"); !strings.HasPrefix(p.stdout.String(), "Usage: sluice "+command) {
			t.Errorf("help of %s is %q", command, p.stdout.String())
		}
	}
	for _, name := range []string{"api", "worker"} {
		p := run(t, 0, name, "-help")
		for _, want := range []string{"usage: " + name, "-config", "healthcheck", "SLUICE_CONFIG", "SLUICE_LOG_LEVEL"} {
			if !strings.Contains(p.stderr.String(), want) {
				t.Errorf("%s: help doesn't say %q", name, want)
			}
		}
	}
}

func TestMisuseEndsWithTwo(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"sluice dev --bogus", "sluice bogus", "sluice", "sluice healthcheck", "sluice dev extra",
		"api -bogus", "api bogus", "worker -bogus", "worker healthcheck now",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(words)
			p := run(t, 2, args[0], args[1:]...)
			if p.stderr.String() == "" || p.stdout.String() != "" {
				t.Errorf("standard error is %q, standard output %q", p.stderr.String(), p.stdout.String())
			}
		})
	}
}

func TestVersionsAreTheSame(t *testing.T) {
	t.Parallel()
	want := run(t, 0, "sluice", "version").stdout.String()
	if strings.TrimSpace(want) == "" {
		t.Error("no version")
	}
	for _, name := range []string{"api", "worker"} {
		if got := run(t, 0, name, "version").stdout.String(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAKeyAndItsHashFit(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		var key, hash string
		out := run(t, 0, "sluice", "keygen").stdout.String()
		if _, err := fmt.Sscanf(out, "key   %s\nhash  %s\n", &key, &hash); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if len(key) < 40 || seen[key] {
			t.Errorf("key %q is short, or not new", key)
		}
		seen[key] = true
		c, err := config.Parse(fmt.Appendf(nil, `api: {keys: [{name: k, hash: %q, accounts: ["*"], scopes: [send]}]}`, hash), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.API.Keys[0].Sum() != sha256.Sum256([]byte(key)) {
			t.Errorf("%s isn't the hash of %s", hash, key)
		}
	}
}

func TestTheSimulatorStandsInForTheAccountsOfAConfiguration(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "sim.yaml", settings{api: freeAddr(t), simulator: freeAddr(t), redis: "redis://127.0.0.1:1/0", third: true}.yaml())
	addr := freeAddr(t)
	p := launch(t, nil, "sluice", "simulate", "--config", path, "--listen", addr)
	await(t, "it answers", func() bool { return answers(addr) })
	var stats struct {
		Accounts []struct{ ID string }
	}
	client{addr: addr}.must(t, http.StatusOK, http.MethodGet, "/_sim/stats", "").decode(t, &stats)
	if len(stats.Accounts) != 3 {
		t.Errorf("accounts %+v, want three", stats.Accounts)
	}

	if p := run(t, 0, "sluice", "healthcheck", "http://"+addr+"/_sim/stats"); p.stderr.String() != "" {
		t.Errorf("healthcheck says %q", p.stderr.String())
	}
	run(t, 1, "sluice", "healthcheck", "http://"+addr+"/none").oneLine(t, "404")
	p.stop(t)
	run(t, 1, "sluice", "healthcheck", "http://"+addr+"/_sim/stats").oneLine(t, "connection refused")
}

func TestWhatIsWrongWithSimulateIsOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, 1, "sluice", "simulate", "--config", filepath.Join(dir, "none")).oneLine(t, "read configuration: stat "+dir)
	run(t, 1, "sluice", "simulate").oneLine(t, config.DefaultPath)
	run(t, 1, "sluice", "simulate", "--config", write(t, dir, "empty.yaml", "")).oneLine(t, "no account that can be simulated")
	path := write(t, dir, "ok.yaml", settings{api: freeAddr(t), simulator: freeAddr(t), redis: "redis://127.0.0.1:1/0"}.yaml())
	run(t, 1, "sluice", "simulate", "--config", path, "--listen", occupied(t)).oneLine(t, "simulator: listen tcp 127.0.0.1:")
}

// write saves a file at once, as an editor that renames does.
func write(t *testing.T, dir, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}
