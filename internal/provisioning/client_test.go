package provisioning_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/provisioning"
)

// The project of the provider's reference.
const project = "11111111-2222-3333-4444-555555555555"

// base is what every path begins with.
const base = "/v1/projects/" + project

// provider answers like the API and keeps what it was asked.
type provider struct {
	*httptest.Server
	asked  []string // "METHOD path?query", and the body on lines of its own
	header []http.Header
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func newProvider(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *provider {
	t.Helper()
	p := &provider{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked := r.Method + " " + r.URL.RequestURI()
		if len(body) > 0 {
			asked += "\n" + string(body)
		}
		p.asked, p.header = append(p.asked, asked), append(p.header, r.Header)
		p.answer(len(p.asked), w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) client(t *testing.T) *provisioning.Client {
	t.Helper()
	c, err := provisioning.New(provisioning.Settings{BaseURL: p.URL, ProjectID: project, Token: "jwt-1", Client: p.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func says(status int, body string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestRequestsAreAsTheReferenceHasThem(t *testing.T) {
	drain := func(each iter.Seq2[*provisioning.Sender, error]) error {
		for _, err := range each {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, c := range []struct {
		name   string
		do     func(context.Context, *provisioning.Client) error
		status int
		answer string
		want   string
	}{
		{
			name:   "an account is read",
			do:     func(ctx context.Context, c *provisioning.Client) error { _, err := c.Account(ctx); return err },
			answer: `{}`, want: `GET ` + base + `/whatsapp`,
		},
		{
			name: "an account is created by a partner",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateAccount(ctx, provisioning.AccountRequest{
					WABAName: "Shop & Sons", ClientBusinessManagerID: "123", BusinessManager: "SINCH_UK",
					SenderDetails: &provisioning.AccountSenderDetails{DisplayName: "Shop", BusinessCategory: "RETAIL", Region: "EU"},
				})
				return err
			},
			status: 201, answer: `{}`,
			want: "POST " + base + "/whatsapp\n" +
				`{"wabaName":"Shop & Sons","clientBusinessManagerId":"123","businessManager":"SINCH_UK","senderDetails":{"displayName":"Shop","businessCategory":"RETAIL","region":"EU"}}`,
		},
		{
			name: "an account is changed, with a member that has no field",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.UpdateAccount(ctx, provisioning.AccountRequest{
					WABAName: "Shop", Extra: provisioning.Extra{"new": json.RawMessage(`{"a":1}`), "wabaName": json.RawMessage(`"other"`)},
				})
				return err
			},
			answer: `{}`, want: "PATCH " + base + "/whatsapp\n" + `{"new":{"a":1},"wabaName":"Shop"}`,
		},
		{
			name:   "template analytics are enabled without a body",
			do:     func(ctx context.Context, c *provisioning.Client) error { return c.EnableTemplateAnalytics(ctx) },
			answer: ``, want: "PUT " + base + "/whatsapp/enableTemplateAnalytics",
		},
		{
			name: "a long-lived token is had for a code",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.LongLivedToken(ctx, provisioning.FacebookGrant{Code: "FACEBOOK_CODE"})
				return err
			},
			status: 201, answer: `{"longLivedAccessToken":"x"}`,
			want: "POST " + base + "/whatsapp/longLivedAccessToken\n" + `{"facebookCode":"FACEBOOK_CODE"}`,
		},
		{
			name: "a long-lived token is had for a token",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.LongLivedToken(ctx, provisioning.FacebookGrant{Token: "FACEBOOK_TOKEN", BusinessManager: "SINCH_UK"})
				return err
			},
			status: 201, answer: `{"longLivedAccessToken":"x"}`,
			want: "POST " + base + "/whatsapp/longLivedAccessToken\n" + `{"facebookToken":"FACEBOOK_TOKEN","businessManager":"SINCH_UK"}`,
		},
		{
			name: "WABA details are had for a token",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.WABADetails(ctx, "FACEBOOK_TOKEN")
				return err
			},
			answer: `{"wabas":[]}`, want: "POST " + base + "/whatsapp/wabaDetails\n" + `{"facebookToken":"FACEBOOK_TOKEN"}`,
		},
		{
			name: "senders are listed with filters",
			do: func(ctx context.Context, c *provisioning.Client) error {
				return drain(c.Senders(ctx, provisioning.SenderFilter{States: []string{"ACTIVE", "ERROR"}, Statuses: []string{"DRAFT"}, PageSize: 100}))
			},
			answer: `{"senders":[]}`, want: "GET " + base + "/whatsapp/senders?filterStates=ACTIVE&filterStates=ERROR&filterStatuses=DRAFT&pageSize=100",
		},
		{
			name:   "a sender is read",
			do:     func(ctx context.Context, c *provisioning.Client) error { _, err := c.Sender(ctx, "s-1"); return err },
			answer: `{}`, want: "GET " + base + "/whatsapp/senders/s-1",
		},
		{
			name: "an id stays one step of the path",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.Sender(ctx, "a/../b?c")
				return err
			},
			answer: `{}`, want: "GET " + base + "/whatsapp/senders/a%2F..%2Fb%3Fc",
		},
		{
			name: "a sender is created by embedded signup",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateSender(ctx, provisioning.SenderRequest{WABAID: "1", PhoneNumberID: "2", Region: "EU"})
				return err
			},
			status: 201, answer: `{}`,
			want: "POST " + base + "/whatsapp/senders\n" + `{"wabaId":"1","phoneNumberId":"2","region":"EU"}`,
		},
		{
			name: "a sender is created from a number",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateSender(ctx, provisioning.SenderRequest{
					Details: provisioning.SenderDetails{CountryCode: "46", PhoneNumber: "732001122", DisplayName: "Shop"},
				})
				return err
			},
			status: 201, answer: `{}`,
			want: "POST " + base + "/whatsapp/senders\n" + `{"details":{"countryCode":"46","phoneNumber":"732001122","displayName":"Shop"}}`,
		},
		{
			name: "a sender is created by a partner",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateSender(ctx, provisioning.SenderRequest{
					PhoneNumberProvider: "CUSTOMER", Status: "SUBMIT", SaveDraftOnFailure: true,
					Details: provisioning.SenderDetails{CountryCode: "46", DisplayName: "Shop", Vertical: "RETAIL"},
				})
				return err
			},
			status: 201, answer: `{}`,
			want: "POST " + base + "/whatsapp/senders\n" +
				`{"phoneNumberProvider":"CUSTOMER","details":{"countryCode":"46","displayName":"Shop","vertical":"RETAIL"},"status":"SUBMIT","saveDraftOnFailure":true}`,
		},
		{
			name: "a code for a sender's number is asked for",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.RegisterSender(ctx, "s-1", "VOICE")
				return err
			},
			answer: `{"id":"s-1","method":"VOICE","accepted":true,"verificationCodeSent":true}`,
			want:   "POST " + base + "/whatsapp/senders/s-1/register\n" + `{"method":"VOICE"}`,
		},
		{
			name:   "the code is handed in",
			do:     func(ctx context.Context, c *provisioning.Client) error { return c.VerifySender(ctx, "s-1", "123456") },
			status: 204, want: "POST " + base + "/whatsapp/senders/s-1/verify\n" + `{"code":"123456"}`,
		},
		{
			name: "a null clears a member of a sender",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.UpdateSender(ctx, "s-1", provisioning.SenderUpdate{
					Status: "SUBMIT", Details: map[string]json.RawMessage{"email": json.RawMessage("null")},
				})
				return err
			},
			answer: `{}`, want: "PATCH " + base + "/whatsapp/senders/s-1\n" + `{"status":"SUBMIT","details":{"email":null}}`,
		},
		{
			name:   "a sender is deleted",
			do:     func(ctx context.Context, c *provisioning.Client) error { return c.DeleteSender(ctx, "s-1") },
			status: 204, want: "DELETE " + base + "/whatsapp/senders/s-1",
		},
		{
			name: "templates are listed by the beginning of their names",
			do: func(ctx context.Context, c *provisioning.Client) error {
				for _, err := range c.Templates(ctx, provisioning.TemplateFilter{NamePrefix: "order", States: []string{"APPROVED"}, PageSize: 1000}) {
					return err
				}
				return nil
			},
			answer: `{}`, want: "GET " + base + "/whatsapp/templates?filterStates=APPROVED&pageSize=1000&templateName=order",
		},
		{
			name: "all languages of a template are read",
			do: func(ctx context.Context, c *provisioning.Client) error {
				for _, err := range c.TemplateLanguages(ctx, "order_update") {
					return err
				}
				return nil
			},
			answer: `{}`, want: "GET " + base + "/whatsapp/templates/order_update",
		},
		{
			name: "a language is asked for in upper case",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.Template(ctx, "order_update", "en_US")
				return err
			},
			answer: `{}`, want: "GET " + base + "/whatsapp/templates/order_update/languages/EN_US",
		},
		{
			name: "a webhook is created",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateWebhook(ctx, provisioning.WebhookRequest{
					Target: "https://gw.example.net/cb/sinch-prov", Secret: "s3cr3t",
					Triggers: []string{"WHATSAPP_SENDER_QUALITY_RATING_CHANGED", "WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED"},
				})
				return err
			},
			status: 201, answer: `{}`,
			want: "POST " + base + "/webhooks\n" +
				`{"target":"https://gw.example.net/cb/sinch-prov","secret":"s3cr3t","triggers":["WHATSAPP_SENDER_QUALITY_RATING_CHANGED","WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED"]}`,
		},
		{
			name: "a change of a webhook sends what is set",
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.UpdateWebhook(ctx, "w-1", provisioning.WebhookRequest{Triggers: []string{"ALL"}})
				return err
			},
			answer: `{}`, want: "PATCH " + base + "/webhooks/w-1\n" + `{"triggers":["ALL"]}`,
		},
		{
			name:   "a webhook is read",
			do:     func(ctx context.Context, c *provisioning.Client) error { _, err := c.Webhook(ctx, "w-1"); return err },
			answer: `{}`, want: "GET " + base + "/webhooks/w-1",
		},
		{
			name:   "a webhook is deleted",
			do:     func(ctx context.Context, c *provisioning.Client) error { return c.DeleteWebhook(ctx, "w-1") },
			status: 204, want: "DELETE " + base + "/webhooks/w-1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.status == 0 {
				c.status = 200
			}
			p := newProvider(t, says(c.status, c.answer))
			for authorization, s := range map[string]provisioning.Settings{
				"Bearer jwt-1":               {BaseURL: p.URL, Token: "jwt-1"},
				"Basic a2V5LTE6c2VjcmV0LTE=": {BaseURL: p.URL + "/", KeyID: "key-1", KeySecret: "secret-1"},
			} {
				s.ProjectID, s.Client = project, p.Client()
				client, err := provisioning.New(s)
				if err != nil {
					t.Fatal(err)
				}
				p.asked, p.header = nil, nil
				if err := c.do(t.Context(), client); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{c.want}, p.asked); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
				want := http.Header{"Accept": {"application/json"}, "Authorization": {authorization}}
				if strings.Contains(c.want, "\n") {
					want.Set("Content-Type", "application/json")
				}
				got := p.header[0].Clone()
				for _, name := range []string{"Accept-Encoding", "Content-Length", "User-Agent"} { // of HTTP itself
					got.Del(name)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("headers (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestSettingsAreRefused(t *testing.T) {
	good := provisioning.Settings{ProjectID: project, Token: "jwt-1"}
	for name, change := range map[string]func(*provisioning.Settings){
		"without a project":             func(s *provisioning.Settings) { s.ProjectID = "" },
		"with a project that leads out": func(s *provisioning.Settings) { s.ProjectID = ".." },
		"without credentials":           func(s *provisioning.Settings) { s.Token = "" },
		"with half a key":               func(s *provisioning.Settings) { s.Token, s.KeyID = "", "key-1" },
		"with plain http outside":       func(s *provisioning.Settings) { s.BaseURL = "http://provisioning.example" },
		"with another scheme":           func(s *provisioning.Settings) { s.BaseURL = "ftp://provisioning.example" },
		"with a query in the URL":       func(s *provisioning.Settings) { s.BaseURL = "https://provisioning.example?a=b" },
		"with a user in the URL":        func(s *provisioning.Settings) { s.BaseURL = "https://a:b@provisioning.example" },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			change(&s)
			if _, err := provisioning.New(s); err == nil {
				t.Error("no error")
			}
		})
	}
	for _, url := range []string{"", "http://localhost:8090", "http://127.0.0.1:8090", "http://[::1]:8090", "https://provisioning.example"} {
		s := good
		s.BaseURL = url
		if _, err := provisioning.New(s); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestASenderIsReadAndWhatIsUnknownIsKept(t *testing.T) {
	const body = `{"id":"s-1","bearerToken":"very-secret","state":"UNRECOGNIZED","maxTps":10,"qualityRating":"GREEN","region":"EU",
		"countryCode":"46","phoneNumber":"732001122","compatibleRegions":["EU"],"dailyLimit":{"odd":1},"metadata":"odd",
		"conversationApiAppDetails":{"id":"01HAPP00000000000000000000","projectId":"p","region":"EU","channelStatus":"ACTIVE"},"newer":{"deep":[1]}}`
	p := newProvider(t, says(200, body))
	s, err := p.client(t).Sender(t.Context(), "s-1")
	if err != nil {
		t.Fatal(err)
	}
	want := provisioning.Sender{
		ID: "s-1", BearerToken: "very-secret", State: "UNRECOGNIZED", MaxTPS: 10, QualityRating: "GREEN", Region: "EU",
		CountryCode: "46", PhoneNumber: "732001122",
		AppDetails: provisioning.ConversationApp{ID: "01HAPP00000000000000000000", ProjectID: "p", Region: "EU", ChannelStatus: "ACTIVE"},
		Raw:        provisioning.Document(body),
	}
	if diff := cmp.Diff(want, *s); diff != "" {
		t.Errorf("sender (-want +got):\n%s", diff)
	}
}

func TestAnAppIsFoundTheOldWayToo(t *testing.T) {
	s := provisioning.Sender{OldApp: "01HAPP", Region: "BR"}
	if got := s.App(); got != (provisioning.ConversationApp{ID: "01HAPP", Region: "BR"}) {
		t.Errorf("app %+v", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ code, number, want string }{
		{"46", "732001122", "+46732001122"},
		{"+46", "73 200-11 22", "+46732001122"},
		{"SE", "+46732001122", "+46732001122"},
		{"SE", "732001122", ""},
		{"46", "", ""},
		{"46", "73200x122", ""},
	} {
		s := provisioning.Sender{CountryCode: c.code, PhoneNumber: c.number}
		if got := s.Number(); got != c.want {
			t.Errorf("%q %q: %q, want %q", c.code, c.number, got, c.want)
		}
	}
}

func ids(t *testing.T, all iter.Seq2[*provisioning.Sender, error]) (found []string, err error) {
	t.Helper()
	for s, err := range all {
		if err != nil {
			return found, err
		}
		found = append(found, s.ID)
	}
	return found, nil
}

func TestPages(t *testing.T) {
	turn := func(pages ...string) func(int, http.ResponseWriter, *http.Request) {
		return func(n int, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, pages[n-1]) }
	}
	for _, c := range []struct {
		name    string
		pages   []string
		want    []string
		asked   int
		wantErr string
	}{
		{
			name: "all pages are read in turn", asked: 3,
			pages: []string{
				`{"totalSize":3,"pageSize":1,"nextPageToken":"a+b","senders":[{"id":"s-1"}]}`,
				`{"totalSize":3,"nextPageToken":"c","senders":[]}`,
				`{"totalSize":3,"nextPageToken":null,"senders":[{"id":"s-2"},{"id":"s-3"}]}`,
			},
			want: []string{"s-1", "s-2", "s-3"},
		},
		{name: "a list under another name is read if it is the only one", asked: 1, pages: []string{`{"items":[{"id":"s-1"}]}`}, want: []string{"s-1"}},
		{name: "two lists under other names are refused", asked: 1, pages: []string{`{"items":[],"more":[]}`}, wantErr: "the page has no senders"},
		{name: "a list of something else is refused", asked: 1, pages: []string{`{"senders":["s-1"]}`}, wantErr: "not a JSON object"},
		{name: "a null among the senders is refused", asked: 1, pages: []string{`{"senders":[null]}`}, wantErr: "null"},
		{
			name: "pages that go in a circle end", asked: 2, want: []string{"s-1", "s-1"}, wantErr: "circle",
			pages: []string{`{"senders":[{"id":"s-1"}],"nextPageToken":"a"}`, `{"senders":[{"id":"s-1"}],"nextPageToken":"a"}`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProvider(t, turn(c.pages...))
			got, err := ids(t, p.client(t).Senders(t.Context(), provisioning.SenderFilter{}))
			if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("senders (-want +got):\n%s", diff)
			}
			if len(p.asked) != c.asked {
				t.Errorf("asked %q", p.asked)
			}
			if len(p.asked) > 2 && p.asked[1] != "GET "+base+"/whatsapp/senders?pageToken=a%2Bb" {
				t.Errorf("asked %q", p.asked[1])
			}
		})
	}
}

func TestNoPageIsReadAheadOfNeed(t *testing.T) {
	p := newProvider(t, says(200, `{"senders":[{"id":"s-1"}],"nextPageToken":"a"}`))
	for s, err := range p.client(t).Senders(t.Context(), provisioning.SenderFilter{}) {
		if err != nil || s.ID != "s-1" {
			t.Fatal(s, err)
		}
		break
	}
	if len(p.asked) != 1 {
		t.Errorf("asked %q", p.asked)
	}
}

func TestErrorsAreTheProvidersOwnWords(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		code   string
		want   string
	}{
		{
			name: "a code, a message and what to do", status: 404, code: "sender_not_found",
			body: `{"errorCode":"sender_not_found","message":"Sender not found","resolution":"Check the sender id."}`,
			want: "GET /whatsapp/senders/s-1: sender_not_found: Sender not found. Check the sender id. (HTTP 404)",
		},
		{
			name: "validation errors of both shapes", status: 400, code: "invalid_input",
			body: `{"errorCode":"invalid_input","message":"Invalid input.","additionalInformation":{"validationErrors":["wabaId is required",{"path":"region"}]}}`,
			want: `GET /whatsapp/senders/s-1: invalid_input: Invalid input. wabaId is required. {"path":"region"} (HTTP 400)`,
		},
		{
			name: "Meta's own error", status: 500, code: "log_in_facebook_required",
			body: `{"errorCode":"log_in_facebook_required","message":"Log in","additionalInformation":{"metaError":{"code":190,"subcode":463,"message":"Session has expired","reason":"expired"}}}`,
			want: "GET /whatsapp/senders/s-1: log_in_facebook_required: Log in. Meta 190/463: Session has expired expired (HTTP 500)",
		},
		{
			name: "a message without a code", status: 401,
			body: `{"message":"Unauthorized"}`,
			want: "GET /whatsapp/senders/s-1: Unauthorized (HTTP 401)",
		},
		{
			name: "a proxy's page is left out", status: 502,
			body: `<html>bad</html>`,
			want: "GET /whatsapp/senders/s-1: bad gateway (HTTP 502)",
		},
		{
			name: "a redirect is not followed", status: 302,
			body: ``,
			want: "GET /whatsapp/senders/s-1: found (HTTP 302)",
		},
		{
			name: "our credentials are taken out", status: 401, code: "unauthorized_error",
			body: `{"errorCode":"unauthorized_error","message":"the token jwt-1 is bad"}`,
			want: "GET /whatsapp/senders/s-1: unauthorized_error: the token *** is bad (HTTP 401)",
		},
		{
			name: "nothing steers the terminal", status: 400, code: "\u001b[31mx",
			body: `{"errorCode":"\u001b[31mx","message":"a\nb"}`,
			want: "GET /whatsapp/senders/s-1: [31mx: a b (HTTP 400)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProvider(t, says(c.status, c.body))
			_, err := p.client(t).Sender(t.Context(), "s-1")
			refusal, ok := errors.AsType[*provisioning.Error](err)
			if !ok {
				t.Fatalf("%T %v", err, err)
			}
			if refusal.Status != c.status || refusal.Code != c.code {
				t.Errorf("%d %q", refusal.Status, refusal.Code)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("words (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatWasSentInConfidenceIsInNoError(t *testing.T) {
	p := newProvider(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		fmt.Fprint(w, `{"errorCode":"invalid_facebook_token","message":"bad EAA\"1","additionalInformation":{"token":"EAA\"1"}}`)
	})
	_, err := p.client(t).WABADetails(t.Context(), `EAA"1`)
	refusal, ok := errors.AsType[*provisioning.Error](err)
	if !ok || refusal.Message != "bad ***" || string(refusal.Details) != `{"token":"***"}` {
		t.Errorf("%+v", err)
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	for name, body := range map[string]string{
		"empty":         ``,
		"no JSON":       `<html>`,
		"not an object": `["s-1"]`,
		"too long":      `{"id":"` + strings.Repeat("x", 16<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, says(200, body))
			if s, err := p.client(t).Sender(t.Context(), "s-1"); err == nil || s != nil || len(err.Error()) > 300 {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

func TestAContextEndsACallOnTheWire(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newProvider(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done() // the server sees the connection go
	})
	if _, err := p.client(t).Account(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// carrier answers without a network, so that time may be virtual.
type carrier struct {
	statuses   []int
	retryAfter string
	at         []time.Duration
	start      time.Time
}

func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	status := c.statuses[min(len(c.at), len(c.statuses)-1)]
	c.at = append(c.at, time.Since(c.start))
	w := httptest.NewRecorder()
	if status >= 400 {
		w.Header().Set("Retry-After", c.retryAfter)
	}
	w.WriteHeader(status)
	fmt.Fprint(w, `{}`)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func TestOnlyReadsAreRepeated(t *testing.T) {
	read := func(ctx context.Context, c *provisioning.Client) error { _, err := c.Account(ctx); return err }
	for _, c := range []struct {
		name       string
		statuses   []int
		retryAfter string
		do         func(context.Context, *provisioning.Client) error
		status     int // 0: success
		at         []time.Duration
	}{
		{name: "a read waits as long as it is told", statuses: []int{429, 503, 200}, retryAfter: "2", do: read, at: []time.Duration{0, 2 * time.Second, 4 * time.Second}},
		{name: "a read is tried three times", statuses: []int{503}, retryAfter: "1", do: read, status: 503, at: []time.Duration{0, time.Second, 2 * time.Second}},
		{name: "a long wait is left to the caller", statuses: []int{429}, retryAfter: "11", do: read, status: 429, at: []time.Duration{0}},
		{name: "a read that is refused is not repeated", statuses: []int{404}, do: read, status: 404, at: []time.Duration{0}},
		{name: "a read is repeated after a failure", statuses: []int{500, 502, 200}, retryAfter: "1", do: read, at: []time.Duration{0, time.Second, 2 * time.Second}},
		{name: "a read of what isn't there is not repeated", statuses: []int{501}, do: read, status: 501, at: []time.Duration{0}},
		{
			name: "a write is not repeated", statuses: []int{429}, retryAfter: "1", status: 429, at: []time.Duration{0},
			do: func(ctx context.Context, c *provisioning.Client) error { return c.DeleteSender(ctx, "s-1") },
		},
		{
			name: "nor after a failure", statuses: []int{500}, retryAfter: "1", status: 500, at: []time.Duration{0},
			do: func(ctx context.Context, c *provisioning.Client) error {
				_, err := c.CreateSender(ctx, provisioning.SenderRequest{WABAID: "1"})
				return err
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := &carrier{statuses: c.statuses, retryAfter: c.retryAfter, start: time.Now()}
				client, err := provisioning.New(provisioning.Settings{ProjectID: project, Token: "jwt-1", Client: &http.Client{Transport: net}})
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(t.Context(), client)
				refusal, _ := errors.AsType[*provisioning.Error](err)
				if c.status == 0 && err != nil || c.status != 0 && (refusal == nil || refusal.Status != c.status) {
					t.Errorf("error %v", err)
				}
				if diff := cmp.Diff(c.at, net.at); diff != "" {
					t.Errorf("calls at (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWaitingWithoutBeingToldHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &carrier{statuses: []int{429, 429, 200}, start: time.Now()}
		client, err := provisioning.New(provisioning.Settings{ProjectID: project, Token: "jwt-1", Client: &http.Client{Transport: net}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, second := net.at[1], net.at[2]-net.at[1]
		if first < 500*time.Millisecond || first > time.Second || second < time.Second || second > 2*time.Second {
			t.Errorf("waited %v and %v", first, second)
		}
	})
}

func TestAContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &carrier{statuses: []int{503}, retryAfter: "9", start: time.Now()}
		client, err := provisioning.New(provisioning.Settings{ProjectID: project, Token: "jwt-1", Client: &http.Client{Transport: net}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Account(ctx)
		if _, refused := errors.AsType[*provisioning.Error](err); !errors.Is(err, context.DeadlineExceeded) || !refused || time.Since(net.start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(net.start))
		}
	})
}

func TestAGrantIsACodeOrAToken(t *testing.T) {
	p := newProvider(t, says(201, `{"longLivedAccessToken":"x"}`))
	for _, g := range []provisioning.FacebookGrant{{}, {Code: "a", Token: "b"}} {
		if _, err := p.client(t).LongLivedToken(t.Context(), g); err == nil {
			t.Errorf("%+v: no error", g)
		}
	}
	if len(p.asked) != 0 {
		t.Errorf("asked %q", p.asked)
	}
}

func TestIDsThatLeadElsewhereAreRefused(t *testing.T) {
	p := newProvider(t, says(200, `{}`))
	c := p.client(t)
	for _, id := range []string{"", ".", ".."} {
		_, sender := c.Sender(t.Context(), id)
		_, webhook := c.Webhook(t.Context(), id)
		_, template := c.Template(t.Context(), "name", id)
		var languages error
		for _, err := range c.TemplateLanguages(t.Context(), id) {
			languages = err
		}
		for _, err := range []error{sender, webhook, template, languages, c.DeleteSender(t.Context(), id), c.DeleteWebhook(t.Context(), id)} {
			if err == nil {
				t.Errorf("%q: no error", id)
			}
		}
	}
	if len(p.asked) != 0 {
		t.Errorf("asked %q", p.asked)
	}
}
