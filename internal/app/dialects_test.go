package app

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// sent is what is read of a message.
type sent struct {
	ID, Status string
	Attempts   []struct{ Outcome, Code string }
	Error      *struct{ Class, Code string }
}

// sendTo posts a text and waits until its status is one of those wanted.
func (i *installation) sendTo(t *testing.T, account, to string, want ...string) (m sent) {
	t.Helper()
	i.insist(t, http.StatusAccepted, http.MethodPost, "/v1/messages",
		fmt.Sprintf(`{"account":%q,"to":%q,"type":"text","text":{"body":"Hello"}}`, account, to), &m)
	await(t, fmt.Sprintf("%s's message to %s is %s", account, to, strings.Join(want, " or ")), func() bool {
		i.read(t, "/v1/messages/"+m.ID, &m)
		return slices.Contains(want, m.Status)
	})
	return m
}

// read asks until it is answered.
func (i *installation) read(t *testing.T, path string, into any) {
	t.Helper()
	i.insist(t, http.StatusOK, http.MethodGet, path, "", into)
}

// insist is ask for what may be asked again: a busy machine's API may say 503.
func (i *installation) insist(t *testing.T, status int, method, path, body string, into any) {
	t.Helper()
	once := rand.Text()
	await(t, path+" is answered", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+i.addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		if method == http.MethodPost {
			req.Header.Set("Idempotency-Key", once)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			return false
		}
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != status {
			t.Fatalf("%s answers %d: %v", path, resp.StatusCode, err)
		}
		return true
	})
}

const hosts = `
  - {id: login, provider: whatsapp-onprem, base_url: "SIMULATOR", sender: "+15550000001", username: admin, password: Passw0rd!, callback_token: callback-token-1, rate: 20}
  - {id: fresh, provider: whatsapp-onprem, base_url: "SIMULATOR", sender: "+15550000005", username: first, password: secret, new_password: "N3w-Passw0rd!", callback_token: callback-token-5, rate: 20}
  - {id: bearer, provider: whatsapp-onprem, base_url: "SIMULATOR", sender: "+15550000002", token: bearer-token-2, callback_token: callback-token-2, callback_allow: ["127.0.0.0/8"], rate: 20}
  - {id: keyed, provider: whatsapp-onprem, base_url: "SIMULATOR", sender: "+15550000003", api_key: d360-key-3, callback_token: callback-token-3, rate: 20}
  - {id: reports, provider: whatsapp-v2, base_url: "SIMULATOR/v2", sender: "+15550000004", access_token: v2-token-4, app_secret: v2-secret-4, verify_token: v2-verify-4, rate: 20}
`

func TestEachWayToAnOnPremisesHost(t *testing.T) {
	t.Parallel()
	i := installWith(t, true, hosts)
	for _, account := range []string{"login", "fresh", "bearer", "keyed"} {
		if m := i.sendTo(t, account, "+46732001122", "read"); len(m.Attempts) != 1 {
			t.Errorf("%s: attempts %+v", account, m.Attempts)
		}
	}

	t.Run("a token that is refused is replaced within the attempt", func(t *testing.T) {
		i.simulate(t, http.MethodPost, "/_sim/faults", "", `{"fault":"wrong_token","account":"login","count":1}`)
		if m := i.sendTo(t, "login", "+46732001123", "read"); len(m.Attempts) != 1 || m.Attempts[0].Outcome != "accepted" {
			t.Errorf("attempts %+v", m.Attempts)
		}
	})
	t.Run("a contact that the host doesn't know is looked up within the attempt", func(t *testing.T) {
		if m := i.sendTo(t, "login", "+46732000017", "read"); len(m.Attempts) != 1 || m.Attempts[0].Outcome != "accepted" {
			t.Errorf("attempts %+v", m.Attempts)
		}
	})
	t.Run("who isn't on WhatsApp is not sent to again", func(t *testing.T) {
		if m := i.sendTo(t, "bearer", "+46732000003", "failed"); m.Error == nil || m.Error.Code != "1013" || m.Error.Class != "recipient" {
			t.Errorf("error %+v", m.Error)
		}
		if m := i.sendTo(t, "bearer", "+46732000003", "rejected"); m.Error == nil || m.Error.Class != "suppression" {
			t.Errorf("error %+v", m.Error)
		}
	})
	t.Run("a stop is heard from whom the host knows by another number", func(t *testing.T) {
		const dialled, known = "+5511987650013", "551198760013"
		i.sendTo(t, "bearer", dialled, "read")
		i.simulate(t, http.MethodPost, "/_sim/inbound", "", `{"account":"bearer","from":"`+known+`","text":"STOP"}`)
		await(t, "the stop is heard", func() bool {
			var list struct{ Items []struct{ Recipient string } }
			i.read(t, "/v1/suppressions?account=bearer", &list)
			return strings.Contains(fmt.Sprint(list), dialled)
		})
		i.sendTo(t, "bearer", dialled, "rejected")
	})
	t.Run("a static token that is refused holds the account", func(t *testing.T) {
		i.simulate(t, http.MethodPost, "/_sim/faults", "", `{"fault":"wrong_token","account":"keyed","count":1}`)
		m := sent{}
		i.insist(t, http.StatusAccepted, http.MethodPost, "/v1/messages", `{"account":"keyed","to":"+46732001122","type":"text","text":{"body":"Hello"}}`, &m)
		var a struct {
			Hold *struct{ Reason, Scope string }
		}
		await(t, "the account is held", func() bool {
			i.read(t, "/v1/accounts/keyed", &a)
			return a.Hold != nil
		})
		if a.Hold.Reason != "Access denied" || a.Hold.Scope != "account" {
			t.Errorf("hold %+v", a.Hold)
		}
		if i.read(t, "/v1/messages/"+m.ID, &m); m.Status != "queued" {
			t.Errorf("the message is %s", m.Status)
		}
	})
}

func TestCallbacksOfAnOnPremisesHost(t *testing.T) {
	t.Parallel()
	i := installWith(t, false, hosts)
	failed := fmt.Sprintf(`{"statuses":[{"id":"gBEG1","status":"failed","timestamp":"%d","errors":[{"code":402,"title":"Business eligibility"}]}]}`, time.Now().Unix())
	post := func(query, body string) int {
		resp, err := http.Post("http://"+i.addr+"/callbacks/bearer"+query, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	held := func() bool {
		var a struct{ Hold *struct{ Reason string } }
		i.read(t, "/v1/accounts/bearer", &a)
		return a.Hold != nil
	}
	for query, want := range map[string]int{"": 401, "?callback_token=callback-token-1": 401, "?callback_token=": 401} {
		if got := post(query, failed); got != want || held() {
			t.Errorf("%q: %d, want %d; held %v", query, got, want, held())
		}
	}
	if got := post("?callback_token=callback-token-2", failed); got != http.StatusOK || !held() {
		t.Errorf("with the token: %d, held %v", got, held())
	}
}

func TestV2Reports(t *testing.T) {
	t.Parallel()
	i := installWith(t, true, hosts)
	for to, want := range map[string]string{"+46732001122": "read", "+46732000003": "failed", "+46732000002": "read", "+5511987650013": "read"} {
		i.sendTo(t, "reports", to, want)
	}
	resp, err := http.Get("http://" + i.addr + "/callbacks/reports?hub.mode=subscribe&hub.verify_token=v2-verify-4&hub.challenge=1158201444")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := make([]byte, 64)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusOK || string(body[:n]) != "1158201444" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("challenge: %d %s %q", resp.StatusCode, resp.Header.Get("Content-Type"), body[:n])
	}
	wrong, err := http.Get("http://" + i.addr + "/callbacks/reports?hub.mode=subscribe&hub.verify_token=another&hub.challenge=1158201444")
	if err != nil {
		t.Fatal(err)
	}
	wrong.Body.Close()
	if wrong.StatusCode != http.StatusForbidden {
		t.Errorf("another token: %d", wrong.StatusCode)
	}
}

func TestWhatAProviderCannotExpressIsRefusedAtAccept(t *testing.T) {
	t.Parallel()
	i := installWith(t, false, hosts)
	const (
		flow  = `"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_id":"1","flow_cta":"c"}}}`
		photo = `"type":"image","image":{"link":"https://example.com/i.jpg"}`
	)
	for _, c := range []struct{ account, content, field, provider string }{
		{"reports", `"type":"location","location":{"latitude":1,"longitude":2}`, "location", "whatsapp-v2"},
		{"reports", photo + `,"reply_to":"wamid.A"`, "reply_to", "whatsapp-v2"},
		{"reports", `"type":"image","image":{"id":"1"}`, "image.id", "whatsapp-v2"},
		{"login", flow, "interactive.type", "whatsapp-onprem"},
		{"login", `"type":"template","template":{"name":"n","language":{"code":"en"}}`, "template", "whatsapp-onprem"}, // for want of a namespace
	} {
		var problem struct {
			Errors []struct{ Field, Message string }
		}
		i.insist(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/messages",
			fmt.Sprintf(`{"account":%q,"to":"+46732001122",%s}`, c.account, c.content), &problem)
		if len(problem.Errors) != 1 || problem.Errors[0].Field != c.field || !strings.Contains(problem.Errors[0].Message, c.provider) {
			t.Errorf("%s: %+v, want %s by %s", c.content, problem.Errors, c.field, c.provider)
		}
	}
}
