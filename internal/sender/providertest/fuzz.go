package providertest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// The bodies of the providers' fuzz targets stand here, so that what must hold
// of one dialect is asked of all.

// maxID is the longest id of a provider's that may be kept, in bytes.
const maxID = 512

// Parser is the part of a provider that reads its callbacks.
type Parser interface {
	Parse(raw []byte) (gateway.Callback, error)
}

// FuzzedRequest is the body of a fuzz target for requests: a sound message is
// refused by Check and NewRequest alike, or becomes JSON; neither changes it.
// Content that is no sound message is passed over.
func FuzzedRequest(t *testing.T, p sender.Provider, content []byte, replyTo string) {
	t.Helper()
	m := gateway.Message{Recipient: To, ReplyTo: replyTo}
	if json.Unmarshal(content, &m.Content) != nil || m.Content.Validate() != nil {
		return
	}
	before, _ := json.Marshal(m)
	refused := p.Check(&m)
	req, err := p.NewRequest(t.Context(), sender.Call{Message: &m, ReplyTo: gateway.ProviderMessageID(replyTo), Attempt: 1})
	after, _ := json.Marshal(m)
	if string(before) != string(after) {
		t.Errorf("the message was changed from %s to %s", before, after)
	}
	if len(refused) > 0 {
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassPermanent {
			t.Errorf("Check refuses %v, NewRequest says %v", refused, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	if body, err := io.ReadAll(req.Body); err != nil || !json.Valid(body) {
		t.Errorf("body %q, %v", body, err)
	}
}

// FuzzedCallback is the body of a fuzz target for callbacks. Whatever one
// holds, Parse gives the same twice and leaves the body as it was; what it
// reads is JSON, what it refuses brings nothing; receipts tell only the
// statuses given, and like inbound messages nothing that can't be kept. It
// returns what was read, for what a dialect promises beyond that.
func FuzzedCallback(t *testing.T, p Parser, raw []byte, reported ...gateway.Status) gateway.Callback {
	t.Helper()
	before := string(raw)
	c, err := p.Parse(raw)
	again, errAgain := p.Parse(raw)
	if string(raw) != before {
		t.Error("Parse changed the body")
	}
	if diff := cmp.Diff(c, again); diff != "" || (err == nil) != (errAgain == nil) {
		t.Errorf("read twice, it differs: %s (%v, %v)", diff, err, errAgain)
	}
	if err == nil && !json.Valid(raw) {
		t.Error("read what isn't JSON")
	}
	if err != nil && (!c.Empty() || len(err.Error()) > maxText) {
		t.Errorf("told %d receipts, %d messages and %d halts beside an error of %d bytes",
			len(c.Receipts), len(c.Inbound), len(c.Halts), len(err.Error()))
	}
	// An entry takes more bytes than these in any dialect, and one message says
	// up to four things.
	if n := len(c.Receipts) + len(c.Inbound) + len(c.Halts); n > len(raw)/4 {
		t.Errorf("%d entries of %d bytes", n, len(raw))
	}
	said := 0
	for _, r := range c.Receipts {
		checkReceipt(t, r, reported)
	}
	for _, in := range c.Inbound {
		said += len(in.Text)
		checkInbound(t, in)
	}
	for _, h := range c.Halts {
		if h.For <= 0 || !h.Scope.Wide() || !fits(h.Reason, maxText*utf8.UTFMax) {
			t.Errorf("halt that can't be kept: %+v", h)
		}
	}
	if said > 3*len(raw) { // a broken byte reads as a character of three
		t.Errorf("%d bytes of words in a body of %d", said, len(raw))
	}
	return c
}

func checkReceipt(t *testing.T, r gateway.Receipt, reported []gateway.Status) {
	t.Helper()
	if !slices.Contains(reported, r.Status) {
		t.Errorf("status %q", r.Status)
	}
	if r.Message != "" && !r.Message.Valid() {
		t.Errorf("message %q", r.Message)
	}
	if !fits(string(r.ProviderMessageID), maxID) {
		t.Errorf("id that can't be kept: %.40q… of %d bytes", r.ProviderMessageID, len(r.ProviderMessageID))
	}
	if _, err := r.At.MarshalJSON(); err != nil {
		t.Errorf("time that can't be kept: %v", err)
	}
	if (r.Error != nil) != (r.Status == gateway.StatusFailed) {
		t.Errorf("status %s with error %v", r.Status, r.Error)
	}
	if r.LostFile && r.Status != gateway.StatusFailed {
		t.Errorf("status %s, and a file is lost", r.Status)
	}
	if e := r.Error; e != nil && (e.Title == "" || e.Class == "" || !fits(e.Code, maxID) || !fits(e.Title, maxText*utf8.UTFMax) || !fits(e.Detail, maxText*utf8.UTFMax)) {
		t.Errorf("error that can't be kept: %.1000s", e)
	}
	if s := r.Suppress; s != nil && (r.Error == nil || r.Error.Class != gateway.ClassRecipient || s.Reason == "" || !fits(s.Reason, maxID) || s.For < 0) {
		t.Errorf("suppression %+v with error %v", *s, r.Error)
	}
}

func checkInbound(t *testing.T, in gateway.Inbound) {
	t.Helper()
	if _, err := gateway.ParseRecipient(string(in.From)); err != nil {
		t.Errorf("inbound from %q: %v", in.From, err)
	}
	if _, err := gateway.ParseRecipient(string(in.Moved)); in.Moved != "" && err != nil {
		t.Errorf("moved to %q: %v", in.Moved, err)
	}
	if _, err := in.At.MarshalJSON(); err != nil || !utf8.ValidString(in.Text) {
		t.Errorf("inbound %+v can't be kept: %v", in, err)
	}
	consents := []gateway.Consent{"", gateway.ConsentStop, gateway.ConsentStart, gateway.ConsentStopMarketing, gateway.ConsentStartMarketing}
	if !slices.Contains(consents, in.Consent) {
		t.Errorf("consent %q", in.Consent)
	}
}

// fits reports whether a text of the provider's can be kept.
func fits(s string, most int) bool { return utf8.ValidString(s) && len(s) <= most }

// FuzzedAnswer is the body of a fuzz target for answers: to a send, and where
// the provider does such things to an upload, or to the question what became
// of a message. Whatever the answer, each is read the same twice, contradicts
// itself nowhere, and takes nothing but a 2xx for a yes. It returns what the
// answer means to a send.
func FuzzedAnswer(t *testing.T, p sender.Provider, a sender.Answer) gateway.Result {
	t.Helper()
	before, yes := string(a.Body), a.Status >= 200 && a.Status <= 299
	r := p.Interpret(a)
	for _, problem := range unsound(r) {
		t.Errorf("%s: %+v", problem, r)
	}
	accepted := r.Outcome == gateway.OutcomeAccepted
	if accepted && !yes || accepted != (r.ProviderMessageID != "") || !fits(string(r.ProviderMessageID), maxID) {
		t.Errorf("status %d: %s with an id of %d bytes", a.Status, r.Outcome, len(r.ProviderMessageID))
	}
	if _, err := gateway.ParseRecipient(string(r.Alias)); r.Alias != "" && (err != nil || !accepted) {
		t.Errorf("%s, and the recipient is known as %q: %v", r.Outcome, r.Alias, err)
	}
	// Dates are waited for, and the clock goes on.
	near := cmp.Comparer(func(x, y time.Duration) bool { return (x - y).Abs() <= time.Second })
	if diff := cmp.Diff(r, p.Interpret(a), near); diff != "" {
		t.Errorf("read twice, it differs: %s", diff)
	}
	if u, ok := p.(sender.Uploader); ok {
		id, life, refused := u.InterpretUpload(a)
		if (id == "") == (refused == nil) || (id == "") != (life == 0) || id != "" && !yes || !utf8.ValidString(id) {
			t.Errorf("status %d: the file's id has %d bytes and lasts %v, refused: %v", a.Status, len(id), life, refused)
		}
		if refused != nil && (refused.Class == "" || refused.Class == gateway.ClassUnknown) {
			t.Errorf("an upload leaves no message in doubt: %+v", refused)
		}
		if u.LostUpload(a) && accepted {
			t.Error("accepted, though the file is lost")
		}
	}
	if q, ok := p.(sender.Poller); ok {
		switch receipt, ok := q.InterpretStatus(a); {
		case ok && !yes:
			t.Errorf("status %d tells %+v", a.Status, receipt)
		case ok:
			checkReceipt(t, receipt, []gateway.Status{gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed})
		case receipt != (gateway.Receipt{}):
			t.Errorf("not ok, and %+v", receipt)
		}
	}
	if string(a.Body) != before {
		t.Error("the answer was changed")
	}
	return r
}

// FuzzedLogin is the body of a fuzz target for logins, of a provider that has
// not logged in yet. Whatever the login answers, the next request can be
// written, or the account waits and no message is at fault.
func FuzzedLogin(t *testing.T, p sender.Provider) {
	t.Helper()
	m := Message(t, `{"type":"text","text":{"body":"x"}}`)
	req, err := p.NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	if err != nil {
		e, ok := errors.AsType[*gateway.Error](err)
		waits := []gateway.Class{gateway.ClassSuspended, gateway.ClassThrottled, gateway.ClassTransient}
		if !ok || !slices.Contains(waits, e.Class) || e.Title == "" || !fits(e.Code+e.Title+e.Detail, 4*maxText) {
			t.Errorf("the login failed: %.1000v", err)
		}
		return
	}
	if err := req.Write(io.Discard); err != nil {
		t.Errorf("the request can't be written: %v", err)
	}
	for _, value := range req.Header["Authorization"] {
		scheme, token, ok := strings.Cut(value, " ")
		if !ok || scheme != "Bearer" || token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("Authorization: %q", value)
		}
	}
}

// Halted is the callback, and that nothing may begin for the account as of its
// last receipt.
func Halted(c gateway.Callback, d time.Duration, o gateway.Outcome, reason string) gateway.Callback {
	h := gateway.Halt{For: d, Outcome: o, Reason: reason, Scope: gateway.ScopeAccount}
	if n := len(c.Receipts); n > 0 {
		h.At = c.Receipts[n-1].At
	}
	c.Halts = append(c.Halts, h)
	return c
}

// Signed is how a provider's callbacks are signed.
type Signed struct {
	Verify func(header http.Header, query url.Values, raw []byte) error
	Secret string
	MAC    func(secret string, raw []byte) []byte
	Header func(mac []byte) http.Header
}

// HubSigned is how Meta signs: X-Hub-Signature-256 over the body.
func HubSigned(verify func(http.Header, url.Values, []byte) error, secret string) Signed {
	return Signed{
		Verify: verify, Secret: secret,
		MAC: func(secret string, raw []byte) []byte {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(raw)
			return mac.Sum(nil)
		},
		Header: func(mac []byte) http.Header {
			return http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac)}}
		},
	}
}

// FuzzedSignature is the body of a fuzz target for signatures: what the secret
// signs passes; with one bit flipped of the body, the signature or the secret,
// or cut, it doesn't. at says which bit.
func FuzzedSignature(t *testing.T, s Signed, raw []byte, at uint) {
	t.Helper()
	before, mac := string(raw), s.MAC(s.Secret, raw)
	if err := s.Verify(s.Header(mac), nil, raw); err != nil {
		t.Errorf("what is signed didn't pass: %v", err)
	}
	if len(raw) > 0 && s.Verify(s.Header(mac), nil, flip(raw, at)) == nil {
		t.Errorf("passed with bit %d of the body flipped", at)
	}
	if s.Verify(s.Header(mac), nil, append(bytes.Clone(raw), '\n')) == nil {
		t.Error("passed with a byte too many")
	}
	for name, wrong := range map[string][]byte{"flipped": flip(mac, at), "cut": mac[:len(mac)-1], "lengthened": append(bytes.Clone(mac), 0), "empty": {}} {
		if s.Verify(s.Header(wrong), nil, raw) == nil {
			t.Errorf("passed with the signature %s", name)
		}
	}
	for _, secret := range []string{string(flip([]byte(s.Secret), at)), ""} {
		if s.Verify(s.Header(s.MAC(secret, raw)), nil, raw) == nil {
			t.Errorf("passed with the secret %q in place of %q", secret, s.Secret)
		}
	}
	if string(raw) != before {
		t.Error("Verify changed the body")
	}
}

// flip is b with one bit the other way round.
func flip(b []byte, at uint) []byte {
	b = bytes.Clone(b)
	at %= uint(len(b)) * 8
	b[at/8] ^= 1 << (at % 8)
	return b
}

// Misshapen gives the documents, and each of them with every value in turn
// replaced by one of another shape: seeds for what reads such documents.
func Misshapen(tb testing.TB, documents ...string) []string {
	tb.Helper()
	var out []string
	for _, text := range documents {
		v, err := decode([]byte(text))
		if err != nil {
			tb.Fatalf("%v: %s", err, text)
		}
		out = append(out, text)
		for _, path := range places("", v) {
			for _, shape := range []any{nil, true, "", "\x00\u2028", json.Number("7"), json.Number("-1e99"), []any{}, []any{nil}, map[string]any{}} {
				odd, err := json.Marshal(replaceValue("", v, path, shape))
				if err != nil {
					tb.Fatal(err)
				}
				out = append(out, string(odd))
			}
		}
	}
	return out
}

// Large is the document, which holds item once, with that repeated until there
// are n, a comma between two.
func Large(tb testing.TB, document, item string, n int) []byte {
	tb.Helper()
	if strings.Count(document, item) != 1 {
		tb.Fatalf("the document holds %q %d times", item, strings.Count(document, item))
	}
	return []byte(strings.Replace(document, item, strings.Repeat(item+",", n-1)+item, 1))
}

// CheckLarge wants that a callback as large as any is read in no more time and
// memory than its length accounts for.
func CheckLarge(t *testing.T, p Parser, raw []byte, entries int) {
	t.Helper()
	const (
		each = 8               // bytes of memory for one of the body
		long = 5 * time.Second // with the race detector, on a busy machine
	)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	c, err := p.Parse(raw)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Receipts) + len(c.Inbound); n != entries {
		t.Errorf("%d entries, want %d", n, entries)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > each*uint64(len(raw)) {
		t.Errorf("%d bytes of memory for a body of %d", used, len(raw))
	}
	if took > long {
		t.Errorf("it took %v", took)
	}
}

// BenchmarkParse measures the reading of one callback.
func BenchmarkParse(b *testing.B, p Parser, raw []byte) {
	b.Helper()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
