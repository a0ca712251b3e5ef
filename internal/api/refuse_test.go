package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// text is a sound post with more members, or with those of a text replaced.
func text(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"account":"shop-eu","to":"+46732001122","type":"text","text":{"body":"hi"}` + more + `}`
}

// sending is a post of the type with its object.
func sending(kind, object string) string {
	return fmt.Sprintf(`{"account":"shop-eu","to":"+46732001122","type":%q,%q:%s}`, kind, kind, object)
}

func pairs(n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `%q:%q,`, fmt.Sprintf("k%d", i), value)
	}
	return "{" + strings.TrimSuffix(b.String(), ",") + "}"
}

func TestPostsRefusedAsUnreadable(t *testing.T) {
	for _, tc := range []struct{ name, body string }{
		{"prose", `hello`},
		{"a form", `account=shop-eu&to=%2B46732001122`},
		{"an object cut short", `{"account":"shop-eu",`},
		{"only space", "  \n"},
		{"trailing garbage", text("") + `x`},
		{"a second value", text("") + text("")},
		{"a comment", `/* */` + text("")},
		{"a trailing comma", `{"account":"shop-eu",}`},
		{"single quotes", `{'account':'shop-eu'}`},
		{"a byte order mark", "\ufeff" + text("")},
		{"a NUL as it is", "{\"account\":\"shop\x00eu\"}"},
		{"a newline inside a string", "{\"account\":\"shop\neu\"}"},
		{"invalid UTF-8", "{\"account\":\"shop\xff\"}"},
		{"an overlong form of a slash", "{\"account\":\"shop\xc0\xaf\"}"},
		{"a surrogate encoded in UTF-8", "{\"account\":\"shop\xed\xa0\x80\"}"},
		{"NaN", text(`"ttl":NaN`)},
		{"a number with a leading zero", text(`"ttl":010`)},
		{"absurd nesting of arrays", strings.Repeat("[", 100_000)},
		{"absurd nesting of objects", strings.Repeat(`{"a":`, 40_000)},
		{"absurd nesting where anything goes", sending("interactive", `{"type":"flow","action":{"parameters":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			s.post(tc.body, "Idempotency-Key", "k").problem(http.StatusBadRequest, "malformed")
			nothingAccepted(t, s)
		})
	}
}

func nothingAccepted(t *testing.T, s *stage) {
	t.Helper()
	if got := s.store.accepted(); len(got) != 0 {
		t.Errorf("accepted %d posts", len(got))
	}
	if len(s.store.claims) != 0 {
		t.Error("claimed an idempotency key")
	}
	if got := s.queue.heard(); len(got) != 0 {
		t.Errorf("queued %d messages", len(got))
	}
}

func TestPostsRefusedForTheirFields(t *testing.T) {
	long := func(n int) string { return strings.Repeat("å", n) }
	for _, tc := range []struct {
		name   string
		body   string
		fields []string
	}{
		// The body as a whole.
		{"null", `null`, []string{"body"}},
		{"an array", `[` + text("") + `]`, []string{"body"}},
		{"a string", `"text"`, []string{"body"}},
		{"a number", `1`, []string{"body"}},
		{"an empty object", `{}`, []string{"account", "to", "type"}},
		{"nulls count as left out", `{"account":null,"to":null,"type":null}`, []string{"account", "to", "type"}},
		{"every kind of fault at once", `{"account":"nobody","to":"0732001122","type":"text","text":{"body":"","bold":true},"ttl":5,"colour":"red"}`, []string{"account", "colour", "text.body", "text.bold", "to", "ttl"}},

		// Members nobody knows, or knows twice.
		{"an unknown field", text(`"colour":"red"`), []string{"colour"}},
		{"an unknown field deep down", sending("interactive", `{"type":"button","body":{"text":"?"},"action":{"buttons":[{"type":"reply","reply":{"id":"a","title":"A","colour":"red"}}]}}`), []string{"interactive.action.buttons[0].reply.colour"}},
		{"a known field in other case", text(`"Priority":"bulk"`), []string{"Priority"}},
		{"an unknown field with a strange name", text(`"a.b c\n":1`), []string{`["a.b c\n"]`}},
		{"a field given twice", text(`"to":"+46732001133"`), []string{"to"}},
		{"a field given twice, once as null", text(`"text":null`), []string{"text"}},
		{"a field given twice by another spelling", text(`"t\u006f":"+46732001133"`), []string{"to"}},
		{"a field given twice deep down", sending("text", `{"body":"a","body":"b"}`), []string{"text.body"}},
		{"metadata given twice", text(`"metadata":{"a":"1","a":"2"}`), []string{"metadata.a"}},
		{"a field given twice where anything goes", sending("interactive", `{"type":"flow","body":{"text":"?"},"action":{"name":"flow","parameters":{"flow_id":"1","flow_cta":"Go","x":{"y":1,"y":2}}}}`), []string{"interactive.action.parameters.x.y"}},

		// Wrong kinds of values.
		{"numbers and lists for strings", `{"account":5,"to":46732001122,"type":["text"],"text":{"body":{}}}`, []string{"account", "text.body", "to", "type"}},
		{"a string for an object", `{"account":"shop-eu","to":"+46732001122","type":"text","text":"hi"}`, []string{"text"}},
		{"a string for a flag", sending("text", `{"body":"hi","preview_url":"yes"}`), []string{"text.preview_url"}},
		{"an object for a list", sending("contacts", `{"name":{"formatted_name":"A"}}`), []string{"contacts"}},
		{"a list with a hole", sending("contacts", `[{"name":{"formatted_name":"A"}},null]`), []string{"contacts[1]"}},
		{"metadata that isn't text", text(`"metadata":{"n":1,"o":null,"p":{}}`), []string{"metadata.n", "metadata.o", "metadata.p"}},
		{"metadata in a list", text(`"metadata":["a"]`), []string{"metadata"}},
		{"a huge number for a string", text(`"ttl":1e999999`), []string{"ttl"}},
		{"a huge latitude", sending("location", `{"latitude":1e999,"longitude":0}`), []string{"location.latitude"}},
		{"a latitude that is no number", sending("location", `{"latitude":"NaN","longitude":"north"}`), []string{"location.latitude", "location.longitude"}},
		{"an infinite latitude where none belongs", sending("template", `{"name":"t","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"x","location":{"latitude":"-Inf","longitude":1}}]}]}`), []string{"template.components[0].parameters[0].location", "template.components[0].parameters[0].location.latitude"}},
		{"an amount beyond 64 bits", sending("template", `{"name":"t","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"1","code":"EUR","amount_1000":99999999999999999999}}]}]}`), []string{"template.components[0].parameters[0].currency.amount_1000"}},
		{"an amount with a fraction", sending("template", `{"name":"t","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"1","code":"EUR","amount_1000":1.5}}]}]}`), []string{"template.components[0].parameters[0].currency.amount_1000"}},
		{"a list too long for anyone", sending("contacts", `[`+strings.TrimSuffix(strings.Repeat(`{"name":{"formatted_name":"A"}},`, 1001), ",")+`]`), []string{"contacts"}},

		// Characters that can't be.
		{"NUL in an escape", sending("text", `{"body":"a\u0000b"}`), []string{"text.body"}},
		{"a control character in metadata", text(`"metadata":{"a\u0001":"\u001b"}`), []string{`metadata["a\x01"]`}},
		{"half a surrogate pair", sending("text", `{"body":"\ud83d"}`), []string{"text.body"}},
		{"the other half alone", sending("text", `{"body":"\ude00 x"}`), []string{"text.body"}},
		{"a surrogate pair the wrong way round", text(`"reference":"\ude00\ud83d"`), []string{"reference"}},
		{"half a surrogate pair where anything goes", sending("interactive", `{"type":"flow","body":{"text":"?"},"action":{"name":"flow","parameters":{"flow_id":"\ud83d","flow_cta":"Go"}}}`), []string{"interactive.action.parameters.flow_id"}},

		// Numbers to send to.
		{"a number without +", `{"account":"shop-eu","to":"46732001122","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a national number", `{"account":"shop-eu","to":"0732001122","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number with an unknown calling code", `{"account":"shop-eu","to":"+9990732001","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number with letters", `{"account":"shop-eu","to":"+4673SHOPEU","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number with spaces", `{"account":"shop-eu","to":"+46 732 00 11 22","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number in other digits", `{"account":"shop-eu","to":"+٤٦٧٣٢٠٠١١٢٢","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number too short", `{"account":"shop-eu","to":"+467320","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"a number too long", `{"account":"shop-eu","to":"+4673200112233445","type":"text","text":{"body":"hi"}}`, []string{"to"}},
		{"an empty number", `{"account":"shop-eu","to":"","type":"text","text":{"body":"hi"}}`, []string{"to"}},

		// Accounts.
		{"an unknown account", `{"account":"nobody","to":"+46732001122","type":"text","text":{"body":"hi"}}`, []string{"account"}},
		{"an account in other case", `{"account":"Shop-EU","to":"+46732001122","type":"text","text":{"body":"hi"}}`, []string{"account"}},

		// Types and their objects.
		{"a type without its object", `{"account":"shop-eu","to":"+46732001122","type":"text"}`, []string{"text"}},
		{"an object that isn't the type's", text(`"image":{"link":"https://a.example/a.png"}`), []string{"image"}},
		{"only an object that isn't the type's", `{"account":"shop-eu","to":"+46732001122","type":"image","text":{"body":"hi"}}`, []string{"image", "text"}},
		{"an unknown type", `{"account":"shop-eu","to":"+46732001122","type":"fax","text":{"body":"hi"}}`, []string{"type"}},
		{"no type", `{"account":"shop-eu","to":"+46732001122","text":{"body":"hi"}}`, []string{"type"}},
		{"text of 4097 characters", sending("text", `{"body":"`+long(4097)+`"}`), []string{"text.body"}},
		{"empty text", sending("text", `{"body":""}`), []string{"text.body"}},
		{"caption of 1025 characters", sending("image", `{"id":"1","caption":"`+long(1025)+`"}`), []string{"image.caption"}},
		{"a link to a file server", sending("image", `{"link":"ftp://a.example/a.png"}`), []string{"image.link"}},
		{"a link that is a script", sending("document", `{"link":"javascript:alert(1)"}`), []string{"document.link"}},
		{"a link without a host", sending("video", `{"link":"https:///a.mp4"}`), []string{"video.link"}},
		{"a link with credentials", sending("audio", `{"link":"https://u:p@a.example/a.mp3"}`), []string{"audio.link"}},
		{"link and id", sending("image", `{"link":"https://a.example/a.png","id":"1"}`), []string{"image"}},
		{"neither link nor id", sending("image", `{"caption":"c"}`), []string{"image"}},
		{"a bad link in a header", sending("interactive", `{"type":"button","header":{"type":"image","image":{"link":"a.png"}},"body":{"text":"?"},"action":{"buttons":[{"type":"reply","reply":{"id":"a","title":"A"}}]}}`), []string{"interactive.header.image.link"}},
		{"a third button's title too long", sending("interactive", `{"type":"button","body":{"text":"?"},"action":{"buttons":[{"type":"reply","reply":{"id":"a","title":"A"}},{"type":"reply","reply":{"id":"b","title":"B"}},{"type":"reply","reply":{"id":"c","title":"`+long(21)+`"}}]}}`), []string{"interactive.action.buttons[2].reply.title"}},
		{"several faults of one object", sending("template", `{"name":"No Spaces","language":{},"components":[{"type":"button"}]}`), []string{"template.components[0].index", "template.components[0].sub_type", "template.language.code", "template.name"}},
		{"what the provider can't express", sending("sticker", `{"id":"1"}`), []string{"sticker"}},
		{"what the provider can't express, and more", strings.Replace(sending("sticker", `{"id":"1"}`), "+", "", 1), []string{"sticker", "to"}},

		// Choices, texts and links of ours.
		{"an unknown priority", text(`"priority":"urgent"`), []string{"priority"}},
		{"an unknown policy for unknowns", text(`"on_unknown":"panic"`), []string{"on_unknown"}},
		{"a long reference", text(`"reference":"` + long(256) + `"`), []string{"reference"}},
		{"a long reply_to", text(`"reply_to":"` + long(513) + `"`), []string{"reply_to"}},
		{"21 pairs of metadata", text(`"metadata":` + pairs(21, "v")), []string{"metadata"}},
		{"metadata over 2 KB", text(`"metadata":{"k":"` + strings.Repeat("x", 2048) + `"}`), []string{"metadata"}},
		{"metadata without a name", text(`"metadata":{"":"x"}`), []string{"metadata"}},
		{"a callback_url that isn't one", text(`"callback_url":"hooks/sluice"`), []string{"callback_url"}},
		{"a callback_url to a file", text(`"callback_url":"file:///etc/passwd"`), []string{"callback_url"}},
		{"a callback_url that isn't allowed", text(`"callback_url":"http://169.254.169.254/"`), []string{"callback_url"}},

		// Times.
		{"a negative ttl", text(`"ttl":"-10m"`), []string{"ttl"}},
		{"a ttl of nothing", text(`"ttl":"0s"`), []string{"ttl"}},
		{"a ttl over 30 days", text(`"ttl":"31d"`), []string{"ttl"}},
		{"a ttl beyond all durations", text(`"ttl":"99999999999999999999h"`), []string{"ttl"}},
		{"a ttl without a unit", text(`"ttl":"600"`), []string{"ttl"}},
		{"a ttl that is a number", text(`"ttl":600`), []string{"ttl"}},
		{"ttl and expires_at together", text(`"ttl":"10m","expires_at":"2026-11-21T13:00:00Z"`), []string{"expires_at"}},
		{"an expires_at in the past", text(`"expires_at":"2026-11-21T11:59:59Z"`), []string{"expires_at"}},
		{"an expires_at before send_at", text(`"send_at":"2026-11-21T14:00:00Z","expires_at":"2026-11-21T13:00:00Z"`), []string{"expires_at"}},
		{"an expires_at too far ahead", text(`"expires_at":"2027-06-01T00:00:00Z"`), []string{"expires_at"}},
		{"an expires_at without a zone", text(`"expires_at":"2026-11-21T13:00:00"`), []string{"expires_at"}},
		{"a send_at in the past", text(`"send_at":"2026-11-21T11:58:00Z"`), []string{"send_at"}},
		{"a send_at over 90 days ahead", text(`"send_at":"2027-02-19T12:00:01Z"`), []string{"send_at"}},
		{"a send_at that is a date", text(`"send_at":"2026-11-22"`), []string{"send_at"}},
		{"a send_at on a day that isn't", text(`"send_at":"2026-11-31T09:00:00Z"`), []string{"send_at"}},
		{"a garbled send_at says nothing of expires_at", text(`"send_at":"soon","expires_at":"2027-01-20T00:00:00Z"`), []string{"send_at"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			p := s.post(tc.body, "Idempotency-Key", "k").problem(http.StatusUnprocessableEntity, "validation")
			if diff := cmp.Diff(tc.fields, p.fields()); diff != "" {
				t.Errorf("fields at fault (-want +got):\n%s\n%+v", diff, p.Errors)
			}
			for _, e := range p.Errors {
				if e.Message == "" {
					t.Errorf("nothing said about %s", e.Field)
				}
			}
			nothingAccepted(t, s)
		})
	}
}

func TestPostsRefusedForTheirEnvelope(t *testing.T) {
	for _, tc := range []struct {
		name    string
		key     string
		body    string
		headers []string
		status  int
		problem string
	}{
		{"no key", "", text(""), nil, 401, "unauthenticated"},
		{"a key nobody knows", "sk-guess", text(""), nil, 401, "unauthenticated"},
		{"a key in another scheme", "", text(""), []string{"Authorization", "Basic " + keyAll}, 401, "unauthenticated"},
		{"a key without a scheme", "", text(""), []string{"Authorization", keyAll}, 401, "unauthenticated"},
		{"an empty key", "", text(""), []string{"Authorization", "Bearer "}, 401, "unauthenticated"},
		{"a key without the scope", keyRead, text(""), nil, 403, "forbidden"},
		{"an account outside the key", keySend, strings.Replace(text(""), "shop-eu", "shop-us", 1), nil, 403, "forbidden"},
		{"an account outside the key that doesn't exist", keySend, strings.Replace(text(""), "shop-eu", "nobody", 1), nil, 403, "forbidden"},
		{"an account outside the key in a body with faults", keySend, `{"account":"shop-us","colour":"red"}`, nil, 403, "forbidden"},
		{"no body", keyAll, "", []string{"Content-Type", "application/json"}, 400, "malformed"},
		{"no content type", keyAll, text(""), []string{"Content-Type", ""}, 415, "unsupported-media-type"},
		{"a form's content type", keyAll, text(""), []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"},
		{"another charset", keyAll, text(""), []string{"Content-Type", "application/json; charset=latin1"}, 415, "unsupported-media-type"},
		{"a compressed body", keyAll, text(""), []string{"Content-Encoding", "gzip"}, 415, "unsupported-media-type"},
		{"a body over 256 KiB", keyAll, text(`"metadata":{"k":"` + strings.Repeat("x", 256<<10) + `"}`), nil, 413, "too-large"},
		{"an idempotency key of 256 characters", keyAll, text(""), []string{"Idempotency-Key", strings.Repeat("k", 256)}, 422, "validation"},
		{"an idempotency key in no encoding", keyAll, text(""), []string{"Idempotency-Key", "\xff"}, 422, "validation"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			a := s.do(http.MethodPost, "/v1/messages", tc.key, tc.body, tc.headers...)
			a.problem(tc.status, tc.problem)
			if got := a.Header().Get("WWW-Authenticate"); (got != "") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate %q with %d", got, tc.status)
			}
			nothingAccepted(t, s)
		})
	}
}
