package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestPostIsAcceptedAndAnswered(t *testing.T) {
	s := newStage(t)
	a := s.do(http.MethodPost, "/v1/messages", keySend, text(`"reference":"order-4711"`)).wants(http.StatusAccepted)
	posts := s.store.accepted()
	if len(posts) != 1 {
		t.Fatalf("%d posts, want 1", len(posts))
	}
	id := posts[0].Message.ID
	want := `{"id":"` + string(id) + `","account":"shop-eu","to":"+46732001122","type":"text","priority":"transactional",` +
		`"status":"queued","reference":"order-4711","created_at":"2026-11-21T12:00:00.123Z"}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := a.Header().Get("Location"); got != "/v1/messages/"+string(id) {
		t.Errorf("Location %q", got)
	}
	if got := a.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := a.Header()["Idempotent-Replayed"]; got != nil {
		t.Errorf("Idempotent-Replayed %q on a first post", got)
	}
	if diff := cmp.Diff([]gateway.MessageID{id}, s.queue.heard()); diff != "" {
		t.Errorf("queue heard (-want +got):\n%s", diff)
	}
}

func TestPostBecomesAMessageWithEveryDefault(t *testing.T) {
	plainText := gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "hi"}}
	for _, tc := range []struct {
		name string
		body string
		want gateway.Message
	}{
		{
			"defaults are the account's", text(""),
			gateway.Message{Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown, ExpiresAt: noon.Add(24 * time.Hour)},
		},
		{
			"everything given is kept", text(`"priority":"bulk","reference":"r","ttl":"10m","send_at":"2026-11-21T14:00:00.5+01:00",` +
				`"on_unknown":"resend","reply_to":"wamid.1","callback_url":"https://hooks.example/a","metadata":{"campaign":"nov"}`),
			gateway.Message{
				Priority: gateway.Bulk, Reference: "r", OnUnknown: gateway.ResendUnknown, ReplyTo: "wamid.1",
				CallbackURL: "https://hooks.example/a", Metadata: map[string]string{"campaign": "nov"},
				SendAt:    time.Date(2026, 11, 21, 13, 0, 0, 5e8, time.UTC),
				ExpiresAt: time.Date(2026, 11, 21, 13, 10, 0, 5e8, time.UTC),
			},
		},
		{
			"send_at is never rounded down", text(`"send_at":"2026-11-21T13:00:00.0000001Z","ttl":"2d"`),
			gateway.Message{
				Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown,
				SendAt:    time.Date(2026, 11, 21, 13, 0, 0, 1e6, time.UTC),
				ExpiresAt: time.Date(2026, 11, 23, 13, 0, 0, 1e6, time.UTC),
			},
		},
		{
			"a send_at a little late means now", text(`"send_at":"2026-11-21T11:59:30Z"`),
			gateway.Message{Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown, ExpiresAt: noon.Add(24 * time.Hour)},
		},
		{
			"expires_at is never rounded up", text(`"expires_at":"2026-11-21T13:00:00.0009Z"`),
			gateway.Message{
				Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown,
				ExpiresAt: time.Date(2026, 11, 21, 13, 0, 0, 0, time.UTC),
			},
		},
		{
			"the furthest send_at and the longest ttl", text(`"send_at":"2027-02-19T12:00:00.123Z","ttl":"30d"`),
			gateway.Message{
				Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown,
				SendAt: noon.Add(90 * day), ExpiresAt: noon.Add(120 * day),
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			a := s.post(tc.body).wants(http.StatusAccepted)
			got := s.store.accepted()[0].Message
			want := tc.want
			want.ID, want.Account, want.Recipient, want.Content, want.CreatedAt = got.ID, "shop-eu", "+46732001122", plainText, noon
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			status := "queued"
			if !want.SendAt.IsZero() {
				status = "scheduled"
			}
			if got := a.object()["status"]; got != status {
				t.Errorf("status %q, want %q", got, status)
			}
		})
	}
}

func TestPostsAtTheEdgeAreAccepted(t *testing.T) {
	whole := text(`"reference":"` + strings.Repeat("r", 255) + `"`)
	for _, tc := range []struct {
		name, body string
		headers    []string
	}{
		{"text of 4096 characters, each of four bytes", sending("text", `{"body":"`+strings.Repeat("😀", 4096)+`"}`), nil},
		{"a surrogate pair", sending("text", `{"body":"\ud83d\ude00"}`), nil},
		{"text with newline and tab", sending("text", `{"body":"a\n\tb"}`), nil},
		{"caption of 1024 characters", sending("image", `{"id":"1","caption":"`+strings.Repeat("å", 1024)+`"}`), nil},
		{"20 pairs of metadata", text(`"metadata":` + pairs(20, "v")), nil},
		{"metadata of 2 KB", text(`"metadata":{"k":"` + strings.Repeat("x", 2047) + `"}`), nil},
		{"a body of 256 KiB", whole + strings.Repeat(" ", maxBody-len(whole)), nil},
		{"an idempotency key of 255 characters", text(""), []string{"Idempotency-Key", strings.Repeat("å", 255)}},
		{"a content type with charset", text(""), []string{"Content-Type", `Application/JSON; charset="UTF-8"`}},
		{"a scheme in lower case", text(""), []string{"Authorization", "bearer " + keyAll}},
		{"strings for numbers", sending("location", `{"latitude":"55.7","longitude":12}`), nil},
		{"a null", text(`"ttl":null`), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			s.post(tc.body, tc.headers...).wants(http.StatusAccepted)
		})
	}
}

func TestBodyOverTheLimitIsRefusedWithoutItsLength(t *testing.T) {
	s := newStage(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/messages", struct{ *strings.Reader }{strings.NewReader(text("") + strings.Repeat(" ", maxBody))})
	if req.ContentLength != -1 {
		t.Fatalf("length %d is known", req.ContentLength)
	}
	req.Header.Set("Authorization", "Bearer "+keyAll)
	req.Header.Set("Content-Type", "application/json")
	s.send(req).problem(http.StatusRequestEntityTooLarge, "too-large")
	nothingAccepted(t, s)
}

// unread is a body that must not be waited for.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

func TestBodyOverTheLimitIsRefusedBeforeItArrives(t *testing.T) {
	s := newStage(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/messages", unread{t})
	req.ContentLength = maxBody + 1
	req.Header.Set("Authorization", "Bearer "+keyAll)
	req.Header.Set("Content-Type", "application/json")
	s.send(req).problem(http.StatusRequestEntityTooLarge, "too-large")
}

func TestBrokenUploadIsRefused(t *testing.T) {
	s := newStage(t)
	body := io.MultiReader(strings.NewReader(text("")), iotest.ErrReader(io.ErrUnexpectedEOF)) // all of it, but who knows?
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/messages", body)
	req.Header.Set("Authorization", "Bearer "+keyAll)
	req.Header.Set("Content-Type", "application/json")
	s.send(req).problem(http.StatusBadRequest, "malformed")
	nothingAccepted(t, s)
}

func TestCallerWhoHangsUpStopsReadsOnly(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ask := func(method, path, body string) answer {
		req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+keyAll)
		req.Header.Set("Content-Type", "application/json")
		return s.send(req)
	}
	ask(http.MethodPost, "/v1/messages", text("")).wants(http.StatusAccepted)
	ask(http.MethodGet, "/v1/messages", "").problem(http.StatusServiceUnavailable, "unavailable")
}

func TestIdempotencyKeyHeaderIsStrict(t *testing.T) {
	for name, values := range map[string][]string{"empty": {""}, "given twice": {"a", "a"}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/messages", strings.NewReader(text("")))
			req.Header = http.Header{"Authorization": {"Bearer " + keyAll}, "Content-Type": {"application/json"}, "Idempotency-Key": values}
			p := s.send(req).problem(http.StatusUnprocessableEntity, "validation")
			if diff := cmp.Diff([]string{"Idempotency-Key"}, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			nothingAccepted(t, s)
		})
	}
}

func TestRepeatedPostGetsTheFirstAnswer(t *testing.T) {
	s := newStage(t)
	first := s.post(text(`"metadata":{"a":"1","b":"2"}`), "Idempotency-Key", "k").wants(http.StatusAccepted)
	s.at(noon.Add(time.Hour))
	id := gateway.MessageID(first.object()["id"].(string))
	if _, err := s.store.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"word for word":                  text(`"metadata":{"a":"1","b":"2"}`),
		"in another order and spacing":   `{ "metadata":{"b":"2","a":"1"}, "text":{"body":"hi"}, "type":"text","to":"+46732001122", "account":"shop-eu" }`,
		"with defaults spelt out":        text(`"metadata":{"a":"1","b":"2"},"priority":"transactional","ttl":"24h","on_unknown":"hold"`),
		"with a default in another form": text(`"metadata":{"a":"1","b":"2"},"ttl":"1d"`),
		"with escapes":                   strings.Replace(text(`"metadata":{"a":"1","b":"2"}`), `"hi"`, `"\u0068i"`, 1),
		"with nulls":                     text(`"metadata":{"a":"1","b":"2"},"reference":null,"image":null`),
	} {
		t.Run(name, func(t *testing.T) {
			again := s.post(body, "Idempotency-Key", "k").wants(http.StatusAccepted)
			if diff := cmp.Diff(first.Body.String(), again.Body.String()); diff != "" {
				t.Errorf("answer (-first +again):\n%s", diff)
			}
			if got := again.Header().Get("Idempotent-Replayed"); got != "true" {
				t.Errorf("Idempotent-Replayed %q", got)
			}
			if first.Header().Get("Location") != again.Header().Get("Location") {
				t.Errorf("Location %q", again.Header().Get("Location"))
			}
		})
	}
	if n, told := len(s.store.accepted()), len(s.queue.heard()); n != 1 || told != 1 {
		t.Errorf("accepted %d, queued %d; want 1 of each", n, told)
	}
}

func TestIdempotencyKeyWithAnotherBodyIsRefused(t *testing.T) {
	for name, other := range map[string]string{
		"another text":      strings.Replace(text(""), "hi", "ho", 1),
		"another recipient": strings.Replace(text(""), "1122", "1133", 1),
		"a flag":            sending("text", `{"body":"hi","preview_url":true}`),
		"another ttl":       text(`"ttl":"23h"`),
		"metadata":          text(`"metadata":{"a":"1"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.post(text(""), "Idempotency-Key", "k").wants(http.StatusAccepted)
			p := s.post(other, "Idempotency-Key", "k").problem(http.StatusUnprocessableEntity, "key-reused")
			if diff := cmp.Diff([]string{"Idempotency-Key"}, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if n := len(s.store.accepted()); n != 1 {
				t.Errorf("accepted %d posts, want the first", n)
			}
		})
	}
}

func TestKeyIsScopedToTheAccount(t *testing.T) {
	s := newStage(t)
	s.post(text(""), "Idempotency-Key", "k").wants(http.StatusAccepted)
	a := s.post(strings.Replace(text(""), "shop-eu", "shop-us", 1), "Idempotency-Key", "k").wants(http.StatusAccepted)
	if a.Header().Get("Idempotent-Replayed") != "" || len(s.store.accepted()) != 2 {
		t.Error("the other account's post counts as a repetition")
	}
}

func TestRefusedPostClaimsNoKey(t *testing.T) {
	s := newStage(t)
	s.post(text(`"ttl":"-1s"`), "Idempotency-Key", "k").wants(http.StatusUnprocessableEntity)
	if a := s.post(text(""), "Idempotency-Key", "k").wants(http.StatusAccepted); a.Header().Get("Idempotent-Replayed") != "" {
		t.Error("replayed")
	}
}

func TestRepetitionAfterItsTimesHavePassed(t *testing.T) {
	for name, members := range map[string]string{
		"send_at":    `"send_at":"2026-11-21T12:10:00Z"`,
		"expires_at": `"expires_at":"2026-11-21T12:10:00Z"`,
		"both":       `"send_at":"2026-11-21T12:10:00Z","expires_at":"2026-11-21T12:20:00Z"`,
	} {
		t.Run(name+" is recognised", func(t *testing.T) {
			s := newStage(t)
			first := s.post(text(members), "Idempotency-Key", "k").wants(http.StatusAccepted)
			s.at(noon.Add(time.Hour))
			again := s.post(text(members), "Idempotency-Key", "k").wants(http.StatusAccepted)
			if again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
				t.Errorf("answer %s", again.Body)
			}
			s.post(text(members), "Idempotency-Key", "other").problem(http.StatusUnprocessableEntity, "validation")
			s.post(text(members)).problem(http.StatusUnprocessableEntity, "validation")
			s.post(text(members+`,"reference":"r"`), "Idempotency-Key", "k").problem(http.StatusUnprocessableEntity, "key-reused")
			s.store.fail(gateway.ErrUnavailable)
			s.post(text(members), "Idempotency-Key", "k").problem(http.StatusServiceUnavailable, "unavailable")
			if n := len(s.store.accepted()); n != 1 {
				t.Errorf("accepted %d posts, want 1", n)
			}
		})
	}
}

func TestConcurrentPostsOfOneKeyAreOneMessage(t *testing.T) {
	s := newStage(t)
	var wg sync.WaitGroup
	answers := make([]answer, 16)
	for i := range answers {
		wg.Go(func() { answers[i] = s.post(text(""), "Idempotency-Key", "k") })
	}
	wg.Wait()
	fresh := 0
	for _, a := range answers {
		if a.wants(http.StatusAccepted).Body.String() != answers[0].Body.String() {
			t.Errorf("answers differ: %s", a.Body)
		}
		if a.Header().Get("Idempotent-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 || len(s.store.accepted()) != 1 || len(s.queue.heard()) != 1 {
		t.Errorf("%d fresh answers, %d accepted, %d queued; want 1 of each", fresh, len(s.store.accepted()), len(s.queue.heard()))
	}
}

func TestUnconfirmedPostIs503AndMayBeRepeated(t *testing.T) {
	s := newStage(t)
	s.store.fail(fmt.Errorf("accept: %w", gateway.ErrUnavailable))
	a := s.post(text(""), "Idempotency-Key", "k")
	a.problem(http.StatusServiceUnavailable, "unavailable")
	if got := a.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After %q", got)
	}
	if len(s.queue.heard()) != 0 {
		t.Error("queued what wasn't confirmed")
	}
	s.store.fail(nil)
	s.post(text(""), "Idempotency-Key", "k").wants(http.StatusAccepted)
}

func TestSilentStoreIs503WithinASecond(t *testing.T) {
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/messages", text("")},
		{http.MethodGet, "/v1/messages", ""},
		{http.MethodGet, "/v1/messages/" + string(gateway.NewMessageID("shop-eu", noon)), ""},
		{http.MethodPost, "/v1/messages/" + string(gateway.NewMessageID("shop-eu", noon)) + "/cancel", ""},
	} {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(o *Options) { o.Now = nil })
				s.store.silent = true
				began := time.Now()
				a := s.do(r.method, r.path, keyAll, r.body)
				a.problem(http.StatusServiceUnavailable, "unavailable")
				if took := time.Since(began); took >= time.Second {
					t.Errorf("took %s", took)
				}
				if got := a.Header().Get("Retry-After"); got != "1" {
					t.Errorf("Retry-After %q", got)
				}
			})
		})
	}
}

func TestAcceptedPostOutlivesADeafQueue(t *testing.T) {
	s := newStage(t)
	s.queue.fault = errors.New("no queue")
	s.post(text("")).wants(http.StatusAccepted)
	if !strings.Contains(s.log.String(), "left to the outbox") {
		t.Errorf("not logged:\n%s", s.log)
	}
	if got := s.metric("sluice_api_enqueue_failures_total"); got != 1 {
		t.Errorf("enqueue failures %v, want 1", got)
	}
}

func TestLinksThatTheAccountNamesAreNotCheckedAnew(t *testing.T) {
	s := newStage(t)
	set := newSetup()
	a := set.accounts["shop-eu"]
	a.CallbackURL = "http://hooks.internal/"
	set.accounts["shop-eu"] = a
	s.directory.Store(set)
	s.post(text("")).wants(http.StatusAccepted)
	s.post(text(`"callback_url":"http://hooks.internal/"`)).wants(http.StatusAccepted)
	if got := s.store.accepted()[0].Message.CallbackURL; got != "http://hooks.internal/" {
		t.Errorf("callback URL %q", got)
	}
}

func TestRefusalsByTheDialectNameTheProvider(t *testing.T) {
	p := newStage(t).post(sending("sticker", `{"id":"1"}`)).problem(http.StatusUnprocessableEntity, "validation")
	want := []gateway.FieldError{{Field: "sticker", Message: "can't be expressed (whatsapp-cloud)"}}
	if diff := cmp.Diff(want, p.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestManyFaultsAreCutShort(t *testing.T) {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, `"x%d":1,`, i)
	}
	p := newStage(t).post("{"+strings.TrimSuffix(b.String(), ",")+"}").problem(http.StatusUnprocessableEntity, "validation")
	if len(p.Errors) != maxErrors {
		t.Errorf("%d errors, want %d", len(p.Errors), maxErrors)
	}
}
