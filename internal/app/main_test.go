package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"sluice/internal/config"
	"sluice/internal/redistest"
	"sluice/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	key      = "sluice_key_of_the_tests"
	patience = 15 * time.Second
)

var discard = slog.New(slog.DiscardHandler)

// keyed is a configuration that the tests' key is added to.
func keyed(text string) string {
	return strings.Replace(text, "KEY", fmt.Sprintf(`{name: tests, hash: "sha256:%x", accounts: ["*"], scopes: [send, read, operate]}`, sha256.Sum256([]byte(key))), 1)
}

// parse reads a configuration that the tests' key is added to.
func parse(tb testing.TB, text string) *config.Config {
	tb.Helper()
	c, err := config.Parse([]byte(keyed(text)), "", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// open opens a port that is closed with the test.
func open(tb testing.TB) *Port {
	tb.Helper()
	p, err := OpenPort(tb.Context(), "test", "127.0.0.1:0", discard)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

// installation is everything in this process.
type installation struct {
	config *config.Config
	api    *API
	worker *Worker // nil: none works
	addr   string

	providers string // the simulator's address
	redis     *redistest.Server
}

// install runs an API, the simulator and, if it says so, a worker until the
// test ends.
func install(t *testing.T, works bool) *installation {
	t.Helper()
	return installWith(t, works, "")
}

// installWith is install with more accounts, whose hosts are at SIMULATOR.
func installWith(tb testing.TB, works bool, accounts string) *installation {
	tb.Helper()
	return installChanged(tb, works, accounts, func([]simulator.Account) {}, func(*Directory) {})
}

// installChanged is installWith with other providers: change what is simulated,
// and what the worker knows of it.
func installChanged(
	tb testing.TB, works bool, accounts string, changeSimulated func([]simulator.Account), changeKnown func(*Directory),
) *installation {
	tb.Helper()
	port, providers, rdb := open(tb), open(tb), redistest.New(tb)
	cfg := parse(tb, fmt.Sprintf(`
redis: {url: %q}
api: {admin_listen: "127.0.0.1:0", public_url: "http://%s", keys: [KEY]}
worker: {admin_listen: "127.0.0.1:0"}
network: {allow_hosts: ["127.0.0.0/8"]}
callbacks: {secrets: ["whsec_%s"]}
accounts:
  - {id: cloud, provider: whatsapp-cloud, base_url: "http://%s/v23.0", phone_number_id: "1", access_token: t, app_secret: s, verify_token: v, rate: 20}
  - {id: mute, provider: whatsapp-v2, base_url: "http://%s/v2", access_token: m, rate: 20}
  - {id: stopped, provider: sinch-whatsapp, base_url: "http://%s", region: eu1, bot_id: b, token: t, callback_secret: s, paused: true}
%s`, rdb.URL, port.Addr(), base64.StdEncoding.EncodeToString([]byte("secret of the tests.")), providers.Addr(), providers.Addr(), providers.Addr(),
		strings.ReplaceAll(accounts, "SIMULATOR", "http://"+providers.Addr())))
	simulated := SimulatedAccounts(cfg)
	changeSimulated(simulated)
	simulate(tb, providers, simulated)
	i := launch(tb, cfg, port, works, changeKnown)
	i.providers, i.redis = providers.Addr(), rdb
	return i
}

// simulate runs a simulator of the accounts until the test ends.
func simulate(tb testing.TB, port *Port, accounts []simulator.Account) {
	tb.Helper()
	sim := simulator.New(simulator.Options{Accounts: accounts})
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return port.Serve(ctx, sim.Handler()) })
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(sim.Close(context.Background()), running.Wait()); err != nil {
			tb.Error(err)
		}
	})
}

// launch runs an API and, if it says so, a worker until the test ends. change is
// given the worker's directory before.
func launch(tb testing.TB, cfg *config.Config, port *Port, works bool, change func(*Directory)) *installation {
	tb.Helper()
	api, err := NewAPI(tb.Context(), Options{Config: cfg, Log: discard, Port: port})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return api.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		if err := running.Wait(); err != nil {
			tb.Error(err)
		}
	})
	i := &installation{config: cfg, api: api, addr: port.Addr()}
	if works {
		i.worker = work(tb, cfg, change)
	}
	return i
}

// work runs a worker, of a directory that was changed, until the test ends.
func work(tb testing.TB, cfg *config.Config, change func(*Directory)) *Worker {
	tb.Helper()
	worker, err := NewWorker(tb.Context(), Options{Config: cfg, Log: discard})
	if err != nil {
		tb.Fatal(err)
	}
	change(worker.directory)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return worker
}

func (i *installation) ask(t *testing.T, status int, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+i.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s %s answers %d: %s", method, path, resp.StatusCode, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
	}
}

type message struct {
	ID, Status        string
	ProviderMessageID string `json:"provider_message_id"`
	Attempts          []struct{ Outcome, Code string }
	SendAt            time.Time `json:"send_at"`
	History           []struct {
		Status string
		At     time.Time
	}
}

func (m message) reached(status string) time.Time {
	for _, h := range m.History {
		if h.Status == status {
			return h.At
		}
	}
	return time.Time{}
}

func (i *installation) post(t *testing.T, account, more string) (m message) {
	t.Helper()
	return i.postTo(t, account, "+46732001122", more)
}

func (i *installation) postTo(t *testing.T, account, to, more string) (m message) {
	t.Helper()
	body := fmt.Sprintf(`{"account":%q,"to":%q,"type":"text","text":{"body":"Hello"}%s}`, account, to, more)
	i.ask(t, http.StatusAccepted, http.MethodPost, "/v1/messages", body, &m)
	return m
}

func (i *installation) get(t *testing.T, id string) (m message) {
	t.Helper()
	i.ask(t, http.StatusOK, http.MethodGet, "/v1/messages/"+id, "", &m)
	return m
}

// simulate tells or asks the simulator something.
func (i *installation) simulate(t *testing.T, method, path, token, body string) (answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+i.providers+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ = io.ReadAll(resp.Body); resp.StatusCode > 299 {
		t.Fatalf("%s %s answers %d: %s", method, path, resp.StatusCode, answer)
	}
	return answer
}

// await waits until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
