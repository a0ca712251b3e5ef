package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for everything that is awaited here.
const patience = 20 * time.Second

// text is an io.Writer that is read meanwhile.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// demo is one Run.
type demo struct {
	api, simulator string
	out            *text
	cancel         context.CancelFunc
	ended          chan struct{}
	err            error // once ended
}

// run runs a demonstration on free ports until the test ends, and returns when
// it is ready.
func run(t *testing.T, o Options) *demo {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	d := &demo{out: &text{}, cancel: cancel, ended: make(chan struct{})}
	ready := make(chan struct{})
	o.Listen, o.SimulatorListen = "127.0.0.1:0", "127.0.0.1:0"
	o.Out, o.Log = d.out, slog.New(slog.DiscardHandler)
	o.Ready = func(api, simulator string) {
		d.api, d.simulator = api, simulator
		close(ready)
	}
	go func() {
		defer close(d.ended)
		d.err = Run(ctx, o)
	}()
	t.Cleanup(func() { d.cancel(); <-d.ended })
	select {
	case <-ready:
	case <-d.ended:
		t.Fatalf("it ended: %v", d.err)
	case <-time.After(patience):
		t.Fatal("it never was ready")
	}
	return d
}

// stop ends the demonstration as a signal would, and waits for it.
func (d *demo) stop(t *testing.T) {
	t.Helper()
	d.cancel()
	d.awaitEnd(t)
	if d.err != nil {
		t.Fatalf("Run = %v", d.err)
	}
}

func (d *demo) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatal("it didn't end")
	}
}

// ask makes a request with the demonstration's key and decodes the answer.
func ask(t *testing.T, method, url, body string, status int, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+Key)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
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
		t.Fatalf("%s %s answers %d, want %d: %s", method, req.URL.Path, resp.StatusCode, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %v: %s", method, req.URL.Path, err, answer)
		}
	}
}

// message is what a read shows of one.
type message struct {
	ID                string
	Account           string
	Status            string
	ProviderMessageID string `json:"provider_message_id"`
	Attempts          []struct {
		Number  int
		Outcome string
	}
	History []struct{ Status string }
}

func (d *demo) post(t *testing.T, account string) (m message) {
	t.Helper()
	body := fmt.Sprintf(`{"account":%q,"to":"+46732001122","type":"text","text":{"body":"Hello"}}`, account)
	ask(t, http.MethodPost, "http://"+d.api+"/v1/messages", body, http.StatusAccepted, &m)
	return m
}

func (d *demo) get(t *testing.T, id string) (m message) {
	t.Helper()
	ask(t, http.MethodGet, "http://"+d.api+"/v1/messages/"+id, "", http.StatusOK, &m)
	return m
}

// await returns the message once it has the status.
func (d *demo) await(t *testing.T, id, status string) (m message) {
	t.Helper()
	await(t, "the message is "+status, func() bool {
		m = d.get(t, id)
		return m.Status == status
	})
	return m
}

// await waits until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
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

func statuses(m message) (all []string) {
	for _, h := range m.History {
		all = append(all, h.Status)
	}
	return all
}
