//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/redistest"
)

var accounts = []string{"shop-cloud", "shop-sinch"}

func TestMessagesGoThroughBothProvidersAndTheProgramsTellOfThemselves(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	for _, account := range accounts {
		m := c.await(t, c.post(t, account).ID, "read")
		var history []string
		for _, h := range m.History {
			history = append(history, h.Status)
		}
		if diff := cmp.Diff([]string{"queued", "sending", "accepted", "sent", "delivered", "read"}, history); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s", account, diff)
		}
		if m.ProviderMessageID == "" || len(m.Attempts) != 1 || m.Attempts[0].Outcome != "accepted" {
			t.Errorf("%s: provider's id %q, attempts %+v", account, m.ProviderMessageID, m.Attempts)
		}
	}

	// The same post again, however far the message has come.
	first := c.must(t, http.StatusAccepted, http.MethodPost, "/v1/messages", order("shop-cloud"), "Idempotency-Key", "order-4711")
	var m message
	first.decode(t, &m)
	c.await(t, m.ID, "read")
	again := c.must(t, http.StatusAccepted, http.MethodPost, "/v1/messages", order("shop-cloud"), "Idempotency-Key", "order-4711")
	if again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("posted again it answers %s, first %s", again.body, first.body)
	}
	c.must(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/messages", strings.Replace(order("shop-cloud"), "Hello", "Bye", 1), "Idempotency-Key", "order-4711")

	stranger := client{addr: c.addr}
	for _, path := range []string{"/healthz", "/readyz"} {
		stranger.must(t, http.StatusOK, http.MethodGet, path, "")
	}
	stranger.must(t, http.StatusUnauthorized, http.MethodGet, "/metrics", "")
	c.must(t, http.StatusOK, http.MethodGet, "/metrics", "")
	for _, admin := range append([]string{c.settings.admin}, c.admins...) {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			a := client{addr: admin}.must(t, http.StatusOK, http.MethodGet, path, "")
			if path == "/metrics" && !strings.Contains(a.body, "# TYPE sluice_") {
				t.Errorf("%s: no metrics of ours", admin)
			}
		}
	}

	environ := []string{"SLUICE_CONFIG=" + c.path, "SLUICE_WORKER_ADMIN_LISTEN=" + c.admins[0]}
	for _, name := range []string{"api", "worker"} {
		p := launch(t, environ, name, "healthcheck")
		p.exit(t, 0)
		if p.stdout.String()+p.stderr.String() != "" {
			t.Errorf("healthcheck of a healthy %s says %q %q", name, p.stdout.String(), p.stderr.String())
		}
	}
	for _, p := range append(c.senders, c.front) {
		p.stop(t)
	}
	for _, name := range []string{"api", "worker"} {
		p := launch(t, environ, name, "healthcheck")
		p.exit(t, 1)
		p.oneLine(t, "connection refused")
	}
}

// postEach posts a message to each account and returns the ids.
func (c *cluster) postEach(t *testing.T) (ids []string) {
	t.Helper()
	for _, account := range accounts {
		ids = append(ids, c.post(t, account).ID)
	}
	return ids
}

// mustHaveSent fails unless the providers were given so many messages.
func (c *cluster) mustHaveSent(t *testing.T, n int) {
	t.Helper()
	var page struct{ Messages []struct{} }
	client{addr: c.settings.simulator}.must(t, http.StatusOK, http.MethodGet, "/_sim/messages", "").decode(t, &page)
	if len(page.Messages) != n {
		t.Errorf("the providers were given %d messages, want %d", len(page.Messages), n)
	}
}

func TestAWorkerThatIsToldToEndHandsItsAccountsOver(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	told := time.Now()
	c.senders[0].signal(t, syscall.SIGTERM)
	for _, id := range c.postEach(t) {
		m := c.await(t, id, "read")
		if took := m.reached(t, "sending").Sub(told); took > time.Second+slack {
			t.Errorf("%s was sent %v after the signal", m.Account, took)
		}
	}
	c.senders[0].exit(t, 0)
	c.mustHaveSent(t, len(accounts))
	if ws := c.workers(t); len(ws) != 1 || !slices.Equal(ws[0].Accounts, accounts) {
		t.Errorf("workers %+v, want one with both accounts", ws)
	}
}

func TestTheAccountsOfADeadWorkerAreTakenOver(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	killed := time.Now()
	c.senders[0].signal(t, syscall.SIGKILL)
	for _, id := range c.postEach(t) {
		m := c.await(t, id, "read")
		// The liveness key's five seconds, and one.
		if took := m.reached(t, "sending").Sub(killed); took > 6*time.Second+slack {
			t.Errorf("%s was sent %v after the kill", m.Account, took)
		}
		if len(m.Attempts) != 1 {
			t.Errorf("%s: attempts %+v", m.Account, m.Attempts)
		}
	}
	c.mustHaveSent(t, len(accounts))
}

func TestWithoutRedisThePostIsRefusedAtOnceAndAllIsWellAfterwards(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	c.server.Kill()
	for range 3 {
		begun := time.Now()
		a := c.must(t, http.StatusServiceUnavailable, http.MethodPost, "/v1/messages", order("shop-cloud"))
		if took := time.Since(begun); took > time.Second+slack {
			t.Errorf("the refusal took %v", took)
		}
		if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 {
			t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
		}
	}
	for _, path := range []string{"/readyz", "/v1/workers", "/v1/accounts", "/v1/messages"} {
		c.must(t, http.StatusServiceUnavailable, http.MethodGet, path, "")
	}
	c.must(t, http.StatusOK, http.MethodGet, "/healthz", "")
	sender := client{addr: c.admins[0]}
	sender.must(t, http.StatusServiceUnavailable, http.MethodGet, "/readyz", "")
	sender.must(t, http.StatusOK, http.MethodGet, "/healthz", "")
	p := launch(t, []string{"SLUICE_CONFIG=" + c.path}, "api", "healthcheck")
	p.exit(t, 1)
	p.oneLine(t, "503")

	if err := c.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var m message
	await(t, "a post is accepted again", func() bool {
		a, err := c.ask(t.Context(), http.MethodPost, "/v1/messages", order("shop-sinch"))
		if err != nil || a.status != http.StatusAccepted {
			return false
		}
		a.decode(t, &m)
		return true
	})
	c.await(t, m.ID, "read")
	sender.must(t, http.StatusOK, http.MethodGet, "/readyz", "")
	for _, p := range append(c.senders, c.front) {
		if p.over() {
			t.Errorf("%s ended", p.name)
		}
		if strings.Contains(p.stderr.String(), "\nredis: ") {
			t.Errorf("%s: lines in the log that aren't the log's", p.name)
		}
	}
}

func TestWhatIsWrongWithAProgramIsOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := settings{api: freeAddr(t), simulator: freeAddr(t), redis: redistest.Start(t)}
	noRedis, busy := good, good
	noRedis.redis = "redis://127.0.0.1:1/0"
	busy.api = occupied(t)
	for _, c := range []struct {
		name   string
		path   string
		api    string // what it says, empty: nothing is wrong with it
		worker string
	}{
		{"no configuration", dir + "/none.yaml", "read configuration: stat " + dir + "/none.yaml: no such file or directory", "read configuration: stat "},
		{"no YAML", write(t, dir, "syntax.yaml", "redis: {"), "configuration " + dir + "/syntax.yaml: yaml: ", "configuration "},
		{"an unknown key", write(t, dir, "key.yaml", "redes: {}\n"), "redes: unknown key (line 1)", "redes: unknown key (line 1)"},
		{"no Redis", write(t, dir, "redis.yaml", noRedis.yaml()), "redis.url: no Redis answers: dial tcp 127.0.0.1:1: connect: connection refused", "redis.url: no Redis answers: "},
		{"a port in use", write(t, dir, "busy.yaml", busy.yaml()), "api.listen: listen tcp " + busy.api + ": bind: address already in use", "worker.admin_listen: listen tcp " + busy.api},
	} {
		for name, want := range map[string]string{"api": c.api, "worker": c.worker} {
			t.Run(fmt.Sprintf("%s has %s", name, c.name), func(t *testing.T) {
				t.Parallel()
				admin := freeAddr(t)
				if c.name == "a port in use" {
					admin = busy.api
				}
				p := launch(t, []string{"SLUICE_CONFIG=" + c.path, "SLUICE_WORKER_ADMIN_LISTEN=" + admin}, name)
				p.exit(t, 1)
				p.oneLine(t, want)
			})
		}
	}
}

// slack is what a busy machine and the race detector may add to the contract's
// times, which benchmarks measure. Whatever is broken takes longer.
const slack = 3 * time.Second

// reloadBound is the contract's.
const reloadBound = 2*time.Second + slack

func (c *cluster) accountRate(t *testing.T, id string) (rate float64, known bool) {
	t.Helper()
	a, err := c.ask(t.Context(), http.MethodGet, "/v1/accounts/"+id, "")
	if err != nil || a.status != http.StatusOK {
		return 0, false
	}
	var account struct{ Rate float64 }
	a.decode(t, &account)
	return account.Rate, true
}

func TestASavedConfigurationIsInForceWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	const another = "sluice_another_key"
	newcomer := client{c.addr, another}

	saved := time.Now()
	c.save(t, func(s *settings) { s.third, s.rate, s.keys = true, 1, []string{another} })
	awaitFor(t, reloadBound, "the new account, rate and key are known", func() bool {
		rate, _ := c.accountRate(t, "shop-sinch")
		_, known := c.accountRate(t, "shop-third")
		a, err := newcomer.ask(t.Context(), http.MethodGet, "/v1/accounts", "")
		return rate == 1 && known && err == nil && a.status == http.StatusOK
	})
	m := c.await(t, newcomer.post(t, "shop-third").ID, "read")
	if took := m.reached(t, "sending").Sub(saved); took > reloadBound {
		t.Errorf("the new account sends %v after the file was saved", took)
	}

	// The worker keeps the new rate.
	var sent []time.Time
	var ids []string
	for range 3 {
		ids = append(ids, c.post(t, "shop-sinch").ID)
	}
	for _, id := range ids {
		sent = append(sent, c.await(t, id, "read").reached(t, "sending"))
	}
	slices.SortFunc(sent, time.Time.Compare)
	if took := sent[2].Sub(sent[0]); took < 1900*time.Millisecond {
		t.Errorf("three messages at one a second were sent within %v", took)
	}

	// A file that can't be read changes nothing, and says so once.
	if err := os.WriteFile(c.path, []byte("accounts: {"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{c.front, c.senders[0]} {
		await(t, p.name+" says that the file is broken", func() bool {
			return strings.Contains(p.stderr.String(), "configuration not reloaded, the one before stays")
		})
	}
	if rate, _ := c.accountRate(t, "shop-sinch"); rate != 1 {
		t.Errorf("the rate is %v now", rate)
	}
	c.await(t, c.post(t, "shop-third").ID, "read")

	// A signal doesn't wait for a look at the file.
	c.save(t, func(s *settings) { s.rate, s.keys = 40, nil })
	c.front.signal(t, syscall.SIGHUP)
	c.senders[0].signal(t, syscall.SIGHUP)
	awaitFor(t, reloadBound, "the old rate is back and the key is gone", func() bool {
		rate, _ := c.accountRate(t, "shop-sinch")
		a, err := newcomer.ask(t.Context(), http.MethodGet, "/v1/accounts", "")
		return rate == 40 && err == nil && a.status == http.StatusUnauthorized
	})
	for _, p := range []*process{c.front, c.senders[0]} {
		if n := strings.Count(p.stderr.String(), "configuration not reloaded"); n != 1 {
			t.Errorf("%s says %d times that the file is broken", p.name, n)
		}
		p.stop(t)
	}
}
