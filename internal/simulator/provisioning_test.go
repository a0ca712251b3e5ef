package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// provision makes a call of the Provisioning API with the key itself. The path
// begins after the project.
func provision(t *testing.T, s *Simulator, method, path, body string) answer {
	t.Helper()
	return conversationCall(t, s, method, "/v1/projects/"+projectID+path, keyBasic, body)
}

// checkProblem wants the documented envelope with the code.
func checkProblem(t *testing.T, what string, got answer, status int, code string) {
	t.Helper()
	var e map[string]any
	decode(t, got.body, &e)
	message, _ := e["message"].(string)
	resolution, _ := e["resolution"].(string)
	diff(t, what, []any{got.status, e["errorCode"], message != "", resolution != ""}, []any{status, code, true, true})
}

func startProvisioning(t *testing.T) *Simulator {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return startConversation(t, Options{Now: func() time.Time { return now }}, &gateway{})
}

func TestProvisioningWantsTheProjectsKey(t *testing.T) {
	other := conversationAccount()
	other.ID, other.ProjectID, other.KeyID, other.KeySecret = "other", "other-project", "key-2", "secret-2"
	s := startConversation(t, Options{Accounts: []Account{conversationAccount(), other}}, &gateway{})
	token := accessToken(t, s)
	for _, authorization := range []string{"Bearer " + token, keyBasic} {
		diff(t, "right credentials", conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/whatsapp", authorization, "").status, http.StatusOK)
	}
	for name, got := range map[string]answer{
		"no credentials":  conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/whatsapp", "", ""),
		"a wrong token":   conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/whatsapp", "Bearer x", ""),
		"a wrong project": conversationCall(t, s, http.MethodGet, "/v1/projects/none/whatsapp", "Bearer "+token, ""),
		"another project": conversationCall(t, s, http.MethodGet, "/v1/projects/other-project/whatsapp", "Bearer "+token, ""),
	} {
		checkProblem(t, name, got, http.StatusUnauthorized, "unauthorized_error")
	}
	fault(t, s, `{"fault":"expire_tokens"}`)
	checkProblem(t, "a stale token", conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/whatsapp", "Bearer "+token, ""), http.StatusUnauthorized, "unauthorized_error")
}

const onboarded = `{"state":"ONBOARDED","wabaId":"102290129340398","wabaName":"Simulated conversation","wabaEnabledForInsights":false,
	"businessDailyLimit":"TIER_UNLIMITED","businessManager":"SINCH_UK","compatibleRegions":["eu","us"],"currency":"EUR"}`

func TestProvisioningAccount(t *testing.T) {
	s := startProvisioning(t)
	got := provision(t, s, http.MethodGet, "/whatsapp", "")
	diff(t, "status", got.status, http.StatusOK)
	sameJSON(t, "account", got.body, onboarded)
	checkProblem(t, "a second account", provision(t, s, http.MethodPost, "/whatsapp", `{"wabaName":"x","clientBusinessManagerId":"1"}`), http.StatusConflict, "account_exists")
	checkProblem(t, "an update of one that is on board", provision(t, s, http.MethodPatch, "/whatsapp", `{"wabaName":"x"}`), http.StatusConflict, "account_not_updatable")

	got = provision(t, s, http.MethodPut, "/whatsapp/enableTemplateAnalytics", "")
	diff(t, "analytics have no body", []any{got.status, got.body}, []any{200, ""})
	if got := provision(t, s, http.MethodGet, "/whatsapp", ""); !strings.Contains(got.body, `"wabaEnabledForInsights":true`) {
		t.Errorf("account after analytics: %s", got.body)
	}
	control(t, s, http.MethodPost, "/provisioning", `{"project":"`+projectID+`","account_state":"REJECTED"}`, nil)
	checkProblem(t, "analytics before all is well", provision(t, s, http.MethodPut, "/whatsapp/enableTemplateAnalytics", ""), http.StatusFailedDependency, "template_insights_not_yet_available")
	got = provision(t, s, http.MethodPatch, "/whatsapp", `{"wabaName":"Better"}`)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"state":"PENDING_FACEBOOK_VERIFICATION"`) || !strings.Contains(got.body, `"wabaName":"Better"`) {
		t.Errorf("update: %d %s", got.status, got.body)
	}
	control(t, s, http.MethodPost, "/reset", "", nil)
	sameJSON(t, "after a reset", provision(t, s, http.MethodGet, "/whatsapp", "").body, onboarded)
}

func TestProvisioningAnAccountAnew(t *testing.T) {
	account := conversationAccount()
	account.BusinessID = ""
	s := startConversation(t, Options{Accounts: []Account{account}}, &gateway{})
	checkProblem(t, "no account", provision(t, s, http.MethodGet, "/whatsapp", ""), http.StatusNotFound, "account_not_found")
	checkProblem(t, "an update of none", provision(t, s, http.MethodPatch, "/whatsapp", `{}`), http.StatusNotFound, "account_not_found")
	checkProblem(t, "analytics of none", provision(t, s, http.MethodPut, "/whatsapp/enableTemplateAnalytics", ""), http.StatusBadRequest, "project_not_initialized")
	checkProblem(t, "a sender of none", provision(t, s, http.MethodPost, "/whatsapp/senders", `{"wabaId":"1","phoneNumberId":"2","region":"EU"}`), http.StatusBadRequest, "project_not_initialized")
	checkProblem(t, "no JSON", provision(t, s, http.MethodPost, "/whatsapp", `{"waba`), http.StatusBadRequest, "invalid_payload")
	got := provision(t, s, http.MethodPost, "/whatsapp", `{"wabaName":"x"}`)
	checkProblem(t, "no manager", got, http.StatusBadRequest, "invalid_input")
	if !strings.Contains(got.body, `"additionalInformation":{"validationErrors":["clientBusinessManagerId can not be empty"]}`) {
		t.Errorf("no manager: %s", got.body)
	}
	got = provision(t, s, http.MethodPost, "/whatsapp", `{"wabaName":"Shop","clientBusinessManagerId":"77","businessManager":"SINCH_UK","senderDetails":{"displayName":"Shop","businessCategory":"RETAIL","region":"EU"}}`)
	if got.status != http.StatusCreated || !strings.Contains(got.body, `"state":"PENDING_FACEBOOK_VERIFICATION"`) {
		t.Errorf("create: %d %s", got.status, got.body)
	}
}

func TestProvisioningTokensAndWABAs(t *testing.T) {
	s := startProvisioning(t)
	for _, body := range []string{`{"facebookCode":"FACEBOOK_CODE"}`, `{"facebookToken":"FACEBOOK_TOKEN"}`} {
		var answer map[string]string
		got := provision(t, s, http.MethodPost, "/whatsapp/longLivedAccessToken", body)
		decode(t, got.body, &answer)
		diff(t, body, []any{got.status, len(answer), answer["longLivedAccessToken"] != ""}, []any{201, 1, true})
	}
	checkProblem(t, "neither", provision(t, s, http.MethodPost, "/whatsapp/longLivedAccessToken", `{}`), http.StatusBadRequest, "invalid_input")
	checkProblem(t, "both", provision(t, s, http.MethodPost, "/whatsapp/longLivedAccessToken", `{"facebookCode":"a","facebookToken":"b"}`), http.StatusBadRequest, "invalid_input")
	checkProblem(t, "a bad code", provision(t, s, http.MethodPost, "/whatsapp/longLivedAccessToken", `{"facebookCode":"invalid"}`), http.StatusBadRequest, "invalid_facebook_code")
	checkProblem(t, "a bad token", provision(t, s, http.MethodPost, "/whatsapp/longLivedAccessToken", `{"facebookToken":"invalid"}`), http.StatusBadRequest, "invalid_facebook_token")

	got := provision(t, s, http.MethodPost, "/whatsapp/wabaDetails", `{"facebookToken":"FACEBOOK_TOKEN"}`)
	diff(t, "status", got.status, http.StatusOK)
	sameJSON(t, "details", got.body, `{"wabas":[{"id":"102290129340398","numbers":[{"id":"s-1","displayPhoneNumber":"+46700000001","provisioned":true}]}]}`)
	checkProblem(t, "no token", provision(t, s, http.MethodPost, "/whatsapp/wabaDetails", `{}`), http.StatusBadRequest, "invalid_input")
	checkProblem(t, "a bad token", provision(t, s, http.MethodPost, "/whatsapp/wabaDetails", `{"facebookToken":"invalid"}`), http.StatusBadRequest, "invalid_facebook_token")
}

func TestProvisioningSendersArePaged(t *testing.T) {
	s := startProvisioning(t)
	for i := range 4 {
		got := provision(t, s, http.MethodPost, "/whatsapp/senders", fmt.Sprintf(`{"wabaId":"1","phoneNumberId":"%d","region":"EU"}`, 100+i))
		diff(t, "create", got.status, http.StatusCreated)
	}
	provision(t, s, http.MethodPost, "/whatsapp/senders", `{"details":{"countryCode":"46","phoneNumber":"700000009","displayName":"Shop"},"status":"DRAFT"}`)
	type page struct {
		TotalSize, PageSize              int
		PreviousPageToken, NextPageToken string
		Senders                          []struct{ PhoneNumber string }
	}
	list := func(query string) page {
		t.Helper()
		var p page
		got := provision(t, s, http.MethodGet, "/whatsapp/senders?"+query, "")
		diff(t, query, got.status, http.StatusOK)
		decode(t, got.body, &p)
		return p
	}
	var numbers []string
	var sizes []int
	token, back := "", ""
	for range 10 {
		p := list("pageSize=2&pageToken=" + token)
		diff(t, "sizes", []int{p.TotalSize, p.PageSize}, []int{6, 2})
		sizes = append(sizes, len(p.Senders))
		for _, x := range p.Senders {
			numbers = append(numbers, x.PhoneNumber)
		}
		if token, back = p.NextPageToken, p.PreviousPageToken; token == "" {
			break
		}
	}
	diff(t, "pages", sizes, []int{2, 2, 2})
	diff(t, "numbers", numbers, []string{"700000001", "5550000100", "5550000101", "5550000102", "5550000103", "700000009"})
	diff(t, "the page before", list("pageSize=2&pageToken=" + back).Senders[0].PhoneNumber, "5550000101")
	diff(t, "the default size", list("").PageSize, 50)
	diff(t, "active ones", list("filterStates=ACTIVE").TotalSize, 5)
	diff(t, "drafts", list("filterStatuses=DRAFT").TotalSize, 1)
	diff(t, "two states", list("filterStates=ACTIVE,IN_PROGRESS").TotalSize, 6)
	for query, code := range map[string]string{
		"pageSize=0": "invalid_page_size", "pageSize=101": "invalid_page_size", "pageToken=x": "invalid_page_token", "pageToken=page--1": "invalid_page_token",
		"filterStates=HAPPY": "invalid_filter_states", "filterStatuses=HAPPY": "invalid_filter_statuses", "colour=red": "invalid_input",
	} {
		checkProblem(t, query, provision(t, s, http.MethodGet, "/whatsapp/senders?"+query, ""), http.StatusBadRequest, code)
	}
}

func TestProvisioningSenders(t *testing.T) {
	account := conversationAccount()
	account.Rate = 25
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := startConversation(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	sameJSON(t, "the account's own", provision(t, s, http.MethodGet, "/whatsapp/senders/s-1", "").body, `{"id":"s-1","state":"ACTIVE","bearerToken":"bearer-of-s-1","region":"EU","countryCode":"46","phoneNumber":"700000001","details":{"displayName":"Simulated conversation"},
		"maxTps":25,"qualityRating":"GREEN","dailyLimit":"TIER_UNLIMITED","conversationApiAppDetails":{"id":"`+appID+`","projectId":"`+projectID+`","region":"EU","channelStatus":"ACTIVE"},
		"businessManager":"SINCH_UK","created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z"}`)
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodDelete} {
		checkProblem(t, method+" of none", provision(t, s, method, "/whatsapp/senders/none", map[bool]string{true: "{}"}[method == http.MethodPatch]), http.StatusNotFound, "sender_not_found")
	}
	checkProblem(t, "no region", provision(t, s, http.MethodPost, "/whatsapp/senders", `{"wabaId":"1","phoneNumberId":"2"}`), http.StatusBadRequest, "invalid_input")
	checkProblem(t, "no details", provision(t, s, http.MethodPost, "/whatsapp/senders", `{}`), http.StatusBadRequest, "invalid_input")

	var sender struct {
		ID, State string
		Details   map[string]any
		Changes   struct {
			Status  string
			Details map[string]any
		}
	}
	got := provision(t, s, http.MethodPost, "/whatsapp/senders", `{"phoneNumberProvider":"CUSTOMER","details":{"countryCode":"46","phoneNumber":"700000009","displayName":"Shop","vertical":"RETAIL"},"status":"SUBMIT"}`)
	decode(t, got.body, &sender)
	diff(t, "a number to be verified", []any{got.status, sender.State, sender.Changes.Status}, []any{201, "PENDING_VERIFICATION", "IN_PROGRESS"})
	path := "/whatsapp/senders/" + sender.ID
	checkProblem(t, "an update before", provision(t, s, http.MethodPatch, path, `{"details":{"about":"x"}}`), http.StatusBadRequest, "invalid_input")
	checkProblem(t, "a code nobody sent", provision(t, s, http.MethodPost, path+"/verify", `{"code":"123456"}`), http.StatusConflict, "wrong_otp")
	checkProblem(t, "a way that isn't there", provision(t, s, http.MethodPost, path+"/register", `{"method":"FAX"}`), http.StatusBadRequest, "invalid_input")
	sameJSON(t, "register", provision(t, s, http.MethodPost, path+"/register", `{"method":"SMS"}`).body, `{"id":"`+sender.ID+`","method":"SMS","accepted":true,"verificationCodeSent":true}`)
	checkProblem(t, "a wrong code", provision(t, s, http.MethodPost, path+"/verify", `{"code":"000000"}`), http.StatusConflict, "wrong_otp")
	diff(t, "verify", provision(t, s, http.MethodPost, path+"/verify", `{"code":"123456"}`).status, http.StatusNoContent)

	decode(t, provision(t, s, http.MethodPatch, path, `{"details":{"about":"x"}}`).body, &sender)
	diff(t, "a draft waits", []any{sender.State, sender.Changes.Status, sender.Changes.Details["about"], sender.Details["about"]}, []any{"ACTIVE", "DRAFT", "x", nil})
	sender.Details = nil
	decode(t, provision(t, s, http.MethodPatch, path, `{"status":"SUBMIT","details":{"about":"y","vertical":null}}`).body, &sender)
	diff(t, "what is submitted is set, null takes away", sender.Details, map[string]any{"countryCode": "46", "phoneNumber": "700000009", "displayName": "Shop", "about": "y"})
	checkProblem(t, "no details to change", provision(t, s, http.MethodPatch, path, `{"status":"SUBMIT"}`), http.StatusBadRequest, "invalid_input")

	diff(t, "delete", provision(t, s, http.MethodDelete, path, "").status, http.StatusNoContent)
	decode(t, provision(t, s, http.MethodGet, path, "").body, &sender)
	diff(t, "it stays active", sender.State, "ACTIVE")
	checkProblem(t, "delete again", provision(t, s, http.MethodDelete, path, ""), http.StatusConflict, "sender_already_deleted")
	now = now.Add(30 * 24 * time.Hour)
	checkProblem(t, "after 30 days it is gone", provision(t, s, http.MethodGet, path, ""), http.StatusNotFound, "sender_not_found")
}

func TestNumbersArePartedAfterTheirCallingCode(t *testing.T) {
	for digits, want := range map[string][2]string{
		"15550001111": {"1", "5550001111"}, "79261234567": {"7", "9261234567"}, "46700000001": {"46", "700000001"},
		"353871234567": {"353", "871234567"}, "": {"", ""}, "35": {"35", ""},
	} {
		code, number := splitNumber(digits)
		diff(t, digits, [2]string{code, number}, want)
	}
}

func TestProvisioningTemplates(t *testing.T) {
	first, second := conversationAccount(), conversationAccount()
	second.ID, second.AppID = "second", "01HAPP00000000000000000002"
	first.Templates = append(offers(), Template{Name: "offer", Language: "sv", State: "REJECTED"})
	second.Templates = offers()
	s := startConversation(t, Options{Accounts: []Account{first, second}}, &gateway{})
	const offer = `{"name":"offer","language":"EN","category":"UTILITY","state":"APPROVED","rejectionCode":"NONE","qualityScore":"QUALITY_SCORE_UNKNOWN","details":{"components":[
		{"type":"HEADER","format":"IMAGE"},{"type":"BODY","text":"Simulated {{1}} {{2}}"},
		{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Button 1"},{"type":"URL","text":"Button 2"},{"type":"PHONE_NUMBER","text":"Button 3"}]}]}}`
	sameJSON(t, "get", provision(t, s, http.MethodGet, "/whatsapp/templates/offer/languages/EN", "").body, offer)
	sameJSON(t, "a page", provision(t, s, http.MethodGet, "/whatsapp/templates?pageSize=1", "").body, `{"totalSize":6,"pageSize":1,"nextPageToken":"page-1","templates":[`+offer+`]}`)
	for query, want := range map[string]int{
		"": 6, "?filterStates=APPROVED": 2, "?filterStates=PAUSED&filterStates=REJECTED": 2, "?templateName=p": 3, "?filterStatuses=DRAFT": 0,
		"?fieldMask=name&templateAnalyticsDateRange=DAY": 6, "/offer": 2,
	} {
		var page struct{ TotalSize int }
		decode(t, provision(t, s, http.MethodGet, "/whatsapp/templates"+query, "").body, &page)
		diff(t, query, page.TotalSize, want)
	}
	checkProblem(t, "an unknown name", provision(t, s, http.MethodGet, "/whatsapp/templates/none", ""), http.StatusNotFound, "template_not_found")
	checkProblem(t, "a send's form of language", provision(t, s, http.MethodGet, "/whatsapp/templates/plain/languages/en_US", ""), http.StatusNotFound, "template_not_found")
	checkProblem(t, "a page of 1001", provision(t, s, http.MethodGet, "/whatsapp/templates?pageSize=1001", ""), http.StatusBadRequest, "invalid_page_size")
	checkProblem(t, "an unknown state", provision(t, s, http.MethodGet, "/whatsapp/templates?filterStates=HAPPY", ""), http.StatusBadRequest, "invalid_filter_states")
}

func TestProvisioningWebhooks(t *testing.T) {
	s := startProvisioning(t)
	hook := func(target, secret, triggers string) string {
		return fmt.Sprintf(`{"target":%q,"secret":%q,"triggers":[%s]}`, target, secret, triggers)
	}
	const quality = `"WHATSAPP_SENDER_QUALITY_RATING_CHANGED","WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED"`
	var made struct {
		ID, Target, Secret string
		Triggers           []string
	}
	got := provision(t, s, http.MethodPost, "/webhooks", hook("https://gw.example.net/cb/sinch-prov", "s3cr3t", quality))
	decode(t, got.body, &made)
	diff(t, "create", []any{got.status, made.Target, made.Secret, len(made.Triggers)}, []any{201, "https://gw.example.net/cb/sinch-prov", "", 2})
	path := "/webhooks/" + made.ID
	diff(t, "get", provision(t, s, http.MethodGet, path, "").body, got.body)

	for name, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"the same target":         {hook("https://gw.example.net/cb/sinch-prov", "x", quality), 409, "webhook_exists"},
		"no secret":               {hook("https://gw.example.net/a", "", quality), 400, "invalid_input"},
		"a secret of 129":         {hook("https://gw.example.net/a", strings.Repeat("x", 129), quality), 400, "invalid_input"},
		"a target of 743":         {hook("https://gw.example.net/"+strings.Repeat("x", 720), "x", quality), 400, "invalid_input"},
		"a target by http":        {hook("http://gw.example.net/a", "x", quality), 400, "invalid_input"},
		"no trigger":              {hook("https://gw.example.net/a", "x", ""), 400, "invalid_input"},
		"an unknown trigger":      {hook("https://gw.example.net/a", "x", `"RAIN"`), 400, "invalid_input"},
		"ALL and another trigger": {hook("https://gw.example.net/a", "x", `"ALL","BUNDLE_DONE"`), 400, "invalid_input"},
	} {
		checkProblem(t, name, provision(t, s, http.MethodPost, "/webhooks", tt.body), tt.status, tt.code)
	}
	decode(t, provision(t, s, http.MethodPatch, path, `{"triggers":["ALL"]}`).body, &made)
	diff(t, "patch", []any{made.Target, made.Triggers}, []any{"https://gw.example.net/cb/sinch-prov", []string{"ALL"}})
	checkProblem(t, "a put of a part", provision(t, s, http.MethodPut, path, `{"triggers":["ALL"]}`), http.StatusBadRequest, "invalid_input")
	diff(t, "put", provision(t, s, http.MethodPut, path, hook("https://gw.example.net/new", "x", quality)).status, http.StatusOK)
	for i := range 14 {
		diff(t, "up to 15", provision(t, s, http.MethodPost, "/webhooks", hook(fmt.Sprint("https://gw.example.net/", i), "x", quality)).status, http.StatusCreated)
	}
	checkProblem(t, "a 16th", provision(t, s, http.MethodPost, "/webhooks", hook("https://gw.example.net/16", "x", quality)), http.StatusFailedDependency, "webhook_limit_reached")
	var page struct{ TotalSize int }
	decode(t, provision(t, s, http.MethodGet, "/webhooks", "").body, &page)
	diff(t, "list", page.TotalSize, 15)
	diff(t, "delete", provision(t, s, http.MethodDelete, path, "").status, http.StatusNoContent)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		checkProblem(t, method+" of none", provision(t, s, method, path, map[bool]string{true: "{}"}[strings.HasPrefix(method, "P")]), http.StatusNotFound, "webhook_not_found")
	}
}

func TestProvisioningTellsItsWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := startConversation(t, Options{}, g)
		provision(t, s, http.MethodPost, "/webhooks", `{"target":"https://gw.example.net/quality","secret":"s3cr3t","triggers":["WHATSAPP_SENDER_QUALITY_RATING_CHANGED"]}`)
		provision(t, s, http.MethodPost, "/webhooks", `{"target":"https://gw.example.net/all","secret":"other","triggers":["ALL"]}`)
		change := func(body string) int {
			return control(t, s, http.MethodPost, "/provisioning", `{"project":"`+projectID+`",`+body+`}`, nil)
		}
		diff(t, "change", change(`"sender":"s-1","quality_rating":"RED","max_tps":5`), http.StatusNoContent)
		wait(time.Second)
		secrets := map[string]string{"https://gw.example.net/quality": "s3cr3t", "https://gw.example.net/all": "other"}
		if n := len(g.received()); n != 2 {
			t.Fatalf("%d calls", n)
		}
		for _, c := range g.received() {
			var event struct {
				Type    string
				Payload struct {
					ID, QualityRating string
					MaxTPS            int `json:"maxTps"`
				}
			}
			decode(t, string(c.body), &event)
			diff(t, "event", []any{event.Type, event.Payload.ID, event.Payload.QualityRating, event.Payload.MaxTPS}, []any{"WHATSAPP_SENDER_QUALITY_RATING_CHANGED", "s-1", "RED", 5})
			checkConversationSignature(t, c, secrets[c.url])
		}
		change(`"account_state":"REJECTED"`)
		change(`"daily_limit":"TIER_1K"`)
		change(`"sender":"s-1","state":"INACTIVE"`)
		wait(time.Second)
		types := map[string]bool{}
		for _, c := range g.received()[2:] {
			var event struct{ Type string }
			decode(t, string(c.body), &event)
			types[event.Type] = true
		}
		diff(t, "the others", types, map[string]bool{"WHATSAPP_ACCOUNT_REJECTED": true, "WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED": true, "WHATSAPP_SENDER_INACTIVE": true})
		diff(t, "an unknown sender", change(`"sender":"none"`), http.StatusNotFound)
		diff(t, "an unknown project", control(t, s, http.MethodPost, "/provisioning", `{"project":"none"}`, nil), http.StatusNotFound)
		diff(t, "an unknown member", control(t, s, http.MethodPost, "/provisioning", `{"colour":"red"}`, nil), http.StatusBadRequest)
	})
}
