package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// hook is a caller's receiver. It refuses the first call of each message.
type hook struct {
	*httptest.Server

	mu      sync.Mutex
	refused map[string]bool
	told    map[string][]string // statuses by message id, "previous>status"
	bad     []string
}

func newHook(t *testing.T, secret []byte) *hook {
	t.Helper()
	h := &hook{refused: map[string]bool{}, told: map[string][]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		var event struct {
			Type string
			Data struct{ ID, Status, Previous string }
		}
		err := json.Unmarshal(body, &event)
		h.mu.Lock()
		defer h.mu.Unlock()
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || r.Header.Get("Webhook-Signature") != want || event.Type != "message.status" {
			h.bad = append(h.bad, string(body))
		}
		if !h.refused[event.Data.ID] {
			h.refused[event.Data.ID] = true
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h.told[event.Data.ID] = append(h.told[event.Data.ID], event.Data.Previous+">"+event.Data.Status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) of(id string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told[id])
}

func TestCallerIsToldEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	h := newHook(t, []byte("secret of the tests."))
	m := i.post(t, "cloud", fmt.Sprintf(`,"callback_url":%q`, h.URL+"/status"))
	want := []string{"queued>sending", "sending>accepted", "accepted>sent", "sent>delivered", "delivered>read"}
	await(t, "the caller has been told", func() bool { return len(h.of(m.ID)) >= len(want) })
	if got := h.of(m.ID); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if len(h.bad) > 0 {
		t.Errorf("calls that aren't what they should be: %v", h.bad)
	}
}

func TestWhoSaysStopIsNotWrittenToAgain(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	say := func(text string) {
		body := fmt.Sprintf(`{"account":"cloud","from":"+46732001122","text":%q}`, text)
		resp, err := http.Post("http://"+i.providers+"/_sim/inbound", "application/json", strings.NewReader(body))
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	ends := func(want string) func() bool {
		return func() bool {
			m, status := i.post(t, "cloud", ""), ""
			await(t, "a message ends", func() bool {
				status = i.get(t, m.ID).Status
				return status == "rejected" || status == "read"
			})
			return status == want
		}
	}
	say("Stop!")
	await(t, "messages are refused", ends("rejected"))
	say("START")
	await(t, "messages are sent again", ends("read"))
}

func TestStatusIsAskedForWhereNoCallbackIsAuthentic(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	m := i.post(t, "mute", "")
	await(t, "the message is read", func() bool { m = i.get(t, m.ID); return m.Status == "read" })
	// The first question comes when it has long been read: a callback would have
	// told of the steps between.
	var got []string
	for _, h := range m.History {
		got = append(got, h.Status)
	}
	if want := []string{"queued", "sending", "accepted", "read"}; !slices.Equal(got, want) {
		t.Errorf("it was %v, want %v", got, want)
	}
}

func TestAMessageWhoseAnswerWasLostIsLookedFor(t *testing.T) {
	t.Parallel()
	// Without a webhook_secret no callback is authentic: only a question can tell.
	i := installWith(t, true, `  - {id: lists, provider: sinch-conversation, base_url: "SIMULATOR", auth_url: "SIMULATOR/oauth2/token", region: eu,
     project_id: p, app_id: 01HAPP00000000000000000000, key_id: k, key_secret: s, rate: 20}`)
	m := i.postTo(t, "lists", "+46732000012", "") // accepted, and the connection dropped
	await(t, "its outcome is unknown", func() bool { m = i.get(t, m.ID); return m.Status == "unknown" })
	await(t, "it is found", func() bool { m = i.get(t, m.ID); return m.Status == "accepted" })
	if len(m.Attempts) != 1 || m.ProviderMessageID == "" {
		t.Errorf("%d attempts, the provider's id is %q", len(m.Attempts), m.ProviderMessageID)
	}
}
