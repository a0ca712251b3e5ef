package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

// ndjsonLine is a sound line to the nth recipient.
func ndjsonLine(n int, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"to":"+4673%07d","type":"text","text":{"body":"hi"}%s}`, n, more)
}

func ndjsonLines(from, till int) string {
	var b strings.Builder
	for n := from; n < till; n++ {
		b.WriteString(ndjsonLine(n, "") + "\n")
	}
	return b.String()
}

func (s *stage) bulk(body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, "/v1/batches?account=shop-eu", keyAll, body, append([]string{"Content-Type", typeNDJSON}, headers...)...)
}

func (s *stage) jsonBatch(body string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, "/v1/batches", keyAll, body)
}

// bulkFrom posts what can be read.
func (s *stage) bulkFrom(ctx context.Context, r io.Reader, headers ...string) answer {
	s.t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/batches?account=shop-eu", r)
	req.ContentLength = -1
	req.Header.Set("Authorization", "Bearer "+keySend)
	req.Header.Set("Content-Type", typeNDJSON)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.send(req)
}

func readUpload(tb testing.TB, text []byte) uploadBody {
	tb.Helper()
	var u uploadBody
	if err := json.Unmarshal(text, &u); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return u
}

// taken reads the answer to a batch that was taken whole.
func (a answer) taken() uploadBody {
	a.t.Helper()
	a.wants(http.StatusAccepted)
	u := readUpload(a.t, a.Body.Bytes())
	if !u.Complete || u.ID == "" {
		a.t.Errorf("the answer is %s", a.Body)
	}
	return u
}

// broken reads a refusal that names what was accepted.
func (a answer) broken(status int, name string) uploadBody {
	a.t.Helper()
	p := a.problem(status, name)
	if p.Batch == nil || p.Batch.Complete || p.Batch.ID == "" {
		a.t.Fatalf("the answer is %s", a.Body)
	}
	return *p.Batch
}

// faults is the errors as "index problem field…".
func (u uploadBody) faults() (out []string) {
	for _, e := range u.Errors {
		text := fmt.Sprintf("%d %s", e.Index, strings.TrimPrefix(e.Problem.Type, "/problems/"))
		for _, f := range e.Problem.Errors {
			text += " " + f.Field
		}
		out = append(out, text)
	}
	return out
}

func TestBatchIsAcceptedAndAnswered(t *testing.T) {
	s := newStage(t)
	a := s.do(http.MethodPost, "/v1/batches?account=shop-eu", keySend, ndjsonLines(0, 250)+`{"to":1}`, "Content-Type", typeNDJSON)
	got := a.taken()
	batch := s.batches.only(t)
	want := uploadBody{ID: batch.ID, Accepted: 250, Rejected: 1, Errors: got.Errors, Complete: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"250 validation to type"}, got.faults()); diff != "" {
		t.Error(diff)
	}
	if loc := a.Header().Get("Location"); loc != "/v1/batches/"+string(batch.ID) || a.Header()["Idempotent-Replayed"] != nil {
		t.Errorf("headers %v", a.Header())
	}
	if batch.Account != "shop-eu" || batch.Total != 250 || !batch.Complete || !batch.CreatedAt.Equal(noon) {
		t.Errorf("the batch is %+v", batch)
	}
	var ids []gateway.MessageID
	for i, p := range s.store.accepted() {
		m := p.Message
		ids = append(ids, batch.ID.Line(i+1))
		if m.ID != ids[i] || m.Batch != batch.ID || m.Priority != gateway.Bulk || !m.CreatedAt.Equal(noon) || m.Recipient != gateway.Recipient(fmt.Sprintf("+4673%07d", i)) {
			t.Fatalf("line %d is %+v", i, m)
		}
	}
	if diff := cmp.Diff(ids, s.queue.heard()); diff != "" {
		t.Errorf("the queue heard (-want +got):\n%s", diff)
	}
	if n := strings.Count(s.log.String(), `"msg":"batch"`); n != 1 || !strings.Contains(s.log.String(), `"accepted":250,"added":250,"rejected":1,"complete":true`) {
		t.Errorf("the log says %s", s.log)
	}
	metrics := s.do(http.MethodGet, "/metrics", keyAll, "").Body.String()
	for _, m := range []string{`sluice_api_batch_lines_total{verdict="accepted"} 250`, `sluice_api_batch_lines_total{verdict="rejected"} 1`} {
		if !strings.Contains(metrics, m) {
			t.Errorf("no %s", m)
		}
	}
}

func TestEachLineIsJudgedByItself(t *testing.T) {
	long := ndjsonLine(0, "")
	long = long[:len(long)-1] + strings.Repeat(" ", maxBody-len(long)) + "}"
	deep := `{"to":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}"
	good := ndjsonLine(1, "")
	for _, tc := range []struct {
		name, body string
		accepted   int64
		faults     []string
	}{
		{"lines end in CRLF", good + "\r\n" + ndjsonLine(2, "") + "\r\n", 2, nil},
		{"the last has no end", good + "\n" + ndjsonLine(2, ""), 2, nil},
		{"blank lines have no index", "\n" + good + "\n \t\r\n\n{\n\n\n", 1, []string{"1 malformed"}},
		{"a line of 256 KiB", long + "\n" + good, 2, nil},
		{"a line of 256 KiB that ends in CRLF", long + "\r\n" + good, 2, nil},
		{"a line of 256 KiB without an end", good + "\n" + long, 2, nil},
		{"a line of a byte more", good + "\n" + long[:20] + " " + long[20:] + "\n" + good, 2, []string{"1 too-large"}},
		{"a line of a byte more, without an end", good + "\n" + long[:20] + " " + long[20:], 1, []string{"1 too-large"}},
		{"a line of a megabyte", good + "\n" + strings.Repeat("x", 1<<20) + "\n" + good, 2, []string{"1 too-large"}},
		{"broken UTF-8", good + "\n" + strings.Replace(good, "hi", "h\xff", 1) + "\n" + good, 2, []string{"1 malformed"}},
		{"no JSON", "{]\n" + good, 1, []string{"0 malformed"}},
		{"two values on a line", good + good + "\n" + good, 1, []string{"0 malformed"}},
		{"no object", "[]\n" + good, 1, []string{"0 validation body"}},
		{"too deep", deep + "\n" + good, 1, []string{"0 malformed"}},
		{"an account that is the batch's", ndjsonLine(1, `"account":"shop-eu"`), 1, nil},
		{"another account of the key", good + "\n" + ndjsonLine(1, `"account":"shop-us"`) + "\n" + good, 2, []string{"1 validation account"}},
		{"an account that nobody knows", good + "\n" + ndjsonLine(1, `"account":"shop-xx"`), 1, []string{"1 validation account"}},
		{"unknown and bad fields", ndjsonLine(1, `"priorty":"bulk","ttl":"0s","account":"shop-us"`), 0, []string{"0 validation account priorty ttl"}},
		{"what the provider can't express", `{"to":"+46732001122","type":"sticker","sticker":{"id":"1"}}`, 0, []string{"0 validation sticker"}},
		{"a callback URL that can't be called", ndjsonLine(1, `"callback_url":"http://internal.example"`), 0, []string{"0 validation callback_url"}},
		{"a key of 255 characters", ndjsonLine(1, `"idempotency_key":"`+strings.Repeat("å", 255)+`"`), 1, nil},
		{"a key of 256 characters", ndjsonLine(1, `"idempotency_key":"`+strings.Repeat("å", 256)+`"`), 0, []string{"0 validation idempotency_key"}},
		{"times that have passed", ndjsonLine(1, `"expires_at":"2026-11-21T11:00:00Z"`), 0, []string{"0 validation expires_at"}},
		{
			"keys of their own", ndjsonLine(1, `"idempotency_key":"k"`) + "\n" + ndjsonLine(1, `"idempotency_key":"k"`) + "\n" + ndjsonLine(2, `"idempotency_key":"k"`),
			2,
			[]string{"2 key-reused idempotency_key"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			got := s.bulk(tc.body).taken()
			if diff := cmp.Diff(tc.faults, got.faults()); diff != "" || got.Accepted != tc.accepted || got.Rejected != int64(len(tc.faults)) {
				t.Errorf("accepted %d, rejected %d, faults (-want +got):\n%s", got.Accepted, got.Rejected, diff)
			}
		})
	}
}

func TestPriorityOfALine(t *testing.T) {
	for _, tc := range []struct {
		name, query, more string
		want              gateway.Priority
	}{
		{"bulk by default", "", "", gateway.Bulk},
		{"the query's", "&priority=transactional", "", gateway.Transactional},
		{"its own", "", `"priority":"transactional"`, gateway.Transactional},
		{"its own before the query's", "&priority=transactional", `"priority":"bulk"`, gateway.Bulk},
		{"an empty one counts as left out", "&priority=", "", gateway.Bulk},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			s.do(http.MethodPost, "/v1/batches?account=shop-eu"+tc.query, keySend, ndjsonLine(1, tc.more), "Content-Type", typeNDJSON).taken()
			if got := s.store.accepted()[0].Message.Priority; got != tc.want {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestAccountOfABatchMayStandInItsLines(t *testing.T) {
	s := newStage(t)
	body := "{\n" + ndjsonLine(1, "") + "\n" + ndjsonLine(2, `"account":"shop-us","ttl":"1y"`) + "\n" + ndjsonLine(3, "") + "\n" + ndjsonLine(4, `"account":"shop-eu"`)
	got := s.do(http.MethodPost, "/v1/batches", keyAll, body, "Content-Type", typeNDJSON).taken()
	if diff := cmp.Diff([]string{"0 malformed", "1 validation account", "2 validation ttl", "4 validation account"}, got.faults()); diff != "" {
		t.Error(diff)
	}
	if b := s.batches.only(t); b.Account != "shop-us" || b.Total != 1 {
		t.Errorf("the batch is %+v", b)
	}
}

func TestBatchIsRefusedAsAWhole(t *testing.T) {
	line := ndjsonLine(1, "")
	ndjson := []string{"Content-Type", typeNDJSON}
	of := func(account string) string { return ndjsonLine(1, `"account":"`+account+`"`) }
	for _, tc := range []struct {
		name, key, query, body string
		headers                []string
		status                 int
		kind                   string
		fields                 []string
	}{
		{"no key", "", "", line, ndjson, 401, "unauthenticated", nil},
		{"a key without the scope", keyRead, "?account=shop-eu", line, ndjson, 403, "forbidden", nil},
		{"another type", keyAll, "?account=shop-eu", line, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type", nil},
		{"another charset", keyAll, "?account=shop-eu", line, []string{"Content-Type", typeNDJSON + "; charset=latin1"}, 415, "unsupported-media-type", nil},
		{"an encoding", keyAll, "?account=shop-eu", line, append([]string{"Content-Encoding", "gzip"}, ndjson...), 415, "unsupported-media-type", nil},
		{"nothing", keyAll, "?account=shop-eu", "", ndjson, 422, "validation", []string{"body"}},
		{"blank lines only", keyAll, "?account=shop-eu", "\n \n", ndjson, 422, "validation", []string{"body"}},
		{"a query that can't be read", keyAll, "?%zz", line, ndjson, 400, "malformed", nil},
		{"unknown and bad parameters", keyAll, "?acount=shop-eu&priority=high", line, ndjson, 422, "validation", []string{"acount", "priority"}},
		{"a bad key", keyAll, "?account=shop-eu", line, append([]string{"Idempotency-Key", strings.Repeat("k", 256)}, ndjson...), 422, "validation", []string{"Idempotency-Key"}},
		{"an account outside the key", keySend, "?account=shop-us", line, ndjson, 403, "forbidden", nil},
		{"an unknown account outside the key", keySend, "?account=shop-xx", line, ndjson, 403, "forbidden", nil},
		{"an unknown account", keyAll, "?account=shop-xx", line, ndjson, 422, "validation", []string{"account"}},
		{"a line names an account outside the key", keySend, "", of("shop-us"), ndjson, 403, "forbidden", nil},
		{"a line names an unknown account", keyAll, "", of("shop-xx"), ndjson, 422, "validation", []string{"account"}},
		{"nobody names an account", keyAll, "", line + "\n" + line, ndjson, 422, "validation", []string{"account"}},

		{"JSON: nothing", keyAll, "", "", []string{"Content-Type", typeJSON}, 400, "malformed", nil},
		{"JSON: cut short", keyAll, "", `{"account":"shop-eu","messages":[` + line, nil, 400, "malformed", nil},
		{"JSON: no object", keyAll, "", `[]`, nil, 422, "validation", []string{"body"}},
		{"JSON: no messages", keyAll, "", `{"account":"shop-eu"}`, nil, 422, "validation", []string{"messages"}},
		{"JSON: empty", keyAll, "", `{"account":"shop-eu","messages":[ ]}`, nil, 422, "validation", []string{"body"}},
		{"JSON: an object of messages", keyAll, "", `{"account":"shop-eu","messages":{}}`, nil, 422, "validation", []string{"messages"}},
		{"JSON: null for messages", keyAll, "", `{"account":"shop-eu","messages":null}`, nil, 422, "validation", []string{"messages"}},
		{"JSON: messages twice", keyAll, "", `{"messages":[` + line + `],"account":"shop-eu","messages":[]}`, nil, 422, "validation", []string{"messages"}},
		{
			"JSON: all that is wrong at once", keyAll, "?account=shop-eu",
			`{"account":"shop-us","acount":1,"messages":[` + line + `],"defaults":{"to":"+46732001122","account":"shop-eu","ttl":1,"priority":"high","idempotency_key":"k"}}`, nil,
			422, "validation",
			[]string{"account", "acount", "defaults.account", "defaults.idempotency_key", "defaults.priority", "defaults.to", "defaults.ttl"},
		},
		{"JSON: an account outside the key", keySend, "", `{"account":"shop-us","messages":[` + line + `]}`, nil, 403, "forbidden", nil},
		{"JSON: an unknown account", keyAll, "", `{"account":"shop-xx","messages":[` + line + `]}`, nil, 422, "validation", []string{"account"}},
		{"JSON: no account", keyAll, "", `{"messages":[` + line + `]}`, nil, 422, "validation", []string{"account"}},
		{"JSON: too deep", keyAll, "", `{"account":"shop-eu","messages":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, nil, 400, "malformed", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			p := s.do(http.MethodPost, "/v1/batches"+tc.query, tc.key, tc.body, tc.headers...).problem(tc.status, tc.kind)
			var fields []string
			for _, e := range p.Errors {
				if !slices.Contains(fields, e.Field) {
					fields = append(fields, e.Field)
				}
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if p.Batch != nil || len(s.batches.kept) > 0 || len(s.store.accepted()) > 0 {
				t.Error("something was kept of it")
			}
		})
	}
}

func TestJSONBatch(t *testing.T) {
	s := newStage(t)
	got := s.jsonBatch(` { "messages" : [ ` + ndjsonLine(0, "") + " ,\n" + ndjsonLine(1, `"ttl":"1y","metadata":{"a":"]}\"","b":"["}`) + `, 7 , "x" ,null,{"a\"]":[]},` + ndjsonLine(2, "") +
		` ] , "defaults" : {"reference":"r","priority":"transactional"}, "\u0061ccount" : "shop-eu" } `).taken()
	want := []string{"1 validation ttl", "2 validation body", "3 validation body", "4 validation body", `5 validation ["a\"]"] to type`}
	if diff := cmp.Diff(want, got.faults()); diff != "" || got.Accepted != 2 {
		t.Errorf("accepted %d; %s", got.Accepted, diff)
	}
	posts := s.store.accepted()
	if m := posts[1].Message; m.ID != got.ID.Line(7) || m.Reference != "r" || m.Priority != gateway.Transactional || m.Recipient != "+46730000002" {
		t.Errorf("the last is %+v", m)
	}
	long := ndjsonLine(0, `"reference":"`+strings.Repeat("r", maxBody)+`"`)
	got = s.jsonBatch(`{"account":"shop-eu","messages":[` + ndjsonLine(0, "") + "," + long + "," + ndjsonLine(0, "") + `]}`).taken()
	if diff := cmp.Diff([]string{"1 too-large"}, got.faults()); diff != "" || got.Accepted != 2 {
		t.Error(diff)
	}
}

func TestJSONBatchOfTooManyBytes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length int64
	}{{"declared", maxBatchBody + 1}, {"declared, by far", 1 << 40}, {"not declared", -1}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			body := io.MultiReader(strings.NewReader(`{"account":"shop-eu","messages":[`+ndjsonLine(1, "")), io.LimitReader(spaces{}, maxBatchBody), strings.NewReader("]}"))
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/batches", body)
			req.ContentLength = tc.length
			req.Header.Set("Authorization", "Bearer "+keySend)
			req.Header.Set("Content-Type", "application/json")
			s.send(req).problem(http.StatusRequestEntityTooLarge, "too-large")
			if len(s.batches.kept) > 0 {
				t.Error("a batch was opened")
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestLargeJSONBatchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		r, w := io.Pipe()
		post := func(body io.Reader) answer {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/batches", body)
			req.ContentLength = -1
			req.Header.Set("Authorization", "Bearer "+keySend)
			req.Header.Set("Content-Type", "application/json")
			return s.send(req)
		}
		first := make(chan answer)
		go func() { first <- post(r) }()
		synctest.Wait()
		text := `{"account":"shop-eu","messages":[` + ndjsonLine(1, "") + `]}`
		a := post(strings.NewReader(text))
		a.problem(http.StatusServiceUnavailable, "unavailable")
		if a.Header().Get("Retry-After") != "1" {
			t.Error("no Retry-After")
		}
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		(<-first).taken()
		post(strings.NewReader(text)).taken()
	})
}

func TestDefaultsOfABatch(t *testing.T) {
	hello, bye := &gateway.Text{Body: "hello"}, &gateway.Text{Body: "bye"}
	for _, tc := range []struct {
		name, defaults, message string
		want                    postBody
	}{
		{"content", `"type":"text","text":{"body":"hello"}`, ``, postBody{Content: gateway.Content{Type: "text", Text: hello}, TTL: "24h0m0s"}},
		{"content of its own for the type", `"type":"text","text":{"body":"hello"}`, `"text":{"body":"bye"}`, postBody{Content: gateway.Content{Type: "text", Text: bye}, TTL: "24h0m0s"}},
		{"a type of its own", `"type":"image","image":{"id":"1"}`, `"type":"text","text":{"body":"bye"}`, postBody{Content: gateway.Content{Type: "text", Text: bye}, TTL: "24h0m0s"}},
		{
			"everything else", `"type":"text","text":{"body":"hello"},"reference":"r","ttl":"1h","on_unknown":"resend","reply_to":"w","callback_url":"https://h.example","metadata":{"a":"b"},"send_at":"2026-11-22T00:00:00Z"`, ``,
			postBody{Content: gateway.Content{Type: "text", Text: hello}, Reference: "r", TTL: "1h0m0s", OnUnknown: "resend", ReplyTo: "w", CallbackURL: "https://h.example", Metadata: map[string]string{"a": "b"}, SendAt: "2026-11-22T00:00:00Z"},
		},
		{
			"everything else of its own", `"type":"text","text":{"body":"hello"},"reference":"r","ttl":"1h","on_unknown":"resend","callback_url":"https://h.example","metadata":{"a":"b"}`,
			`"reference":"s","ttl":"2h","on_unknown":"hold","callback_url":"https://i.example","metadata":{"c":"d"}`,
			postBody{Content: gateway.Content{Type: "text", Text: hello}, Reference: "s", TTL: "2h0m0s", OnUnknown: "hold", CallbackURL: "https://i.example", Metadata: map[string]string{"c": "d"}},
		},
		{
			"an end of its own", `"type":"text","text":{"body":"hello"},"ttl":"1h"`, `"expires_at":"2026-11-22T00:00:00Z"`,
			postBody{Content: gateway.Content{Type: "text", Text: hello}, ExpiresAt: "2026-11-22T00:00:00Z"},
		},
		{"null is left out", `"type":"text","text":{"body":"hello"},"ttl":"1h"`, `"ttl":null`, postBody{Content: gateway.Content{Type: "text", Text: hello}, TTL: "1h0m0s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			if tc.message != "" {
				tc.message = "," + tc.message
			}
			s.do(http.MethodPost, "/v1/batches", keyAll,
				`{"account":"shop-eu","defaults":{`+tc.defaults+`},"messages":[{"to":"+46732001122"`+tc.message+`}]}`, headerIdempotencyKey, "k").taken()
			want := tc.want
			want.Account, want.To, want.Priority = "shop-eu", "+46732001122", gateway.Bulk
			if want.OnUnknown == "" {
				want.OnUnknown = gateway.HoldUnknown
			}
			// The hash tells what the message was after its defaults: the same as
			// when it had said all of that itself.
			hash, err := want.hash()
			if err != nil {
				t.Fatal(err)
			}
			post := s.store.accepted()[0]
			if post.BodyHash != hash {
				t.Errorf("the message is %+v, want %+v", post.Message, want)
			}
		})
	}
}

func TestBatchOfTooManyLines(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines int
		post  func(*stage, string) answer
	}{
		{"NDJSON", 150, func(s *stage, lines string) answer { return s.bulk(lines, "Idempotency-Key", "k") }},
		{"JSON", 150, func(s *stage, lines string) answer {
			return s.jsonBatch(`{"account":"shop-eu","messages":[` + strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",") + `]}`)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, func(o *Options) { o.BatchLines = tc.lines })
			if got := tc.post(s, ndjsonLines(0, tc.lines)).taken(); got.Accepted != int64(tc.lines) {
				t.Errorf("accepted %d", got.Accepted)
			}
			s = newStage(t, func(o *Options) { o.BatchLines = tc.lines })
			got := tc.post(s, ndjsonLines(0, tc.lines+1)).broken(http.StatusRequestEntityTooLarge, "too-large")
			if b := s.batches.only(t); got.Accepted != int64(tc.lines) || got.ID != b.ID || b.Complete || b.Total != int64(tc.lines) {
				t.Errorf("the answer is %+v, the batch %+v", got, b)
			}
		})
	}
	s := newStage(t)
	got := s.jsonBatch(`{"account":"shop-eu","messages":[`+strings.Repeat("1,", maxBatchMessages)+`1]}`).broken(http.StatusRequestEntityTooLarge, "too-large")
	if got.Rejected != maxBatchMessages {
		t.Errorf("rejected %d", got.Rejected)
	}
}

func TestOnlyTheFirstErrorsAreNamed(t *testing.T) {
	s := newStage(t)
	got := s.bulk(strings.Repeat("{}\n", 1500) + ndjsonLine(1, "")).taken()
	if got.Rejected != 1500 || got.Accepted != 1 || len(got.Errors) != 1000 || got.Errors[999].Index != 999 {
		t.Errorf("accepted %d, rejected %d, %d errors", got.Accepted, got.Rejected, len(got.Errors))
	}
}

func TestBatchPostedAgainWithItsKey(t *testing.T) {
	s := newStage(t)
	again := []string{"Idempotency-Key", "campaign"}
	first := s.bulk(ndjsonLines(0, 120), again...).taken()

	a := s.bulk(ndjsonLines(0, 120), again...)
	if got := a.taken(); got.ID != first.ID || got.Accepted != 120 || a.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeated: %+v %v", got, a.Header())
	}
	a = s.bulk(ndjsonLine(0, "")+"\n"+ndjsonLine(7, "")+"\n{\n"+ndjsonLines(3, 122), again...)
	got := a.taken()
	if diff := cmp.Diff([]string{"1 key-reused Idempotency-Key", "2 malformed"}, got.faults()); diff != "" || got.Accepted != 120 || a.Header()["Idempotent-Replayed"] != nil {
		t.Errorf("with more, and others: %+v %s", got, diff)
	}
	if b := s.batches.only(t); b.Total != 122 {
		t.Errorf("%d messages", b.Total)
	}
	if n := len(s.queue.heard()); n != 122 {
		t.Errorf("the queue heard of %d", n)
	}
	s.bulk(ndjsonLines(0, 1), "Idempotency-Key", "another").taken()
	if len(s.batches.kept) != 2 {
		t.Error("another key is another batch")
	}
}

func TestLinesWhoseTimesHavePassedAreStillRecognised(t *testing.T) {
	s := newStage(t)
	line := func(n int, more string) string { return ndjsonLine(n, `"send_at":"2026-11-21T13:00:00Z"`+more) + "\n" }
	s.bulk(line(0, "")+line(1, `,"idempotency_key":"k1"`), "Idempotency-Key", "campaign").taken()
	s.at(noon.Add(2 * time.Hour))
	got := s.bulk(line(0, "")+line(1, `,"idempotency_key":"k1"`)+line(2, "")+line(3, `,"idempotency_key":"k3"`), "Idempotency-Key", "campaign").taken()
	if diff := cmp.Diff([]string{"2 validation send_at", "3 validation send_at"}, got.faults()); diff != "" || got.Accepted != 2 {
		t.Errorf("accepted %d; %s", got.Accepted, diff)
	}
	got = s.bulk(line(0, "") + line(1, `,"idempotency_key":"k1"`)).taken()
	if diff := cmp.Diff([]string{"0 validation send_at"}, got.faults()); diff != "" || got.Accepted != 1 {
		t.Errorf("without the batch's key: accepted %d; %s", got.Accepted, diff)
	}
}

func TestBrokenUploadKeepsWhatCame(t *testing.T) {
	for name, as := range map[string]func(io.Reader) io.Reader{
		"the end is seen after what came": func(r io.Reader) io.Reader { return r },
		"the end is seen with what came":  iotest.DataErrReader,
		"it comes in bytes":               iotest.OneByteReader,
	} {
		t.Run(name, func(t *testing.T) { breakUpload(t, as) })
	}
}

func breakUpload(t *testing.T, as func(io.Reader) io.Reader) {
	t.Helper()
	s := newStage(t)
	whole := ndjsonLines(0, 130)
	cut := strings.LastIndex(whole, "text") // in the last line
	a := s.bulkFrom(t.Context(), as(io.MultiReader(strings.NewReader(whole[:cut]), iotest.ErrReader(io.ErrUnexpectedEOF))), "Idempotency-Key", "k")
	got := a.broken(http.StatusBadRequest, "malformed")
	if b := s.batches.only(t); got.Accepted != 129 || got.Rejected != 0 || b.Total != 129 || b.Complete || len(s.queue.heard()) != 129 {
		t.Errorf("the answer is %+v, the batch %+v", got, b)
	}
	if !strings.Contains(s.log.String(), `"complete":false`) {
		t.Errorf("the log says %s", s.log)
	}
	a = s.bulkFrom(t.Context(), strings.NewReader(whole), "Idempotency-Key", "k")
	if again := a.taken(); again.ID != got.ID || again.Accepted != 130 || !s.batches.only(t).Complete || a.Header()["Idempotent-Replayed"] != nil {
		t.Errorf("posted again: %+v", again)
	}
	if n := len(s.store.accepted()); n != 130 {
		t.Errorf("%d messages", n)
	}
}

func TestLinesAreAcceptedAsTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		r, w := io.Pipe()
		result := make(chan answer)
		go func() { result <- s.bulkFrom(t.Context(), r) }()
		for n := range 5 {
			_, _ = io.WriteString(w, ndjsonLine(n, "")+"\n"+ndjsonLine(n+5, "")[:9])
			synctest.Wait()
			if got := len(s.store.accepted()); got != n+1 {
				t.Fatalf("after line %d there are %d messages", n, got)
			}
			time.Sleep(20 * time.Second) //nolint:forbidigo // the bubble's: a caller who takes his time
			_, _ = io.WriteString(w, ndjsonLine(n+5, "")[9:]+"\n")
			synctest.Wait()
			s.batches.mu.Lock()
			s.store.posts = s.store.posts[:len(s.store.posts)-1]
			s.batches.mu.Unlock()
		}
		_ = w.Close()
		if got := (<-result).taken(); got.Accepted != 10 {
			t.Errorf("accepted %d", got.Accepted)
		}
	})
}

func TestStoreAwayBeforeAnythingWasConfirmed(t *testing.T) {
	s := newStage(t)
	s.store.fail(gateway.ErrUnavailable)
	a := s.bulk(ndjsonLines(0, 500))
	if p := a.problem(http.StatusServiceUnavailable, "unavailable"); p.Batch != nil || a.Header().Get("Retry-After") != "1" {
		t.Errorf("%s %v", a.Body, a.Header())
	}
	s.store.fail(nil)
	s.batches.refuses = func(int) error { return gateway.ErrUnavailable }
	if got := s.bulk(ndjsonLines(0, 500)).broken(http.StatusServiceUnavailable, "unavailable"); got.Accepted != 0 || s.batches.writes != 1 {
		t.Errorf("the batch is %+v after %d writes", got, s.batches.writes)
	}
}

func TestStoreAwayInMidUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var back time.Time // of the store
		s.batches.refuses = func(write int) error {
			if write > 0 && time.Now().Before(back) {
				return gateway.ErrUnavailable
			}
			return nil
		}
		back = time.Now().Add(confirmPatience - time.Second)
		if got := s.bulk(ndjsonLines(0, 500)).taken(); got.Accepted != 500 {
			t.Errorf("of a store that is away for a while: %+v", got)
		}
		if ids := s.queue.heard(); len(ids) != 500 || !slices.IsSorted(ids) {
			t.Errorf("the queue heard of %d", len(ids))
		}

		s.batches.writes, back = 0, time.Now().Add(time.Hour)
		began := time.Now()
		a := s.bulk(ndjsonLines(0, 500), "Idempotency-Key", "k")
		got := a.broken(http.StatusServiceUnavailable, "unavailable")
		if a.Header().Get("Retry-After") != "1" || got.Accepted != chunkLines || time.Since(began) > 2*confirmPatience {
			t.Errorf("after %v: %+v", time.Since(began), got)
		}
		if b, err := s.batches.Batch(t.Context(), got.ID); err != nil || b.Total != chunkLines || b.Complete {
			t.Errorf("the batch is %+v, %v", b, err)
		}
		back = time.Time{}
		if again := s.bulk(ndjsonLines(0, 500), "Idempotency-Key", "k").taken(); again.ID != got.ID || again.Accepted != 500 {
			t.Errorf("posted again: %+v", again)
		}
	})
}

func TestStoreThatFailsOtherwiseIsADefect(t *testing.T) {
	s := newStage(t)
	s.batches.refuses = func(write int) error { return map[int]error{1: errors.New("defect")}[write] }
	if got := s.bulk(ndjsonLines(0, 500)).broken(http.StatusInternalServerError, "internal"); got.Accepted != chunkLines {
		t.Errorf("%+v", got)
	}
}

func TestBatchCancelledWhileItIsUploaded(t *testing.T) {
	s := newStage(t)
	s.batches.before = func(write int) {
		if write == 2 {
			s.do(http.MethodPost, "/v1/batches/"+string(s.batches.only(t).ID)+"/cancel", keySend, "").wants(http.StatusOK)
		}
	}
	got := s.bulk(ndjsonLines(0, 5*chunkLines)).taken()
	if got.Accepted != 2*chunkLines || got.Rejected != 3*chunkLines || !strings.HasSuffix(got.Errors[0].Problem.Type, "conflict") || got.Errors[0].Index != 2*chunkLines {
		t.Errorf("accepted %d, rejected %d, first %+v", got.Accepted, got.Rejected, got.Errors[0])
	}
}

func TestQueueThatFailsLeavesLinesToTheOutbox(t *testing.T) {
	s := newStage(t)
	s.queue.fault = errors.New("away")
	s.bulk(ndjsonLines(0, 3)).taken()
	if !strings.Contains(s.log.String(), "left to the outbox") {
		t.Errorf("the log says %s", s.log)
	}
	if metrics := s.do(http.MethodGet, "/metrics", keyAll, "").Body.String(); !strings.Contains(metrics, "sluice_api_enqueue_failures_total 3") {
		t.Error("it isn't counted")
	}
}

// serve is a server with the limits of a public port.
func (s *stage) serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(s.handler)
	srv.Config = NewHTTPServer(t.Context(), "", s.handler, s.options.Logger)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func (s *stage) stream(ctx context.Context, t *testing.T, srv *httptest.Server, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/v1/batches?account=shop-eu", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+keySend)
	req.Header.Set("Content-Type", typeNDJSON)
	return srv.Client().Do(req)
}

func TestUploadThatStallsIsEnded(t *testing.T) {
	s := newStage(t, func(o *Options) { o.StallTimeout = 50 * time.Millisecond })
	srv := s.serve(t)
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, ndjsonLines(0, 3)+`{"to"`) }()
	resp, err := s.stream(t.Context(), t, srv, r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p problemBody
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusBadRequest || p.Batch == nil || p.Batch.Accepted != 3 || p.Batch.Complete {
		t.Errorf("%d %+v %v", resp.StatusCode, p, err)
	}
}

func TestStoreThatFailsIsToldToACallerWhoWritesNothing(t *testing.T) {
	s := newStage(t)
	s.batches.refuses = func(int) error { return gateway.ErrUnavailable }
	s.batches.before = func(int) { <-time.After(100 * time.Millisecond) } // nothing shows that the body is waited for again
	srv := s.serve(t)
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, ndjsonLines(0, 3)) }()
	began := time.Now()
	resp, err := s.stream(t.Context(), t, srv, r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusServiceUnavailable || took > DefaultStallTimeout/2 {
		t.Errorf("status %d after %v", resp.StatusCode, took)
	}
}

func TestCallerWhoLeavesKeepsWhatCame(t *testing.T) {
	s := newStage(t)
	wrote := make(chan struct{}, 100)
	s.batches.before = func(int) { wrote <- struct{}{} }
	srv := s.serve(t)
	ctx, leave := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = io.WriteString(w, ndjsonLines(0, 3)+`{"to"`) }()
	left := make(chan error, 1)
	go func() {
		resp, err := s.stream(ctx, t, srv, r)
		if err == nil {
			resp.Body.Close()
		}
		left <- err
	}()
	<-wrote
	leave()
	_ = w.CloseWithError(context.Canceled)
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller got %v", err)
	}
	srv.Close() // waits for the request
	if b := s.batches.only(t); b.Total != 3 || b.Complete {
		t.Errorf("the batch is %+v", b)
	}
}

// peak is a store that confirms at once, keeps nothing, and looks at the heap.
type peak struct {
	*batches

	lines int
	most  uint64
}

func (p *peak) AcceptLines(_ context.Context, _ gateway.BatchID, posts []gateway.Post, _ bool) ([]gateway.LineVerdict, error) {
	if p.lines += len(posts); p.lines%2000 < len(posts) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return slices.Repeat([]gateway.LineVerdict{gateway.LineAdded}, len(posts)), nil
}

func TestMemoryOfAnUploadIsBounded(t *testing.T) {
	const lines, size = 20_000, 3000 // 60 MB, of which one in ten is a fault
	p := &peak{}
	s := newStage(t, func(o *Options) {
		p.batches = o.Batches.(*batches)
		o.Batches, o.Queue = p, deaf{}
	})
	line := []byte(ndjsonLine(1, `"metadata":{"a":"`+strings.Repeat("x", 1900)+`"},"reply_to":"`+strings.Repeat("x", 500)+`"`))
	line = append(append(line, bytes.Repeat([]byte(" "), size-len(line)-1)...), '\n')
	fault := append([]byte(`{"`+strings.Repeat("x", 50)), line[2:]...)
	fault = append(fault[:len(fault)-51], '\n')
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, w := io.Pipe()
	go func() {
		for n := range lines {
			next := line
			if n%10 == 0 {
				next = fault
			}
			if _, err := w.Write(next); err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	got := s.bulkFrom(t.Context(), r).taken()
	if got.Accepted+got.Rejected != lines || got.Rejected != lines/10 {
		t.Errorf("accepted %d, rejected %d", got.Accepted, got.Rejected)
	}
	if grown := int64(p.most) - int64(before.HeapAlloc); grown > 12<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func (s *stage) keep(account gateway.AccountID, at time.Time, pending int64) gateway.BatchID {
	id := gateway.NewBatchID(account, at)
	s.batches.kept[id] = &gateway.Batch{
		ID: id, Account: account, Total: 20, CreatedAt: at, Complete: true,
		Counts: map[gateway.Status]int64{gateway.StatusQueued: pending, gateway.StatusDelivered: 20 - pending},
		Lanes:  map[gateway.Priority]gateway.LaneState{gateway.Bulk: {Pending: pending}},
	}
	return id
}

func TestBatchIsRead(t *testing.T) {
	s := newStage(t)
	id := s.keep("shop-eu", noon, 10)
	s.floor.states["shop-eu"] = gateway.AccountState{EffectiveRate: 10, Lanes: map[gateway.Priority]gateway.LaneState{
		gateway.Transactional: {Pending: 5}, gateway.Bulk: {Pending: 15, Parked: 10},
	}}
	path := "/v1/batches/" + string(id)
	a := s.do(http.MethodGet, path, keyRead, "").wants(http.StatusOK)
	want := `{"id":"` + string(id) + `","account":"shop-eu","total":20,"counts":{"delivered":10,"queued":10},"complete":true,` +
		`"created_at":"2026-11-21T12:00:00.123Z","cancelled_at":null,"drain_eta":"2026-11-21T12:00:03.123Z"}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Error(diff)
	}
	a = s.do(http.MethodPost, path+"/cancel", keySend, "").wants(http.StatusOK)
	want = `{"id":"` + string(id) + `","account":"shop-eu","total":20,"counts":{"cancelled":20},"complete":true,` +
		`"created_at":"2026-11-21T12:00:00.123Z","cancelled_at":"2026-11-21T12:00:00.123Z","drain_eta":null}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Error(diff)
	}
	s.floor.fault = gateway.ErrUnavailable
	s.do(http.MethodGet, path, keyRead, "").wants(http.StatusOK) // nothing waits, so nobody has to be asked
}

func TestBatchThatIsNotTheKeys(t *testing.T) {
	s := newStage(t)
	id := s.keep("shop-eu", noon, 0)
	for _, tc := range []struct {
		name, method, path, key string
		status                  int
		kind                    string
	}{
		{"another key reads it", http.MethodGet, "/v1/batches/" + string(id), keyOther, 404, "not-found"},
		{"another key cancels it", http.MethodPost, "/v1/batches/" + string(id) + "/cancel", keyOther, 404, "not-found"},
		{"a key without the scope reads it", http.MethodGet, "/v1/batches/" + string(id), keySend, 403, "forbidden"},
		{"a key without the scope cancels it", http.MethodPost, "/v1/batches/" + string(id) + "/cancel", keyRead, 403, "forbidden"},
		{"a key without the scope lists", http.MethodGet, "/v1/batches", keySend, 403, "forbidden"},
		{"an unknown one", http.MethodGet, "/v1/batches/" + string(gateway.NewBatchID("shop-eu", noon)), keyAll, 404, "not-found"},
		{"an unknown one is cancelled", http.MethodPost, "/v1/batches/" + string(gateway.NewBatchID("shop-eu", noon)) + "/cancel", keyAll, 404, "not-found"},
		{"a message of it", http.MethodGet, "/v1/batches/" + string(id.Line(1)), keyAll, 404, "not-found"},
		{"no id", http.MethodGet, "/v1/batches/x", keyAll, 404, "not-found"},
	} {
		t.Run(tc.name, func(*testing.T) { s.do(tc.method, tc.path, tc.key, "").problem(tc.status, tc.kind) })
	}
	s.store.fail(gateway.ErrUnavailable)
	for _, path := range []string{"/v1/batches", "/v1/batches/" + string(id)} {
		s.do(http.MethodGet, path, keyAll, "").problem(http.StatusServiceUnavailable, "unavailable")
	}
}

func TestBatchesAreListed(t *testing.T) {
	s := newStage(t)
	var eu []string
	for n := range 5 {
		eu = append([]string{string(s.keep("shop-eu", noon.Add(time.Duration(n)*time.Second), 1))}, eu...)
	}
	us := string(s.keep("shop-us", noon.Add(time.Minute), 0))
	list := func(key, query string) (ids []string, next string) {
		var p page[struct{ ID string }]
		if err := json.Unmarshal(s.do(http.MethodGet, "/v1/batches"+query, key, "").wants(http.StatusOK).Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Items {
			ids = append(ids, item.ID)
		}
		if p.Next != nil {
			next = *p.Next
		}
		return ids, next
	}
	first, next := list(keyRead, "?limit=3")
	rest, end := list(keyRead, "?limit=3&account=&cursor="+next)
	if diff := cmp.Diff(eu, append(first, rest...)); diff != "" || len(first) != 3 || end != "" {
		t.Errorf("by pages (-want +got):\n%s", diff)
	}
	if ids, _ := list(keyAll, "?account=shop-us"); !cmp.Equal(ids, []string{us}) {
		t.Errorf("of one account: %v", ids)
	}
	if ids, _ := list(keyAll, ""); len(ids) != 6 {
		t.Errorf("of all: %v", ids)
	}
	s.do(http.MethodGet, "/v1/batches?account=shop-us", keyRead, "").problem(http.StatusForbidden, "forbidden")
	p := s.do(http.MethodGet, "/v1/batches?limit=0&cursor=%00&status=queued", keyRead, "").problem(http.StatusUnprocessableEntity, "validation")
	if len(p.Errors) != 3 {
		t.Errorf("errors %v", p.Errors)
	}
}

func BenchmarkLine(b *testing.B) {
	for name, more := range map[string]string{"text": `"reference":"order-4711","metadata":{"campaign":"nov"}`, "key": `"idempotency_key":"k"`} {
		b.Run(name, func(b *testing.B) {
			o := newStage(b).options
			o.Now, o.Registerer = nil, prometheus.NewRegistry()
			server, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			u := &upload{s: server, pending: new(chunk)}
			u.defaults.Account, u.defaults.Priority = "shop-eu", gateway.Bulk
			text := []byte(ndjsonLine(1, more))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%chunkLines == 0 {
					u.pending.lines, u.pending.posts = u.pending.lines[:0], u.pending.posts[:0]
				}
				if err := u.judge(n, text); err != nil || len(u.pending.posts) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzJSONBatch(f *testing.F) {
	for _, text := range []string{
		`{"messages":[1,"a]\"",{"b":[{}]},[],null,-1.5e3]}`, ` { "a":{"messages":[]} , "messages" : [ ] } `, `{"messages":"["}`, `{}`, `{"m\u0065ssages":[true]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body := []byte(text)
		if wellFormed(body, batchDepth) != nil || body[skipSpace(body, 0)] != '{' {
			return // such a body is refused before
		}
		d := json.NewDecoder(bytes.NewReader(body))
		_, _ = d.Token()
		var want []json.RawMessage
		found := false
		for d.More() && !found {
			name, _ := d.Token()
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				t.Fatal(err)
			}
			if found = name == "messages"; found && json.Unmarshal(value, &want) != nil {
				want = nil // no array
			}
		}
		start, end, got := member(body, "messages")
		if got != found {
			t.Fatalf("found: %t", got)
		}
		if !found || body[start] != '[' {
			return
		}
		e := elements{text: body, at: start + 1}
		for i := 0; ; i++ {
			element, err := e.next()
			if errors.Is(err, io.EOF) {
				if i != len(want) || skipSpace(body, e.at) >= end {
					t.Errorf("%d elements, want %d", i, len(want))
				}
				return
			}
			if i >= len(want) || string(element) != string(want[i]) {
				t.Fatalf("element %d is %s", i, element)
			}
		}
	})
}
