package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The paths of the two accounts that most tests use.
const (
	cloudPath = "/v23.0/106540352242922/messages"
	sinchPath = "/whatsapp/v1/bot-eu-1/messages"
)

func cloudAccount() Account {
	return Account{
		ID: "cloud", Dialect: WhatsAppCloud, SenderID: "106540352242922", BusinessID: "102290129340398", Number: "15550783881",
		Token: "EAATOKEN", Secret: "test_app_secret_0123456789abcdef", VerifyToken: "verify-me", CallbackURL: "http://gateway.test/callbacks/cloud",
	}
}

func sinchAccount() Account {
	return Account{
		ID: "sinch", Dialect: SinchWhatsApp, SenderID: "bot-eu-1", Number: "+46700000001",
		Token: "tok-v1", Secret: "sinch-callback-key", CallbackURL: "http://gateway.test/callbacks/sinch",
	}
}

func v2Account() Account {
	return Account{
		ID: "v2", Dialect: WhatsAppV2, SenderID: "106540352242922", BusinessID: "102290129340398", Number: "15550783881",
		Token: "S1TOKEN", Secret: "test_app_secret_0123456789abcdef", VerifyToken: "verify-me", CallbackURL: "http://gateway.test/callbacks/v2",
	}
}

func onPremAccount() Account {
	return Account{
		ID: "onprem", Dialect: WhatsAppOnPrem, Number: "+16315551000", Token: "OPTOKEN", Username: "gateway", Password: "Str0ng!Pass",
		APIKey: "KEY", MonitorKey: "monitor-key-123", Namespace: "waba_namespace",
		CallbackToken: "s3cret token", CallbackURL: "http://gateway.test/callbacks/onprem",
	}
}

// The ids of the Conversation API's test vectors.
const (
	projectID = "11111111-2222-3333-4444-555555555555"
	appID     = "01HAPP00000000000000000000"
)

func conversationAccount() Account {
	return Account{
		ID: "conversation", Dialect: SinchConversation, SenderID: "s-1", BusinessID: "102290129340398", Number: "+46700000001", Token: "bearer-of-s-1",
		ProjectID: projectID, AppID: appID, KeyID: "key-1", KeySecret: "secret-1", WebhookSecret: "gateway-test-secret",
		CallbackURL: "http://gateway.test/callbacks/conversation",
	}
}

// call is one callback that arrived.
type call struct {
	at     time.Time
	method string
	url    string
	header http.Header
	body   []byte
}

// gateway receives callbacks without a network.
type gateway struct {
	answer func(n int, req *http.Request) (status int, body string) // n from 1; status 0: no answer; nil: always 200

	mu    sync.Mutex
	calls []call
}

func (g *gateway) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	g.mu.Lock()
	g.calls = append(g.calls, call{time.Now(), req.Method, req.URL.String(), req.Header.Clone(), body})
	n := len(g.calls)
	g.mu.Unlock()
	status, text := http.StatusOK, ""
	if g.answer != nil {
		status, text = g.answer(n, req)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if status == 0 {
		return nil, errors.New("no answer")
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
}

func (g *gateway) received() []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]call(nil), g.calls...)
}

// statuses is the sequence of what was reported, in any dialect.
func (g *gateway) statuses(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, c := range g.received() {
		all = append(all, statusesOf(t, c.body)...)
	}
	return all
}

func statusesOf(t *testing.T, body []byte) []string {
	t.Helper()
	var b struct {
		Entry []struct {
			Changes []struct {
				Field string
				Value struct {
					Statuses []struct {
						Status string
						Errors []struct{ Code json.Number }
					}
					UserPreferences []struct{ Value string } `json:"user_preferences"`
				}
			}
		}
		Statuses []struct {
			State, Status, Details string
			Errors                 []struct{ Code json.Number }
		}
		Submit *struct{} `json:"message_submit_notification"`
		Report *struct {
			Status string
			Reason struct{ Code string }
		} `json:"message_delivery_report"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("callback %s: %v", body, err)
	}
	var all []string
	for _, e := range b.Entry {
		for _, c := range e.Changes {
			for _, st := range c.Value.Statuses {
				text := st.Status
				for _, e := range st.Errors {
					text += " " + e.Code.String()
				}
				all = append(all, text)
			}
			for _, p := range c.Value.UserPreferences {
				all = append(all, c.Field+" "+p.Value)
			}
		}
	}
	for _, st := range b.Statuses {
		if st.State != "" { // Sinch v1
			all = append(all, strings.TrimSpace(st.State+" "+st.Details))
			continue
		}
		for _, e := range st.Errors {
			st.Status += " " + e.Code.String()
		}
		all = append(all, st.Status)
	}
	if b.Submit != nil {
		all = append(all, "SUBMIT")
	}
	if b.Report != nil {
		all = append(all, strings.TrimSpace(b.Report.Status+" "+b.Report.Reason.Code))
	}
	return all
}

// start runs a simulator whose callbacks go to the gateway. Without accounts
// it has one of each dialect.
func start(t *testing.T, o Options, g *gateway) *Simulator {
	t.Helper()
	if o.Accounts == nil {
		o.Accounts = []Account{cloudAccount(), sinchAccount()}
	}
	o.Callbacks.Transport = g
	s := New(o)
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// answer is what came of a request.
type answer struct {
	status  int
	header  http.Header
	body    string
	aborted bool // the connection was closed instead
}

// do makes a request of the handler, without a network.
func do(t *testing.T, s *Simulator, req *http.Request) (got answer) {
	t.Helper()
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared, not an error's chain
				panic(p)
			}
			got = answer{aborted: true}
		}
	}()
	s.Handler().ServeHTTP(w, req)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

func request(t *testing.T, path, token, body string) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// sendCloud sends a body as the Cloud account.
func sendCloud(t *testing.T, s *Simulator, body string) answer {
	t.Helper()
	return do(t, s, request(t, cloudPath, "EAATOKEN", body))
}

// sendSinch sends a body as the Sinch account.
func sendSinch(t *testing.T, s *Simulator, body string) answer {
	t.Helper()
	return do(t, s, request(t, sinchPath, "tok-v1", body))
}

// get makes a GET with a bearer token.
func get(t *testing.T, s *Simulator, path, token string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	return do(t, s, req)
}

func cloudTextTo(to string) string {
	return `{"messaging_product":"whatsapp","recipient_type":"individual","to":"` + to + `","type":"text","text":{"body":"Hello"},"biz_opaque_callback_data":"m-1"}`
}

func sinchTextTo(to string) string {
	return `{"to":["` + to + `"],"message":{"type":"text","text":"Hello"}}`
}

// control makes a request of the control endpoint and decodes its answer.
func control(t *testing.T, s *Simulator, method, path, body string, into any) int {
	t.Helper()
	got := do(t, s, httptest.NewRequestWithContext(t.Context(), method, "/_sim"+path, strings.NewReader(body)))
	if into != nil {
		if err := json.Unmarshal([]byte(got.body), into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, got.body)
		}
	}
	return got.status
}

// fault puts a fault in force.
func fault(t *testing.T, s *Simulator, body string) {
	t.Helper()
	if status := control(t, s, http.MethodPost, "/faults", body, nil); status != http.StatusCreated {
		t.Fatalf("fault %s: status %d", body, status)
	}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// sameJSON compares as JSON values.
func sameJSON(t *testing.T, what, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v in %q", what, err, got)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(want)))
	if err := dec.Decode(&w); err != nil {
		t.Fatalf("%s: the wanted JSON: %v", what, err)
	}
	diff(t, what, g, w)
}

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
}
