package whatsapponprem_test

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapponprem"
)

const contactsPath = "/v1/contacts"

var (
	unauthorized = sender.Answer{Status: 401, Body: []byte(denied)}
	noContact    = sender.Answer{Status: 404, Body: []byte(`{"errors":[{"code":1006,"title":"Resource not found","details":"unknown contact"}]}`)}
)

func render(t *testing.T, p *whatsapponprem.Provider, c sender.Call) (authorization, to string, err error) {
	t.Helper()
	req, err := p.NewRequest(t.Context(), c)
	if err != nil {
		return "", "", err
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		To string `json:"to"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	return req.Header.Get("Authorization"), body.To, nil
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	h := newHost()
	p := whatsapponprem.New(loggingIn(h))
	c := plainCall(t, "m1")
	wantBearer(t, p, "Bearer OPTOKEN-1")
	if _, _, err := render(t, p, c); err != nil {
		t.Fatal(err)
	}
	h.revoke()
	if !p.Recover(t.Context(), c, unauthorized) {
		t.Fatal("not again, after the first 401")
	}
	if auth, _, err := render(t, p, c); err != nil || auth != "Bearer OPTOKEN-2" {
		t.Errorf("again with %q, %v", auth, err)
	}
	if p.Recover(t.Context(), c, unauthorized) {
		t.Error("again, after the second 401")
	}
	wantLogins(t, h, 2)
}

func TestARefusedTokenIsReplacedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		p := whatsapponprem.New(loggingIn(h))
		var calls []sender.Call
		for _, id := range []gateway.MessageID{"m1", "m2", "m3", "m4", "m5"} {
			c := plainCall(t, id)
			if _, _, err := render(t, p, c); err != nil {
				t.Fatal(err)
			}
			calls = append(calls, c)
		}
		h.revoke()
		var wg sync.WaitGroup
		for _, c := range calls[:4] {
			wg.Go(func() {
				if !p.Recover(t.Context(), c, unauthorized) {
					t.Errorf("%s: not again", c.Message.ID)
				}
			})
		}
		wg.Wait()
		pass(time.Hour)
		if !p.Recover(t.Context(), calls[4], unauthorized) { // whose answer was late
			t.Error("the late one: not again")
		}
		wantLogins(t, h, 2)
	})
}

func TestARefusedTokenIsNotUsedAgain(t *testing.T) {
	h := newHost()
	p := whatsapponprem.New(loggingIn(h))
	c := plainCall(t, "m1")
	if _, _, err := render(t, p, c); err != nil {
		t.Fatal(err)
	}
	h.password = "another"
	if p.Recover(t.Context(), c, unauthorized) {
		t.Error("again, although the login failed")
	}
	if _, err := bearer(t.Context(), t, p); err == nil {
		t.Error("the refused token is used again")
	}
}

func TestRecoverHasNothingToDo(t *testing.T) {
	h := newHost()
	login := whatsapponprem.New(loggingIn(h))
	static := whatsapponprem.New(settings(hostURL))
	for _, c := range []struct {
		name string
		p    *whatsapponprem.Provider
		a    sender.Answer
	}{
		{"about a token that lasts", static, unauthorized},
		{"about a limit", login, sender.Answer{Status: 429, Body: []byte(`{"errors":[{"code":1015}]}`)}},
		{"about a file", login, sender.Answer{Status: 404, Body: []byte(`{"errors":[{"code":1006,"details":"media not found"}]}`)}},
		{"about a parameter", login, sender.Answer{Status: 400, Body: []byte(`{"errors":[{"code":1009,"details":"unknown contact"}]}`)}},
		{"about HTML", login, sender.Answer{Status: 502, Body: []byte(`<html>1006 unknown contact`)}},
		{"about nothing", login, sender.Answer{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.p.Recover(t.Context(), plainCall(t, "m"), c.a) {
				t.Error("again")
			}
		})
	}
	if calls := h.made(""); len(calls) > 0 {
		t.Errorf("the host was asked: %v", calls)
	}
}

// S2-03 and R-09 of the reference.
func TestAnUnknownContactIsLookedUpOnce(t *testing.T) {
	h := newHost()
	h.contacts = `{"contacts":[{"input":"+1 (631) 555-1002","status":"valid","wa_id":"16315551002"},{"input":"+250788123123","status":"valid","wa_id":"250788123124"}],"meta":{"version":"v2.45.1"}}`
	p := whatsapponprem.New(loggingIn(h))
	c := plainCall(t, "m1")
	if _, to, err := render(t, p, c); err != nil || to != "250788123123" {
		t.Fatalf("first to %q, %v", to, err)
	}
	if !p.Recover(t.Context(), c, noContact) {
		t.Fatal("not again")
	}
	want := []call{{
		Method: "POST", Path: contactsPath, Authorization: "Bearer OPTOKEN-1", ContentType: "application/json",
		Length: 67, Body: `{"blocking":"wait","contacts":["+250788123123"],"force_check":true}`,
	}}
	if diff := cmp.Diff(want, h.made(contactsPath)); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if _, to, err := render(t, p, c); err != nil || to != "250788123124" {
		t.Errorf("again to %q, %v", to, err)
	}

	// The host refuses its own number: the message fails, and nobody is put on
	// the list of those not to be sent to.
	if !p.Recover(t.Context(), c, noContact) {
		t.Fatal("the verdict isn't told")
	}
	_, _, err := render(t, p, c)
	if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassRecipient || e.Code != "1006" {
		t.Errorf("told %v", err)
	}
	if n := len(h.made(contactsPath)); n != 1 {
		t.Errorf("%d checks", n)
	}

	// Later messages go to the host's number at once.
	if _, to, err := render(t, p, plainCall(t, "m2")); err != nil || to != "250788123124" {
		t.Errorf("the next one to %q, %v", to, err)
	}
}

func TestACheckOfAContactSaysWhatItMeans(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer reply
		to     string // sent again
		told   string // by NewRequest
	}{
		{"the host's number differs", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"valid","wa_id":"25078812312"}]}`}, "25078812312", ""},
		{"the host's number is the same", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"valid","wa_id":"250788123123"}]}`}, "250788123123", ""},
		{"the input is echoed another way", reply{status: 201, body: `{"contacts":[{"input":"250 788 123 123","status":"valid","wa_id":250788123123}]}`}, "250788123123", ""},
		{"not on WhatsApp", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"invalid"}]}`}, "", "recipient 1006, not on WhatsApp"},
		{"not on WhatsApp, by an error", reply{status: 400, body: `{"errors":[{"code":1013,"title":"User is not valid"}]}`}, "", "recipient 1006, not on WhatsApp"},
		{"still at it", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"processing"}]}`}, "", "transient contact_check"},
		{"failed", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"failed"}]}`}, "", "transient contact_check"},
		{"valid, without a number", reply{status: 200, body: `{"contacts":[{"input":"+250788123123","status":"valid"}]}`}, "", "transient contact_check"},
		{"somebody else", reply{status: 200, body: `{"contacts":[{"input":"+250788123124","status":"invalid"}]}`}, "", "transient contact_check"},
		{"nothing", reply{status: 200, body: `{}`}, "", "transient contact_check"},
		{"HTML", reply{status: 200, body: `<html>`}, "", "transient contact_check"},
		{"too many", reply{status: 429, body: `{"errors":[{"code":1015,"title":"Too many requests"}]}`}, "", "throttled 1015"},
		{"overloaded", reply{status: 503, body: `{"errors":[{"code":1016,"title":"System overloaded"}]}`}, "", "throttled 1016"},
		{"in distress", reply{status: 502, body: `<html>`}, "", "transient http_502"},
		{"locked", reply{status: 403, body: `{"errors":[{"code":1031,"title":"Sender account locked"}]}`}, "", "suspended 1031"},
		{"not allowed", reply{status: 403, body: `<html>`}, "", "transient http_403"},
		{"not allowed, by an error", reply{status: 403, body: `{"errors":[{"code":1005,"title":"Access denied"}]}`}, "", "transient 1005"},
		{"no answer", reply{err: errors.New("connection reset")}, "", "transient connect"},
		{"a host without the check", reply{status: 404, body: `<html>`}, "", "recipient 1006"},
		{"a check that is refused", reply{status: 400, body: `{"errors":[{"code":1010,"title":"Parameter is not required"}]}`}, "", "recipient 1006"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.answerFirst(contactsPath, c.answer)
			p := whatsapponprem.New(loggingIn(h))
			call := plainCall(t, "m1")
			if _, _, err := render(t, p, call); err != nil {
				t.Fatal(err)
			}
			if !p.Recover(t.Context(), call, noContact) {
				t.Fatal("the answer isn't told")
			}
			_, to, err := render(t, p, call)
			told := ""
			if e, ok := errors.AsType[*gateway.Error](err); ok {
				told = string(e.Class) + " " + e.Code
			} else if v, ok := errors.AsType[*sender.Verdict](err); ok {
				told = string(v.Result.Error.Class) + " " + v.Result.Error.Code + ", " + v.Result.Suppress.Reason
			} else if err != nil {
				t.Fatal(err)
			}
			if to != c.to || told != c.told {
				t.Errorf("to %q, told %q; want %q, %q", to, told, c.to, c.told)
			}
			if c.told != "" { // once: another attempt is another matter
				call.Attempt++
				if _, _, err := render(t, p, call); err != nil {
					t.Errorf("the next attempt: %v", err)
				}
			}
		})
	}
}

// R-09 of the reference: who the host says isn't on WhatsApp isn't sent to again.
func TestWhoIsNotOnWhatsAppIsNotSentToAgain(t *testing.T) {
	h := newHost()
	h.contacts = `{"contacts":[{"input":"+250788123123","status":"invalid"}]}`
	p := whatsapponprem.New(loggingIn(h))
	c := plainCall(t, "m1")
	if _, _, err := render(t, p, c); err != nil {
		t.Fatal(err)
	}
	p.Recover(t.Context(), c, noContact)
	_, _, err := render(t, p, c)
	v, ok := errors.AsType[*sender.Verdict](err)
	if !ok {
		t.Fatalf("told %v", err)
	}
	want := gone("1006", "Resource not found")
	want.Error.Detail = "unknown contact"
	if diff := cmp.Diff(want, v.Result); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestACheckLogsInAnewToo(t *testing.T) {
	h := newHost()
	h.contacts = `{"contacts":[{"input":"+250788123123","status":"valid","wa_id":"250788123124"}]}`
	p := whatsapponprem.New(loggingIn(h))
	c := plainCall(t, "m1")
	if _, _, err := render(t, p, c); err != nil {
		t.Fatal(err)
	}
	h.revoke()
	if !p.Recover(t.Context(), c, noContact) {
		t.Fatal("not again")
	}
	if auth, to, err := render(t, p, c); err != nil || auth != "Bearer OPTOKEN-2" || to != "250788123124" {
		t.Errorf("again with %q to %q, %v", auth, to, err)
	}
}

// R-12 of the reference.
func TestTheHostsNumberOfARecipientIsKept(t *testing.T) {
	p := whatsapponprem.New(settings(hostURL))
	c := plainCall(t, "m1")
	c.Message.Recipient = "+5511987654321"
	if _, to, _ := render(t, p, c); to != "5511987654321" {
		t.Fatalf("first to %q", to)
	}
	p.Interpret(sender.Answer{Status: 201, Body: []byte(`{"contacts":[{"input":"5511987654321","wa_id":"551187654321"}],"messages":[{"id":"157b"}]}`)})
	if _, to, _ := render(t, p, c); to != "551187654321" {
		t.Errorf("then to %q", to)
	}
	p.Interpret(sender.Answer{Status: 201, Body: []byte(`{"contacts":[{"input":"5511987654321","wa_id":"5511987654321"}],"messages":[{"id":"157c"}]}`)})
	if _, to, _ := render(t, p, c); to != "5511987654321" {
		t.Errorf("at last to %q", to)
	}
}
