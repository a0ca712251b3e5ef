//go:build unix

package e2e

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"sluice/internal/localredis"
)

// key is what the tests call with.
const key = "sluice_key_of_the_tests"

// settings is what a configuration is written from.
type settings struct {
	api, admin, simulator, redis string
	rate                         int  // of shop-sinch
	third                        bool // there is a third account
	keys                         []string
}

func (s settings) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "redis: {url: %q}\n", s.redis)
	fmt.Fprintf(&b, "api:\n  listen: %q\n  public_url: \"http://%s\"\n", s.api, s.api)
	if s.admin != "" {
		fmt.Fprintf(&b, "  admin_listen: %q\n", s.admin)
	}
	b.WriteString("  keys:\n")
	for i, k := range append([]string{key}, s.keys...) {
		fmt.Fprintf(&b, "    - {name: key%d, hash: \"sha256:%x\", accounts: [\"*\"], scopes: [send, read, operate]}\n", i, sha256.Sum256([]byte(k)))
	}
	fmt.Fprintf(&b, `network: {allow_hosts: ["127.0.0.0/8"]}
accounts:
  - {id: shop-cloud, provider: whatsapp-cloud, base_url: "http://%[1]s/v23.0", phone_number_id: "1001", waba_id: "1",
     sender: "+15550001111", access_token: cloud-token, app_secret: cloud-secret, verify_token: cloud-verify}
  - {id: shop-sinch, provider: sinch-whatsapp, base_url: "http://%[1]s", region: eu1, bot_id: bot-one, rate: %[2]d,
     sender: "+15550002222", token: sinch-token, callback_secret: sinch-secret}
`, s.simulator, cmp.Or(s.rate, 50))
	if s.third {
		fmt.Fprintf(&b, `  - {id: shop-third, provider: whatsapp-cloud, base_url: "http://%s/v23.0", phone_number_id: "1003", waba_id: "1",
     sender: "+15550003333", access_token: third-token, app_secret: third-secret, verify_token: third-verify}
`, s.simulator)
	}
	return b.String()
}

// cluster is an installation: Redis, providers, an API and workers.
type cluster struct {
	client
	settings settings
	path     string // of the configuration
	server   *localredis.Server
	front    *process   // the API
	senders  []*process // the workers
	admins   []string   // their admin addresses
}

// startCluster starts everything and returns when the accounts are owned, fairly.
func startCluster(t *testing.T, workers int) *cluster {
	t.Helper()
	server, err := localredis.Start(t.Context(), t.TempDir(), "--appendonly", "yes", "--appendfsync", "always")
	if err != nil {
		t.Fatalf("%v (make test installs it)", err)
	}
	t.Cleanup(server.Kill)
	c := &cluster{server: server}
	c.settings = settings{api: freeAddr(t), admin: freeAddr(t), simulator: freeAddr(t), redis: server.URL}
	c.client = client{c.settings.api, key}
	c.path = write(t, t.TempDir(), "sluice.yaml", c.settings.yaml())

	all := c.settings
	all.third = true // it knows tomorrow's account too
	launch(t, nil, "sluice", "simulate", "--listen", c.settings.simulator, "--config", write(t, t.TempDir(), "all.yaml", all.yaml()))
	c.startAPI(t)
	for range workers {
		c.startWorker(t)
	}
	await(t, "the simulator answers", func() bool { return answers(c.settings.simulator) })
	await(t, "the API is ready", func() bool {
		a, err := c.ask(t.Context(), http.MethodGet, "/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
	await(t, "the workers share the accounts", func() bool {
		owned, at := c.workers(t), 0
		for _, w := range owned {
			if len(w.Accounts) == 0 {
				return false
			}
			at += len(w.Accounts)
		}
		return len(owned) == workers && at == 2
	})
	return c
}

func (c *cluster) startAPI(t *testing.T) {
	t.Helper()
	c.front = launch(t, []string{"SLUICE_CONFIG=" + c.path}, "api")
}

func (c *cluster) startWorker(t *testing.T) {
	t.Helper()
	admin := freeAddr(t)
	c.admins = append(c.admins, admin)
	c.senders = append(c.senders, launch(t, []string{"SLUICE_CONFIG=" + c.path, "SLUICE_WORKER_ADMIN_LISTEN=" + admin}, "worker"))
}

// save changes the configuration.
func (c *cluster) save(t *testing.T, change func(*settings)) {
	t.Helper()
	change(&c.settings)
	if err := os.WriteFile(c.path, []byte(c.settings.yaml()), 0o600); err != nil { // in place, as some editors do
		t.Fatal(err)
	}
}
