package sinchconversation

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

func TestC24TheQuestionAfterALostAnswer(t *testing.T) {
	p := newProvider("", &fakeLogin{})
	from := time.Date(2026, time.January, 2, 4, 3, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		name string
		page string
		want string
	}{
		{
			"the first page", "",
			"app_id=01HAPP00000000000000000000&channel=WHATSAPP&channel_identity=46732001122&direction=TO_CONTACT&messages_source=DISPATCH_SOURCE&start_time=2026-01-02T03%3A03%3A00Z&end_time=2026-01-02T03%3A06%3A00Z&page_size=1000&view=WITH_METADATA",
		},
		{
			"the next page", "p&2",
			"app_id=01HAPP00000000000000000000&channel=WHATSAPP&channel_identity=46732001122&direction=TO_CONTACT&messages_source=DISPATCH_SOURCE&start_time=2026-01-02T03%3A03%3A00Z&end_time=2026-01-02T03%3A06%3A00Z&page_size=1000&view=WITH_METADATA&page_token=p%262",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := p.NewLookup(t.Context(), call(t, 1), from, from.Add(3*time.Minute), c.page)
			if err != nil {
				t.Fatal(err)
			}
			want, err := url.ParseQuery(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, req.URL.Query()); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			if got := req.Method + " " + req.URL.Host + req.URL.Path; got != "GET eu.conversation.api.sinch.com/v1/projects/11111111-2222-3333-4444-555555555555/messages" {
				t.Errorf("%s", got)
			}
			if got := req.Header.Get("Authorization"); got != "Bearer jwt-1" {
				t.Errorf("Authorization %q", got)
			}
		})
	}
	t.Run("without a login", func(t *testing.T) {
		p := newProvider("", &fakeLogin{next: []fakeAnswer{{status: 401}}})
		_, err := p.NewLookup(t.Context(), call(t, 1), from, from, "")
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassSuspended {
			t.Errorf("error %v, want one of class suspended", err)
		}
	})
}

func TestC24TheAnswerToALookup(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		id     gateway.ProviderMessageID
		page   string
		ok     bool
	}{
		{
			"the message is there", 200, `{"messages":[{"id":"01HMSG00000000000000000000","metadata":"gw-0001","direction":"TO_CONTACT"}],"next_page_token":""}`,
			"01HMSG00000000000000000000", "", true,
		},
		{"a later attempt of it is there", 200, `{"messages":[{"id":"M","metadata":"gw-0001#2"}]}`, "M", "", true},
		{"others are there", 200, `{"messages":[{"id":"M","metadata":"gw-00012"},{"id":"M"},7,{"id":"M","metadata":{}}]}`, "", "", true},
		{"there is another page", 200, `{"messages":[],"next_page_token":"p2"}`, "", "p2", true},
		{"nothing is there", 200, `{"messages":[],"next_page_token":""}`, "", "", true},
		{"an error says nothing", 500, `{"messages":[{"id":"M","metadata":"gw-0001"}]}`, "", "", false},
		{"half an answer says nothing", 200, `{"messages":[{"id":"M","metadata":"gw-0001"}]`, "", "", false},
		{"no answer says nothing", 200, ``, "", "", false},
		{"another answer says nothing", 200, `[]`, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, page, ok := newProvider("", nil).InterpretLookup(call(t, 1), sender.Answer{Status: c.status, Body: []byte(c.body)})
			if id != c.id || page != c.page || ok != c.ok {
				t.Errorf("%q, %q, %v; want %q, %q, %v", id, page, ok, c.id, c.page, c.ok)
			}
		})
	}
}
