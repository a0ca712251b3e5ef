package whatsappv2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappv2"
)

// What the golden cases of the reference are made with.
const (
	accessToken = "S1TOKEN"
	appSecret   = "test_app_secret_0123456789abcdef"
	nextSecret  = "next_app_secret_0123456789abcdef"
	verifyToken = "verify-me-0123456789"
)

func settings(baseURL string) whatsappv2.Settings {
	return whatsappv2.Settings{
		BaseURL: baseURL, AccessToken: accessToken, AppSecrets: []string{appSecret, nextSecret}, VerifyToken: verifyToken,
	}
}

func TestProvider(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:      func(baseURL string) sender.Provider { return whatsappv2.New(settings(baseURL)) },
		Requests: requestCases(t),
		Refused:  refusedCases(t),
		Answers:  answerCases(),
		Secrets:  []string{accessToken, appSecret, nextSecret, verifyToken},
	})
}

// requestCases are the golden cases S1-01 to S1-06 of the reference, named as
// there, and what they leave out.
func requestCases(tb testing.TB) []providertest.RequestCase {
	tb.Helper()
	header := map[string]string{"Authorization": "Bearer S1TOKEN", "Content-Type": "application/json", "Accept": "application/json"}
	to := func(r gateway.Recipient, m gateway.Message) gateway.Message {
		m.Recipient = r
		return m
	}
	const seed = gateway.Recipient("+14155552671")
	captioned := to(seed, providertest.Message(tb, `{"type":"audio","audio":{"link":"https://example.com/a.ogg"}}`))
	captioned.Content.Audio.Caption = "x"
	silent := to(seed, providertest.Message(tb, `{"type":"sticker","sticker":{"link":"https://example.com/s.webp"}}`))
	silent.Content.Sticker.Caption = "x"
	reply := to(seed, providertest.Message(tb, `{"type":"text","text":{"body":"See https://example.com/a?b=1&c=2","preview_url":true}}`))
	reply.ReplyTo = "0123456789abcdefghjkmnpqrstvwxyz"

	cases := []providertest.RequestCase{
		{
			Name:     "S1-01 text",
			Message:  to(seed, providertest.Message(tb, `{"type":"text","text":{"body":"Hi, *important* update for you."}}`)),
			WantPath: "/send-message",
			WantBody: `{"phone_number":"+14155552671","message":"Hi, *important* update for you."}`,
		},
		{
			Name:     "S1-02 text with a preview that answers an earlier message",
			Message:  reply,
			ReplyTo:  "wamid.ABGS1",
			WantPath: "/send-message",
			WantBody: `{"phone_number":"+14155552671","message":"See https://example.com/a?b=1&c=2","preview_url":true,"reply_to":"wamid.ABGS1"}`,
		},
		{
			Name:     "S1-03 image with a caption",
			Message:  to(seed, providertest.Message(tb, `{"type":"image","image":{"link":"https://example.com/image.jpg","caption":"Our *new* model"}}`)),
			WantPath: "/send-media",
			WantBody: `{"phone_number":"+14155552671","media_type":"image","media_url":"https://example.com/image.jpg","caption":"Our *new* model"}`,
		},
		{
			Name:     "S1-04 document called as its link ends",
			Message:  to(seed, providertest.Message(tb, `{"type":"document","document":{"link":"https://example.com/inv-7.pdf","filename":"inv-7.pdf","caption":"Invoice"}}`)),
			WantPath: "/send-media",
			WantBody: `{"phone_number":"+14155552671","media_type":"document","media_url":"https://example.com/inv-7.pdf","caption":"Invoice"}`,
		},
		{
			Name:     "S1-05 audio shows no caption",
			Message:  captioned,
			WantPath: "/send-media",
			WantBody: `{"phone_number":"+14155552671","media_type":"audio","media_url":"https://example.com/a.ogg"}`,
		},
		{
			Name:     "a sticker shows none either",
			Message:  silent,
			WantPath: "/send-media",
			WantBody: `{"phone_number":"+14155552671","media_type":"sticker","media_url":"https://example.com/s.webp"}`,
		},
		{
			Name: "S1-06 template, its number without a plus",
			Message: to("+15555551234", providertest.Message(tb, `{"type":"template","template":{"name":"order_confirmation","language":{"code":"en"},
				"components":[{"type":"body","parameters":[{"type":"text","text":"John"},{"type":"text","text":"12345"},{"type":"text","text":"04/28/2025"}]}]}}`)),
			WantPath: "/messages",
			WantBody: `{"to":"15555551234","type":"template","template":{"name":"order_confirmation","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"John"},{"type":"text","text":"12345"},{"type":"text","text":"04/28/2025"}]}]}}`,
		},
	}
	for _, c := range []struct{ name, content, path, want string }{
		{
			"video", `{"type":"video","video":{"link":"https://example.com/v.mp4","caption":"Look"}}`, "/send-media",
			`{"phone_number":"+16505551234","media_type":"video","media_url":"https://example.com/v.mp4","caption":"Look"}`,
		},
		{
			"sticker", `{"type":"sticker","sticker":{"link":"https://example.com/s.webp"}}`, "/send-media",
			`{"phone_number":"+16505551234","media_type":"sticker","media_url":"https://example.com/s.webp"}`,
		},
		{
			"a link keeps its query, in which nothing is escaped anew", `{"type":"image","image":{"link":"HTTPS://example.com/i.jpg?a=1&b=%2F"}}`, "/send-media",
			`{"phone_number":"+16505551234","media_type":"image","media_url":"HTTPS://example.com/i.jpg?a=1&b=%2F"}`,
		},
		{
			"a document's name may be escaped in its link", `{"type":"document","document":{"link":"https://example.com/Invoice%207.PDF?sig=x","filename":"Invoice 7.PDF"}}`, "/send-media",
			`{"phone_number":"+16505551234","media_type":"document","media_url":"https://example.com/Invoice%207.PDF?sig=x"}`,
		},
		{
			"template without variables", `{"type":"template","template":{"name":"hello","language":{"code":"sv_SE"}}}`, "/messages",
			`{"to":"16505551234","type":"template","template":{"name":"hello","language":{"code":"sv_SE"}}}`,
		},
		{
			"the only language policy there is says nothing", `{"type":"template","template":{"name":"hello","language":{"code":"en","policy":"deterministic"}}}`, "/messages",
			`{"to":"16505551234","type":"template","template":{"name":"hello","language":{"code":"en"}}}`,
		},
		{
			"quick replies, the index a number, the payload empty or not",
			`{"type":"template","template":{"name":"order","language":{"code":"en"},"components":[
				{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"track_order_12345"}]},
				{"type":"button","sub_type":"quick_reply","index":1,"parameters":[{"type":"payload","payload":""}]},
				{"type":"button","sub_type":"quick_reply","index":2}]}}`, "/messages",
			`{"to":"16505551234","type":"template","template":{"name":"order","language":{"code":"en"},"components":[{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"track_order_12345"}]},{"type":"button","sub_type":"quick_reply","index":1,"parameters":[{"type":"payload","payload":""}]},{"type":"button","sub_type":"quick_reply","index":2}]}}`,
		},
		{
			"the longest text there is", `{"type":"text","text":{"body":"` + strings.Repeat("ü", 4096) + `"}}`, "/send-message",
			`{"phone_number":"+16505551234","message":"` + strings.Repeat("ü", 4096) + `"}`,
		},
	} {
		cases = append(cases, providertest.RequestCase{Name: c.name, Message: providertest.Message(tb, c.content), WantPath: c.path, WantBody: c.want})
	}
	for i := range cases {
		cases[i].WantHeader = header
	}
	return cases
}

// refusedCases are S1-08 of the reference and its like.
func refusedCases(tb testing.TB) []providertest.RefusedCase {
	tb.Helper()
	const (
		reply  = `"body":{"text":"b"},"action":{"buttons":[{"type":"reply","reply":{"id":"i","title":"t"}}]}`
		pdf    = `"link":"https://example.com/a.pdf"`
		prefix = `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[`
	)
	var cases []providertest.RefusedCase
	for _, c := range []struct {
		name, content string
		fields        []string
	}{
		{"S1-08 location", `{"type":"location","location":{"latitude":1.0,"longitude":2.0}}`, []string{"location"}},
		{"contacts", `{"type":"contacts","contacts":[{"name":{"formatted_name":"n"}}]}`, []string{"contacts"}},
		{"reaction", `{"type":"reaction","reaction":{"message_id":"wamid.A","emoji":"👍"}}`, []string{"reaction"}},
		{"interactive", `{"type":"interactive","interactive":{"type":"button",` + reply + `}}`, []string{"interactive"}},

		{"a file by id", `{"type":"image","image":{"id":"1"}}`, []string{"image.id"}},
		{"a document by id", `{"type":"document","document":{"id":"1"}}`, []string{"document.id"}},
		{"a media provider", `{"type":"video","video":{"link":"https://example.com/v.mp4","provider":"p"}}`, []string{"video.provider"}},
		{"a voice message", `{"type":"audio","audio":{"link":"https://example.com/a.ogg","voice":true}}`, []string{"audio.voice"}},
		{"a link without TLS", `{"type":"sticker","sticker":{"link":"http://example.com/s.webp"}}`, []string{"sticker.link"}},
		{"a document's link without an extension", `{"type":"document","document":{"link":"https://example.com/a"}}`, []string{"document.link"}},
		{"an extension in the query only", `{"type":"document","document":{"link":"https://example.com/get?f=a.pdf"}}`, []string{"document.link"}},
		{"an extension of no format there is", `{"type":"document","document":{"link":"https://example.com/a.odt"}}`, []string{"document.link"}},
		{"a link that ends in its host", `{"type":"document","document":{"link":"https://example.pdf"}}`, []string{"document.link"}},
		{"a name the link doesn't end in", `{"type":"document","document":{` + pdf + `,"filename":"b.pdf"}}`, []string{"document.filename"}},
		{"everything at once", `{"type":"document","document":{"link":"https://example.com/a","filename":"b","provider":"p"}}`, []string{"document.provider", "document.link", "document.filename"}},

		{"another language policy", `{"type":"template","template":{"name":"n","language":{"code":"en","policy":"fallback"}}}`, []string{"template.language.policy"}},
		{"a template's header", prefix + `{"type":"header","parameters":[{"type":"image","image":{"link":"https://example.com/i.jpg"}}]}]}}`, []string{"template.components[0].type"}},
		{"values by name", prefix + `{"type":"body","parameters":[{"type":"text","parameter_name":"p","text":"t"}]}]}}`, []string{"template.components[0].parameters[0].parameter_name"}},
		{"an amount", prefix + `{"type":"body","parameters":[{"type":"text","text":"t"},{"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}}]}]}}`, []string{"template.components[0].parameters[1].type"}},
		{"a button that isn't a quick reply", prefix + `{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"t"}]}]}}`, []string{"template.components[0].sub_type"}},
		{"a quick reply without a payload but a text", prefix + `{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"text","text":"t"}]}]}}`, []string{"template.components[0].parameters[0].type"}},
		{"two payloads", prefix + `{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"a"},{"type":"payload","payload":"b"}]}]}}`, []string{"template.components[0].parameters"}},
		{"a fourth button", prefix + `{"type":"button","sub_type":"quick_reply","index":3}]}}`, []string{"template.components[0].index"}},
	} {
		cases = append(cases, providertest.RefusedCase{Name: c.name, Message: providertest.Message(tb, c.content), WantFields: c.fields})
	}
	for _, content := range []string{
		`{"type":"image","image":{"link":"https://example.com/i.jpg"}}`,
		`{"type":"template","template":{"name":"n","language":{"code":"en"}}}`,
	} {
		m := providertest.Message(tb, content)
		m.ReplyTo = "wamid.ABGS1"
		cases = append(cases, providertest.RefusedCase{
			Name: "an answer to an earlier message with " + string(m.Content.Type), Message: m, WantFields: []string{"reply_to"},
		})
	}
	return cases
}

// The suite compares requests by value; here every byte counts, so that
// escapes, doubled members and spare white space show.
func TestRequestBytes(t *testing.T) {
	for _, c := range requestCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			req, err := whatsappv2.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &c.Message, ReplyTo: c.ReplyTo, Attempt: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := req.URL.String(), "https://api.whatsapp.com/v2"+c.WantPath; got != want {
				t.Errorf("URL %s, want %s", got, want)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.WantBody, string(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// Callers are told which provider can't say what.
func TestRefusalsNameTheProvider(t *testing.T) {
	for _, c := range refusedCases(t) {
		for _, e := range whatsappv2.New(settings("")).Check(&c.Message) {
			if !strings.Contains(e.Message, "whatsapp-v2") {
				t.Errorf("%s: %v", c.Name, e)
			}
		}
	}
}

func TestARefusedRequestSaysWhy(t *testing.T) {
	m := providertest.Message(t, `{"type":"location","location":{"latitude":1.0,"longitude":2.0}}`)
	_, err := whatsappv2.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	want := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "unsupported_by_provider", Title: "the message can't be expressed by whatsapp-v2",
		Detail: "location: can't be expressed by whatsapp-v2: it has no such message",
	}
	got, ok := errors.AsType[*gateway.Error](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A template's message is no place for the id of one that it can't answer.
func TestOnlyATextAnswersAnEarlierMessage(t *testing.T) {
	m := providertest.Message(t, `{"type":"template","template":{"name":"hello","language":{"code":"en"}}}`)
	req, err := whatsappv2.New(settings("")).NewRequest(t.Context(), sender.Call{Message: &m, ReplyTo: "wamid.ABGS1", Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(req.Body); strings.Contains(string(body), "wamid") {
		t.Errorf("body %s", body)
	}
}

// S1-07 of the reference, and what it leaves out.
func TestNewStatusRequest(t *testing.T) {
	for _, c := range []struct {
		name, base string
		id         gateway.ProviderMessageID
		want       string
	}{
		{"S1-07 the id is escaped", "", "wamid.AB+GS==", "https://api.whatsapp.com/v2/message-status?message_id=wamid.AB%2BGS%3D%3D"},
		{"a base URL with a slash at its end", "http://127.0.0.1:8090/v2/", "wamid.A", "http://127.0.0.1:8090/v2/message-status?message_id=wamid.A"},
		{"an id can't add to the query", "", "a&b=c#d e/?", "https://api.whatsapp.com/v2/message-status?message_id=a%26b%3Dc%23d+e%2F%3F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := whatsappv2.New(settings(c.base)).NewStatusRequest(ctx, c.id)
			if err != nil {
				t.Fatal(err)
			}
			if req.Method != http.MethodGet || req.URL.String() != c.want || req.Body != nil || req.ContentLength != 0 {
				t.Errorf("%s %s with a body of %d bytes, want GET %s without", req.Method, req.URL, req.ContentLength, c.want)
			}
			want := http.Header{"Authorization": {"Bearer S1TOKEN"}, "Accept": {"application/json"}}
			if diff := cmp.Diff(want, req.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			cancel()
			if req.Context().Err() == nil {
				t.Error("cancelling the caller's context doesn't cancel the request's")
			}
		})
	}
}

func TestNewStatusRequestNeedsAnIDAndABaseURL(t *testing.T) {
	for _, c := range []struct {
		name, base string
		id         gateway.ProviderMessageID
	}{
		{"no id", "", ""},
		{"a base URL that is none", "https://provider.example:port", "wamid.A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := whatsappv2.New(settings(c.base)).NewStatusRequest(t.Context(), c.id)
			if err == nil || strings.Contains(err.Error(), accessToken) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMediaRule(t *testing.T) {
	for kind, want := range map[gateway.MediaKind]gateway.MediaRule{
		gateway.MediaImage: {Types: []string{"image/jpeg", "image/png"}, MaxBytes: 5242880},
		gateway.MediaVideo: {Types: []string{"video/mp4", "video/3gpp"}, MaxBytes: 16777216},
		gateway.MediaAudio: {Types: []string{"audio/mpeg", "audio/ogg"}, MaxBytes: 16777216},
		gateway.MediaDocument: {MaxBytes: 104857600, Types: []string{
			"application/pdf", "text/plain",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.openxmlformats-officedocument.presentationml.presentation",
		}},
		gateway.MediaSticker: {Types: []string{"image/webp"}, MaxBytes: 512000, MaxStill: 102400},
	} {
		if diff := cmp.Diff(want, whatsappv2.New(settings("")).MediaRule(kind)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	p := whatsappv2.New(settings(""))
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "provider", p)
	for _, printed := range []string{fmt.Sprintf("%v %+v %s", p, p, p), logged.String()} {
		for _, secret := range []string{accessToken, appSecret, nextSecret, verifyToken} {
			if strings.Contains(printed, secret) {
				t.Errorf("%q shows a secret", printed)
			}
		}
	}
}
