package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

const personPath = "/v1/suppressions/%2B46732001122"

// suppress puts an entry on a list, past the API.
func (s *stage) suppress(account gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope, until time.Time) {
	s.t.Helper()
	err := s.list.Suppress(s.t.Context(), gateway.Suppressed{Account: account, Recipient: to, Scope: scope, Reason: "opt-out", Until: until})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestSuppressionIsPutOnTheListAndShown(t *testing.T) {
	for _, tc := range []struct {
		name, key, body, want string
	}{
		{
			"an empty object means for good, in every account of the key", keyAll, `{}`,
			`{"recipient":"+46732001122","account":"shop-eu","scope":"all","reason":"operator","created_at":"2026-11-21T12:00:00.123Z","until":null},` +
				`{"recipient":"+46732001122","account":"shop-us","scope":"all","reason":"operator","created_at":"2026-11-21T12:00:00.123Z","until":null}`,
		},
		{
			"a key for one account reaches that one", keyOther, `{"account":null,"scope":"marketing"}`,
			`{"recipient":"+46732001122","account":"shop-us","scope":"marketing","reason":"operator","created_at":"2026-11-21T12:00:00.123Z","until":null}`,
		},
		{
			"one account, a reason and an end", keyAll,
			`{"account":"shop-eu","scope":"cooldown","reason":"asked by phone <b>","until":"2026-11-21T14:00:00.0001+01:00"}`,
			`{"recipient":"+46732001122","account":"shop-eu","scope":"cooldown","reason":"asked by phone <b>",` +
				`"created_at":"2026-11-21T12:00:00.123Z","until":"2026-11-21T13:00:00.001Z"}`,
		},
		{
			"the farthest end", keyAll, `{"account":"shop-eu","until":"2036-11-21T12:00:00.123Z"}`,
			`{"recipient":"+46732001122","account":"shop-eu","scope":"all","reason":"operator",` +
				`"created_at":"2026-11-21T12:00:00.123Z","until":"2036-11-21T12:00:00.123Z"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			want := `{"items":[` + tc.want + `],"next_cursor":null}` + "\n"
			for range 2 { // repeating it is fine
				if diff := cmp.Diff(want, s.do(http.MethodPut, personPath, tc.key, tc.body).wants(http.StatusOK).Body.String()); diff != "" {
					t.Errorf("answer (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(want, s.do(http.MethodGet, "/v1/suppressions", keyAll, "").wants(http.StatusOK).Body.String()); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPutTakesThePlaceOfAnEntryOfTheSameScope(t *testing.T) {
	s := newStage(t)
	for _, body := range []string{`{"reason":"a"}`, `{"scope":"marketing"}`, `{"reason":"b"}`} {
		s.do(http.MethodPut, personPath, keyOperate, body).wants(http.StatusOK)
	}
	if diff := cmp.Diff([]string{"shop-eu +46732001122 all", "shop-eu +46732001122 marketing"}, s.list.kept()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if got := s.list.entries["shop-eu"][0].Reason; got != "b" {
		t.Errorf("reason %q, want the later one", got)
	}
}

func TestRecipientsOfThePath(t *testing.T) {
	for _, tc := range []struct {
		name, segment string
		ok            bool
	}{
		{"a plus in an escape", "%2B46732001122", true},
		{"a plus in an escape of lower case", "%2b46732001122", true},
		{"a plus as it is", "+46732001122", true},
		{"digits in escapes", "%2B4673200112%32", true},
		{"no plus", "46732001122", false},
		{"a plus escaped twice", "%252B46732001122", false},
		{"a space", "%2046732001122", false},
		{"too few digits", "%2B467320", false},
		{"too many digits", "%2B4673200112233445", false},
		{"no calling code", "%2B0732001122", false},
		{"something behind", "%2B46732001122%2F1", false},
		{"a NUL", "%2B46732001122%00", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			put := s.do(http.MethodPut, "/v1/suppressions/"+tc.segment, keyOperate, `{}`)
			drop := s.do(http.MethodDelete, "/v1/suppressions/"+tc.segment, keyOperate, "")
			if tc.ok {
				put.wants(http.StatusOK)
				drop.wants(http.StatusNoContent)
				if left := s.list.kept(); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
				return
			}
			for _, a := range []answer{put, drop} {
				p := a.problem(http.StatusUnprocessableEntity, "validation")
				if diff := cmp.Diff([]string{"recipient"}, p.fields()); diff != "" {
					t.Errorf("fields (-want +got):\n%s", diff)
				}
				if strings.Contains(a.Body.String(), "732") {
					t.Errorf("the number shows: %s", a.Body)
				}
			}
		})
	}
}

func TestSuppressionsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, key, target, body string
		status                  int
		problem                 string
		fields                  []string
	}{
		{
			"every bad field at once", keyAll, "/v1/suppressions/073?colour=red",
			`{"account":"nobody","scope":"some","reason":"` + strings.Repeat("å", 201) + `","until":"soon","why":1}`, 422, "validation",
			[]string{"account", "colour", "reason", "recipient", "scope", "until", "why"},
		},
		{"fields of another kind, each once", keyOperate, personPath, `{"account":5,"scope":5,"reason":5,"until":5}`, 422, "validation", []string{"account", "reason", "scope", "until"}},
		{"a field given twice", keyAll, personPath, `{"scope":"all","scope":"marketing"}`, 422, "validation", []string{"scope"}},
		{"an empty account, which isn't every account", keyAll, personPath, `{"account":""}`, 422, "validation", []string{"account"}},
		{"an empty account with a key for one", keyOperate, personPath, `{"account":""}`, 422, "validation", []string{"account"}},
		{"an account nobody knows", keyAll, personPath, `{"account":"nobody"}`, 422, "validation", []string{"account"}},
		{"an account in the query", keyAll, personPath + "?account=shop-eu", `{}`, 422, "validation", []string{"account"}},
		{"a cooldown without an end", keyAll, personPath, `{"scope":"cooldown"}`, 422, "validation", []string{"until"}},
		{"an end at this moment", keyAll, personPath, `{"until":"2026-11-21T12:00:00.123Z"}`, 422, "validation", []string{"until"}},
		{"an end over ten years ahead", keyAll, personPath, `{"until":"2036-11-21T12:00:00.124Z"}`, 422, "validation", []string{"until"}},
		{"an end without a zone", keyAll, personPath, `{"until":"2027-11-21T12:00:00"}`, 422, "validation", []string{"until"}},
		{"a control character in the reason", keyAll, personPath, `{"reason":"a\u0000b"}`, 422, "validation", []string{"reason"}},
		{"no object", keyAll, personPath, `[]`, 422, "validation", []string{"body"}},
		{"no JSON", keyAll, personPath, `scope=all`, 400, "malformed", nil},
		{"a query that can't be read", keyAll, personPath + "?%zz", `{}`, 400, "malformed", nil},
		{"no body", keyAll, personPath, "", 415, "unsupported-media-type", nil},
		{"a foreign account", keyOperate, personPath, `{"account":"shop-us"}`, 403, "forbidden", nil},
		{"a foreign account that doesn't exist, in a body with faults", keyOperate, personPath, `{"account":"nobody","why":1}`, 403, "forbidden", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			p := s.do(http.MethodPut, tc.target, tc.key, tc.body).problem(tc.status, tc.problem)
			if diff := cmp.Diff(tc.fields, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%+v", diff, p.Errors)
			}
			if len(p.Errors) != len(tc.fields) {
				t.Errorf("a field is told off twice: %+v", p.Errors)
			}
			if got := s.list.kept(); len(got) != 0 {
				t.Errorf("suppressed %v", got)
			}
		})
	}
}

func TestReasonsOf200CharactersAreTaken(t *testing.T) {
	s := newStage(t)
	s.do(http.MethodPut, personPath, keyAll, `{"reason":"`+strings.Repeat("å", 200)+`"}`).wants(http.StatusOK)
}

func TestNobodyIsSuppressedNowhere(t *testing.T) {
	s := newStage(t)
	set := newSetup()
	clear(set.accounts)
	s.directory.Store(set)
	for _, key := range []string{keyAll, keyOperate} { // every account, and one that left the configuration
		p := s.do(http.MethodPut, personPath, key, `{}`).problem(http.StatusUnprocessableEntity, "validation")
		if diff := cmp.Diff([]string{"account"}, p.fields()); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		s.do(http.MethodDelete, personPath, key, "").wants(http.StatusNoContent)
	}
	if got := s.do(http.MethodGet, "/v1/suppressions", keyAll, "").wants(http.StatusOK).Body.String(); got != `{"items":[],"next_cursor":null}`+"\n" {
		t.Errorf("list %s", got)
	}
}

func TestUnsuppress(t *testing.T) {
	const eu, us, other = "shop-eu +46732001122 ", "shop-us +46732001122 ", "shop-eu +46732001123 all"
	for _, tc := range []struct {
		name, key, query string
		left             []string
	}{
		{"every scope in every account of the key", keyAll, "", []string{other}},
		{"every scope in the account of the key", keyOperate, "", []string{other, us + "all", us + "marketing"}},
		{"every scope in one account", keyAll, "?account=shop-us", []string{eu + "all", eu + "marketing", other}},
		{"one scope in every account", keyAll, "?scope=marketing", []string{eu + "all", other, us + "all"}},
		{"one scope in one account", keyOperate, "?account=shop-eu&scope=all", []string{eu + "marketing", other, us + "all", us + "marketing"}},
		{"a scope that isn't there", keyAll, "?scope=cooldown", []string{eu + "all", eu + "marketing", other, us + "all", us + "marketing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			for _, account := range []gateway.AccountID{"shop-eu", "shop-us"} {
				s.suppress(account, "+46732001122", gateway.SuppressAll, time.Time{})
				s.suppress(account, "+46732001122", gateway.SuppressMarketing, time.Time{})
			}
			s.suppress("shop-eu", "+46732001123", gateway.SuppressAll, time.Time{})
			for range 2 { // the second finds nothing, and is answered as the first
				a := s.do(http.MethodDelete, personPath+tc.query, tc.key, "").wants(http.StatusNoContent)
				if a.Body.Len() != 0 {
					t.Errorf("body %s", a.Body)
				}
			}
			if diff := cmp.Diff(tc.left, s.list.kept()); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnsuppressRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, key, target, body string
		status                  int
		problem                 string
		fields                  []string
	}{
		{
			"everything bad at once", keyAll, "/v1/suppressions/073?account=nobody&scope=some&why=x", `{}`, 422, "validation",
			[]string{"account", "body", "recipient", "scope", "why"},
		},
		{"an empty account, which isn't every account", keyAll, personPath + "?account=", "", 422, "validation", []string{"account"}},
		{"an empty scope, which isn't every scope", keyAll, personPath + "?scope=", "", 422, "validation", []string{"scope"}},
		{"an account given twice", keyAll, personPath + "?account=shop-eu&account=shop-us", "", 422, "validation", []string{"account"}},
		{"an account in a body", keyAll, personPath, `{"account":"shop-eu"}`, 422, "validation", []string{"body"}},
		{"a query that can't be read", keyAll, personPath + "?%zz", "", 400, "malformed", nil},
		{"a foreign account", keyOperate, personPath + "?account=shop-us", "", 403, "forbidden", nil},
		{"a foreign account that doesn't exist", keyOperate, personPath + "?account=nobody", "", 403, "forbidden", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			s.suppress("shop-eu", "+46732001122", gateway.SuppressAll, time.Time{})
			p := s.do(http.MethodDelete, tc.target, tc.key, tc.body).problem(tc.status, tc.problem)
			if diff := cmp.Diff(tc.fields, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%+v", diff, p.Errors)
			}
			if got := s.list.kept(); len(got) != 1 {
				t.Errorf("left %v", got)
			}
		})
	}
}

// pages reads a list to its end and tells what each page holds.
func (s *stage) pages(key, query string) (pages [][]string) {
	s.t.Helper()
	for cursor := ""; ; {
		var p struct {
			Items []struct{ Account, Recipient, Scope string }
			Next  *string `json:"next_cursor"`
		}
		a := s.do(http.MethodGet, "/v1/suppressions?"+query+"&cursor="+cursor, key, "").wants(http.StatusOK)
		if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
			s.t.Fatal(err)
		}
		page := []string{}
		for _, e := range p.Items {
			page = append(page, e.Account+" "+e.Recipient+" "+e.Scope)
		}
		pages = append(pages, page)
		if p.Next == nil {
			return pages
		}
		if cursor = *p.Next; len(pages) > 100 {
			s.t.Fatalf("no end after %v", pages)
		}
	}
}

func TestListGoesThroughAllAccountsByOneCursor(t *testing.T) {
	var eu, us []string
	s := newStage(t)
	for i := range 3 {
		to := gateway.Recipient(fmt.Sprintf("+4673200110%d", i))
		s.suppress("shop-us", to, gateway.SuppressAll, time.Time{})
		s.suppress("shop-eu", to, gateway.SuppressMarketing, noon.Add(time.Hour))
		eu, us = append(eu, "shop-eu "+string(to)+" marketing"), append(us, "shop-us "+string(to)+" all")
	}
	all := slices.Concat(eu, us)
	for limit := 1; limit <= 7; limit++ {
		t.Run(fmt.Sprintf("%d to a page", limit), func(t *testing.T) {
			for _, tc := range []struct {
				key, query string
				want       []string
			}{
				{keyAll, "", all}, {keyRead, "", eu}, {keyAll, "&account=shop-us", us}, {keyAll, "&account=", all},
			} {
				want := slices.Collect(slices.Chunk(tc.want, limit))
				if diff := cmp.Diff(want, s.pages(tc.key, fmt.Sprintf("limit=%d%s", limit, tc.query))); diff != "" {
					t.Errorf("pages of %s%s (-want +got):\n%s", tc.key, tc.query, diff)
				}
			}
		})
	}
}

func TestListEndsWhereNothingFollowsInLaterAccounts(t *testing.T) {
	s := newStage(t)
	s.suppress("shop-eu", "+46732001122", gateway.SuppressAll, time.Time{})
	if diff := cmp.Diff([][]string{{"shop-eu +46732001122 all"}}, s.pages(keyAll, "limit=1")); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestListLeavesOutWhatIsOver(t *testing.T) {
	s := newStage(t)
	s.suppress("shop-eu", "+46732001101", gateway.SuppressCooldown, noon.Add(time.Minute))
	s.suppress("shop-eu", "+46732001102", gateway.SuppressAll, time.Time{})
	s.at(noon.Add(time.Minute - time.Millisecond))
	if got := s.pages(keyRead, "limit=9"); len(got[0]) != 2 {
		t.Errorf("just before its end: %v", got)
	}
	s.at(noon.Add(time.Minute))
	if diff := cmp.Diff([][]string{{}, {"shop-eu +46732001102 all"}}, s.pages(keyRead, "limit=1")); diff != "" {
		t.Errorf("pages at its end (-want +got):\n%s", diff)
	}
}

func TestCursorOutlivesItsAccount(t *testing.T) {
	s := newStage(t)
	for _, account := range []gateway.AccountID{"shop-eu", "shop-us"} {
		s.suppress(account, "+46732001101", gateway.SuppressAll, time.Time{})
		s.suppress(account, "+46732001102", gateway.SuppressAll, time.Time{})
	}
	o := s.do(http.MethodGet, "/v1/suppressions?limit=1", keyAll, "").wants(http.StatusOK).object()
	cursor, ok := o["next_cursor"].(string)
	if !ok {
		t.Fatalf("no cursor in %v", o)
	}
	set := newSetup()
	delete(set.accounts, "shop-eu")
	s.directory.Store(set)
	items := s.do(http.MethodGet, "/v1/suppressions?cursor="+cursor, keyAll, "").wants(http.StatusOK).object()["items"].([]any)
	if len(items) != 2 {
		t.Errorf("%v after the cursor, want the next account from its beginning", items)
	}
}

func TestCursorHidesTheRecipientAndOpensNoAccount(t *testing.T) {
	s := newStage(t)
	s.suppress("shop-us", "+46732001101", gateway.SuppressAll, time.Time{})
	s.suppress("shop-us", "+46732001102", gateway.SuppressAll, time.Time{})
	o := s.do(http.MethodGet, "/v1/suppressions?limit=1", keyAll, "").wants(http.StatusOK).object()
	cursor, ok := o["next_cursor"].(string)
	if !ok || strings.Contains(cursor, "732001101") {
		t.Fatalf("cursor %v", o["next_cursor"])
	}
	if got := s.do(http.MethodGet, "/v1/suppressions?cursor="+cursor, keyRead, "").wants(http.StatusOK).object()["items"].([]any); len(got) != 0 {
		t.Errorf("a key for shop-eu was shown %v", got)
	}
}

// TestListAsksALimitedNumberOfAccounts covers many empty lists: they make short
// pages, not slow ones.
func TestListAsksALimitedNumberOfAccounts(t *testing.T) {
	s := newStage(t)
	set := newSetup()
	for i := range 299 { // and the two that are always there
		id := gateway.AccountID(fmt.Sprintf("a%03d", i))
		set.accounts[id] = gateway.Account{ID: id}
	}
	s.directory.Store(set)
	s.suppress("shop-us", "+46732001122", gateway.SuppressAll, time.Time{})
	if diff := cmp.Diff([][]string{{}, {}, {}, {"shop-us +46732001122 all"}}, s.pages(keyAll, "")); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	want := slices.Sorted(maps.Keys(set.accounts))
	if diff := cmp.Diff(want, s.list.asked); diff != "" {
		t.Errorf("accounts asked (-want +got):\n%s", diff)
	}
	s.do(http.MethodPut, personPath, keyAll, `{}`).wants(http.StatusOK)
	if got := s.list.kept(); len(got) != len(want) {
		t.Errorf("suppressed in %d accounts, want %d", len(got), len(want))
	}
	s.do(http.MethodDelete, personPath, keyAll, "").wants(http.StatusNoContent)
	if got := s.list.kept(); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestSuppressionListRefusesWhatItCantFollow(t *testing.T) {
	cursor := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, tc := range []struct {
		name, key, query string
		status           int
		problem          string
		fields           []string
	}{
		{"every bad parameter at once", keyAll, "?account=nobody&cursor=!&limit=0&scope=all", 422, "validation", []string{"account", "cursor", "limit", "scope"}},
		{"a limit over 200", keyRead, "?limit=201", 422, "validation", []string{"limit"}},
		{"a parameter given twice", keyRead, "?limit=1&limit=2", 422, "validation", []string{"limit"}},
		{"a cursor of no account", keyRead, "?cursor=" + cursor("x"), 422, "validation", []string{"cursor"}},
		{"a cursor of an account that can't be", keyRead, "?cursor=" + cursor("../x +467"), 422, "validation", []string{"cursor"}},
		{"a cursor with a control character", keyRead, "?cursor=" + cursor("shop-eu \x00"), 422, "validation", []string{"cursor"}},
		{"a cursor that is too long", keyRead, "?cursor=" + cursor("shop-eu "+strings.Repeat("x", 1024)), 422, "validation", []string{"cursor"}},
		{"a cursor of another account", keyAll, "?account=shop-eu&cursor=" + cursor("shop-us x"), 422, "validation", []string{"cursor"}},
		{"an escape that isn't one", keyRead, "?account=%zz", 400, "malformed", nil},
		{"a foreign account", keyRead, "?account=shop-us", 403, "forbidden", nil},
		{"a foreign account that doesn't exist", keyRead, "?account=nobody", 403, "forbidden", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			p := s.do(http.MethodGet, "/v1/suppressions"+tc.query, tc.key, "").problem(tc.status, tc.problem)
			if diff := cmp.Diff(tc.fields, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if len(p.Errors) != len(tc.fields) {
				t.Errorf("a parameter is told off twice: %+v", p.Errors)
			}
			if len(s.list.asked) != 0 {
				t.Error("the store was asked")
			}
		})
	}
}

func TestSuppressionsWhenTheStoreIsAway(t *testing.T) {
	requests := []struct{ method, target, body string }{
		{http.MethodGet, "/v1/suppressions", ""},
		{http.MethodPut, personPath, `{}`},
		{http.MethodDelete, personPath, ""},
	}
	for _, tc := range []struct {
		name   string
		fault  error
		status int
		kind   string
	}{
		{"it doesn't confirm", fmt.Errorf("dial: %w", gateway.ErrUnavailable), 503, "unavailable"},
		{"it is broken", errors.New("defect"), 500, "internal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range requests {
				s := newStage(t)
				s.list.faults["shop-eu"] = tc.fault
				a := s.do(r.method, r.target, keyAll, r.body)
				a.problem(tc.status, tc.kind)
				if got := a.Header().Get("Retry-After"); (got != "") != (tc.status == 503) {
					t.Errorf("%s: Retry-After %q", r.method, got)
				}
				if strings.Contains(s.log.String()+a.Body.String(), "46732001122") {
					t.Errorf("%s: the number shows in %s\n%s", r.method, a.Body, s.log)
				}
			}
		})
	}
}

func TestSuppressionReachesTheOtherAccountsWhenOneFails(t *testing.T) {
	s := newStage(t)
	s.list.faults["shop-eu"] = gateway.ErrUnavailable
	s.do(http.MethodPut, personPath, keyAll, `{}`).problem(http.StatusServiceUnavailable, "unavailable")
	if diff := cmp.Diff([]string{"shop-us +46732001122 all"}, s.list.kept()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	clear(s.list.faults)
	s.do(http.MethodPut, personPath, keyAll, `{}`).wants(http.StatusOK)
	if got := s.list.kept(); len(got) != 2 {
		t.Errorf("after asking again: %v", got)
	}
}
