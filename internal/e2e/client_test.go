//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client speaks to one API, or to a simulator.
type client struct {
	addr string
	key  string
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a request; headers are names and values in turn.
func (c client) ask(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data)}, err
}

// must is ask, and fails unless the answer has the status.
func (c client) must(t *testing.T, status int, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := c.ask(t.Context(), method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != status {
		t.Fatalf("%s %s answers %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// message is what a read shows of one.
type message struct {
	ID                string
	Account           string
	Status            string
	ProviderMessageID string `json:"provider_message_id"`
	Attempts          []struct{ Outcome string }
	History           []struct {
		Status string
		At     time.Time
	}
}

func order(account string) string {
	return fmt.Sprintf(`{"account":%q,"to":"+46732001122","type":"text","text":{"body":"Hello"}}`, account)
}

func (c client) post(t *testing.T, account string, headers ...string) (m message) {
	t.Helper()
	c.must(t, http.StatusAccepted, http.MethodPost, "/v1/messages", order(account), headers...).decode(t, &m)
	return m
}

func (c client) get(t *testing.T, id string) (m message) {
	t.Helper()
	c.must(t, http.StatusOK, http.MethodGet, "/v1/messages/"+id, "").decode(t, &m)
	return m
}

// await returns the message once it has the status.
func (c client) await(t *testing.T, id, status string) (m message) {
	t.Helper()
	await(t, "message "+id+" is "+status, func() bool {
		m = c.get(t, id)
		return m.Status == status
	})
	return m
}

// reached is when the message first had the status.
func (m message) reached(t *testing.T, status string) time.Time {
	t.Helper()
	for _, h := range m.History {
		if h.Status == status {
			return h.At
		}
	}
	t.Fatalf("%s was never %s: %+v", m.ID, status, m.History)
	return time.Time{}
}

// worker is a line of GET /v1/workers.
type worker struct {
	ID       string
	Revision int64
	Accounts []string
}

func (c client) workers(t *testing.T) []worker {
	t.Helper()
	var page struct{ Items []worker }
	c.must(t, http.StatusOK, http.MethodGet, "/v1/workers", "").decode(t, &page)
	return page.Items
}
