package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// provisioning speaks Sinch's Provisioning API for the projects that accounts
// name: the account, its senders and templates, and webhooks.
type provisioning struct {
	s            *Simulator
	conversation *conversation // whose signature webhooks have

	mu       sync.Mutex
	projects map[string]*project
}

// project is what a project holds. Its senders are in the order of creation.
type project struct {
	id       string
	keys     []string // that open it
	account  *provAccount
	senders  []*provSender
	webhooks []*provWebhook
}

type provAccount struct {
	State                  string       `json:"state"`
	WABAID                 string       `json:"wabaId,omitempty"`
	WABAName               string       `json:"wabaName,omitempty"`
	WABAEnabledForInsights bool         `json:"wabaEnabledForInsights"`
	BusinessDailyLimit     string       `json:"businessDailyLimit"`
	BusinessManager        string       `json:"businessManager"`
	ClientBusinessManager  string       `json:"clientBusinessManagerId,omitempty"`
	CompatibleRegions      []string     `json:"compatibleRegions"`
	Currency               string       `json:"currency"`
	Changes                *provChanges `json:"changes,omitempty"`
}

type provChanges struct {
	Status  string         `json:"status"`
	Details map[string]any `json:"details,omitempty"`
}

type provSender struct {
	ID              string         `json:"id"`
	State           string         `json:"state"`
	BearerToken     string         `json:"bearerToken,omitempty"`
	Region          string         `json:"region,omitempty"`
	CountryCode     string         `json:"countryCode,omitempty"`
	PhoneNumber     string         `json:"phoneNumber,omitempty"`
	MaxTPS          int            `json:"maxTps"`
	QualityRating   string         `json:"qualityRating"`
	DailyLimit      string         `json:"dailyLimit"`
	ConversationApp *provApp       `json:"conversationApiAppDetails,omitempty"`
	BusinessManager string         `json:"businessManager"`
	Details         map[string]any `json:"details,omitempty"`
	Changes         *provChanges   `json:"changes,omitempty"`
	Created         string         `json:"created"`
	Modified        string         `json:"modified"`

	registered bool      // a code was sent
	gone       time.Time // when it goes for good; zero: it wasn't deleted
}

type provApp struct {
	ID            string `json:"id"`
	ProjectID     string `json:"projectId"`
	Region        string `json:"region"`
	ChannelStatus string `json:"channelStatus"`
}

type provWebhook struct {
	ID       string   `json:"id"`
	Target   string   `json:"target"`
	Secret   string   `json:"-"`
	Triggers []string `json:"triggers"`
	Created  string   `json:"created"`
	Modified string   `json:"modified"`
}

func newProvisioning(s *Simulator, c *conversation) *provisioning {
	p := &provisioning{s: s, conversation: c}
	p.reset()
	return p
}

// reset begins anew with what the simulator's accounts say: one sender each,
// and the account if one of them has a WABA.
func (p *provisioning) reset() {
	p.conversation.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.projects = make(map[string]*project)
	created := conversationTime(p.s.opts.Now())
	for _, a := range p.s.accounts {
		if a.ProjectID == "" || a.KeyID == "" {
			continue
		}
		pr := p.projects[a.ProjectID]
		if pr == nil {
			pr = &project{id: a.ProjectID}
			p.projects[a.ProjectID] = pr
		}
		pr.keys = append(pr.keys, a.KeyID)
		if pr.account == nil && a.BusinessID != "" {
			pr.account = &provAccount{
				State: "ONBOARDED", WABAID: a.BusinessID, WABAName: "Simulated " + a.ID, BusinessDailyLimit: "TIER_UNLIMITED",
				BusinessManager: "SINCH_UK", CompatibleRegions: []string{"eu", "us"}, Currency: "EUR",
			}
		}
		if pr.sender(orText(a.SenderID, a.ID)) != nil {
			continue
		}
		region := orText(strings.ToUpper(a.Region), "EU")
		country, number := splitNumber(a.digits)
		sender := &provSender{
			ID: orText(a.SenderID, a.ID), State: "ACTIVE", BearerToken: a.Token, Region: region, CountryCode: country, PhoneNumber: number,
			MaxTPS: orDefault(a.Rate, 80), QualityRating: "GREEN", DailyLimit: "TIER_UNLIMITED", BusinessManager: "SINCH_UK",
			Details: map[string]any{"displayName": "Simulated " + a.ID},
			Created: created, Modified: created,
		}
		if a.AppID != "" {
			sender.ConversationApp = &provApp{ID: a.AppID, ProjectID: a.ProjectID, Region: region, ChannelStatus: "ACTIVE"}
		}
		pr.senders = append(pr.senders, sender)
	}
}

// twoDigitCodes are the calling codes of two digits; 1 and 7 stand alone, and all
// others have three.
const twoDigitCodes = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 " +
	"90 91 92 93 94 95 98 "

// splitNumber parts a number into its calling code and the rest.
func splitNumber(digits string) (code, number string) {
	n := 3
	switch {
	case digits == "":
		n = 0
	case digits[0] == '1' || digits[0] == '7':
		n = 1
	case len(digits) > 2 && strings.Contains(twoDigitCodes, " "+digits[:2]+" "):
		n = 2
	}
	n = min(n, len(digits))
	return digits[:n], digits[n:]
}

// provProblem is an error of the API.
type provProblem struct {
	status     int
	code       string
	message    string
	resolution string
	fields     []string // what validation found
}

func (e *provProblem) reply() reply {
	body := map[string]any{
		"errorCode": e.code, "message": orText(e.message, strings.ReplaceAll(e.code, "_", " ")),
		"resolution": orText(e.resolution, "See the API's reference."),
	}
	if len(e.fields) > 0 {
		body["additionalInformation"] = map[string]any{"validationErrors": e.fields}
	}
	return reply{status: e.status, body: mustJSON(body)}
}

func (p *provisioning) routes(mux *http.ServeMux) {
	const base = "/v1/projects/{project_id}"
	handle := func(pattern string, serve func(pr *project, r *http.Request, o *object) (int, any, *provProblem)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+base+path, func(w http.ResponseWriter, r *http.Request) {
			p.serve(w, r, serve)
		})
	}
	handle("GET /whatsapp", p.getAccount)
	handle("POST /whatsapp", p.createAccount)
	handle("PATCH /whatsapp", p.updateAccount)
	handle("PUT /whatsapp/enableTemplateAnalytics", p.enableAnalytics)
	handle("POST /whatsapp/longLivedAccessToken", p.longLivedToken)
	handle("POST /whatsapp/wabaDetails", p.wabaDetails)
	handle("GET /whatsapp/senders", p.listSenders)
	handle("POST /whatsapp/senders", p.createSender)
	handle("GET /whatsapp/senders/{id}", p.getSender)
	handle("PATCH /whatsapp/senders/{id}", p.updateSender)
	handle("DELETE /whatsapp/senders/{id}", p.deleteSender)
	handle("POST /whatsapp/senders/{id}/register", p.registerSender)
	handle("POST /whatsapp/senders/{id}/verify", p.verifySender)
	handle("GET /whatsapp/templates", p.listTemplates)
	handle("GET /whatsapp/templates/{name}", p.listTemplates)
	handle("GET /whatsapp/templates/{name}/languages/{language}", p.getTemplate)
	handle("GET /webhooks", p.listWebhooks)
	handle("POST /webhooks", p.createWebhook)
	handle("GET /webhooks/{id}", p.getWebhook)
	handle("PUT /webhooks/{id}", p.replaceWebhook)
	handle("PATCH /webhooks/{id}", p.replaceWebhook)
	handle("DELETE /webhooks/{id}", p.deleteWebhook)
}

// serve does what all calls have in common: credentials, the body if there has
// to be one, one call at a time.
func (p *provisioning) serve(w http.ResponseWriter, r *http.Request, serve func(*project, *http.Request, *object) (int, any, *provProblem)) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	key, _ := p.conversation.oauth.key(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	pr := p.projects[r.PathValue("project_id")]
	if key == "" || pr == nil || !slices.Contains(pr.keys, key) {
		p.s.unauthorized.Add(1)
		(&provProblem{status: http.StatusUnauthorized, code: "unauthorized_error", resolution: "Check the credentials and the project."}).reply().write(w)
		return
	}
	now := p.s.opts.Now()
	pr.senders = slices.DeleteFunc(pr.senders, func(s *provSender) bool { return !s.gone.IsZero() && !now.Before(s.gone) })
	o := &object{c: &checker{}}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || len(body) > 0 {
		o = o.c.decode(body)
		if o.c.first == nil && !isJSON(r) {
			o.c.fail(bodyMalformed, "", "Content-Type must be application/json")
		}
		if o.c.first != nil {
			(&provProblem{status: http.StatusBadRequest, code: "invalid_payload", message: o.c.first.detail}).reply().write(w)
			return
		}
	}
	status, answer, problem := serve(pr, r, o)
	switch {
	case problem != nil:
		problem.reply().write(w)
	case answer == nil:
		w.WriteHeader(status)
	default:
		reply{status: status, body: mustJSON(answer)}.write(w)
	}
}

// invalid is the problem with a body that was read, nil if there is none.
func invalid(o *object) *provProblem {
	o.done()
	if o.c.first == nil {
		return nil
	}
	return &provProblem{
		status: http.StatusBadRequest, code: "invalid_input", message: "The request is invalid.",
		fields: []string{strings.TrimSpace(o.c.first.field + " " + o.c.first.detail)},
	}
}

func notFound(what string) *provProblem {
	return &provProblem{status: http.StatusNotFound, code: what + "_not_found"}
}

func conflict(code string) *provProblem {
	return &provProblem{status: http.StatusConflict, code: code}
}

func (p *provisioning) getAccount(pr *project, _ *http.Request, _ *object) (int, any, *provProblem) {
	if pr.account == nil {
		return 0, nil, notFound("account")
	}
	return http.StatusOK, pr.account, nil
}

var (
	provManagers = []string{"SINCH_AMERICA", "SINCH_BR", "SINCH_MX", "SINCH_SEP", "SINCH_UK", ""}
	provRegions  = []string{"EU", "US", "BR"}
)

// accountDetails reads what a new or mended account says of itself.
func accountDetails(a *provAccount, o *object) {
	a.WABAName = orText(o.text("wabaName", 0, unlimited), a.WABAName)
	o.text("companyLegalName", 0, unlimited) // the older form
	a.ClientBusinessManager = orText(o.text("clientBusinessManagerId", 0, unlimited), a.ClientBusinessManager)
	a.BusinessManager = orText(o.one("businessManager", provManagers...), a.BusinessManager)
	if details := o.object("senderDetails", false); details != nil {
		details.text("displayName", 1, unlimited)
		details.text("businessCategory", 0, unlimited)
		details.one("region", append(provRegions, "")...)
		details.text("metaLocalStorage", 0, unlimited)
		details.done()
	}
}

func (p *provisioning) createAccount(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	if pr.account != nil {
		return 0, nil, conflict("account_exists")
	}
	a := &provAccount{
		State: "PENDING_FACEBOOK_VERIFICATION", BusinessDailyLimit: "NOT_SET", BusinessManager: "SINCH_UK",
		CompatibleRegions: []string{"eu", "us"}, Currency: "EUR",
	}
	if !o.has("clientBusinessManagerId") {
		o.c.missing("clientBusinessManagerId")
	}
	accountDetails(a, o)
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	a.Changes = &provChanges{Status: "PENDING_FACEBOOK_VERIFICATION"}
	pr.account = a
	return http.StatusCreated, a, nil
}

func (p *provisioning) updateAccount(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	switch {
	case pr.account == nil:
		return 0, nil, notFound("account")
	case pr.account.State != "REJECTED":
		return 0, nil, conflict("account_not_updatable")
	}
	mended := *pr.account
	accountDetails(&mended, o)
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	mended.State, mended.Changes = "PENDING_FACEBOOK_VERIFICATION", &provChanges{Status: "PENDING_FACEBOOK_VERIFICATION"}
	pr.account = &mended
	return http.StatusOK, pr.account, nil
}

// enableAnalytics has no body, neither way. Before the account is on board it
// isn't available.
func (p *provisioning) enableAnalytics(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	if pr.account == nil {
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "project_not_initialized"}
	}
	if pr.account.State != "ONBOARDED" {
		return 0, nil, &provProblem{status: http.StatusFailedDependency, code: "template_insights_not_yet_available"}
	}
	pr.account.WABAEnabledForInsights = true
	return http.StatusOK, nil, nil
}

// badFacebook is the start of tokens and codes that are refused.
const badFacebook = "invalid"

func (p *provisioning) longLivedToken(_ *project, _ *http.Request, o *object) (int, any, *provProblem) {
	code, token := o.text("facebookCode", 0, unlimited), o.text("facebookToken", 0, unlimited)
	o.one("businessManager", provManagers...)
	if (code == "") == (token == "") {
		o.c.fail(fieldInvalid, "facebookToken", "or facebookCode is required, and not both")
	}
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	switch {
	case strings.HasPrefix(code, badFacebook):
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "invalid_facebook_code"}
	case strings.HasPrefix(token, badFacebook):
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "invalid_facebook_token"}
	}
	return http.StatusCreated, map[string]string{"longLivedAccessToken": "EAA" + strings.ReplaceAll(uuid(), "-", "")}, nil
}

func (p *provisioning) wabaDetails(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	token := o.text("facebookToken", 1, unlimited)
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	if strings.HasPrefix(token, badFacebook) {
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "invalid_facebook_token"}
	}
	type number struct {
		ID                 string `json:"id"`
		DisplayPhoneNumber string `json:"displayPhoneNumber"`
		Provisioned        bool   `json:"provisioned"`
	}
	type waba struct {
		ID      string   `json:"id"`
		Numbers []number `json:"numbers"`
	}
	wabas := []waba{}
	if pr.account != nil && pr.account.WABAID != "" {
		w := waba{ID: pr.account.WABAID, Numbers: []number{}}
		for _, s := range pr.senders {
			w.Numbers = append(w.Numbers, number{s.ID, "+" + s.CountryCode + s.PhoneNumber, true})
		}
		wabas = append(wabas, w)
	}
	return http.StatusOK, map[string]any{"wabas": wabas}, nil
}

// provPage cuts a page out of a list, as the query asks. Its token is the place
// of the first element.
func provPage[T any](r *http.Request, name string, all []T, defaultSize, mostSize int, known ...string) (any, *provProblem) {
	q := r.URL.Query()
	for param := range q {
		if param != "pageToken" && param != "pageSize" && !slices.Contains(known, param) {
			return nil, &provProblem{status: http.StatusBadRequest, code: "invalid_input", fields: []string{param + " is unknown"}}
		}
	}
	size, err := strconv.Atoi(cmp.Or(q.Get("pageSize"), strconv.Itoa(defaultSize)))
	if err != nil || size < 1 || size > mostSize {
		return nil, &provProblem{status: http.StatusBadRequest, code: "invalid_page_size"}
	}
	start := 0
	if token := q.Get("pageToken"); token != "" {
		text, isPage := strings.CutPrefix(token, "page-")
		start, err = strconv.Atoi(text)
		if !isPage || err != nil || start < 0 {
			return nil, &provProblem{status: http.StatusBadRequest, code: "invalid_page_token"}
		}
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	page := map[string]any{"totalSize": len(all), "pageSize": size, name: append([]T{}, all[start:end]...)}
	if start > 0 {
		page["previousPageToken"] = "page-" + strconv.Itoa(max(start-size, 0))
	}
	if end < len(all) {
		page["nextPageToken"] = "page-" + strconv.Itoa(end)
	}
	return page, nil
}

// provFilter reads a filter of values, separated by commas or repeated; nil if
// there is none.
func provFilter(r *http.Request, name, code string, values ...string) ([]string, *provProblem) {
	var wanted []string
	for _, given := range r.URL.Query()[name] {
		wanted = append(wanted, strings.Split(given, ",")...)
	}
	for _, w := range wanted {
		if !slices.Contains(values, w) {
			return nil, &provProblem{status: http.StatusBadRequest, code: code}
		}
	}
	return wanted, nil
}

// provTemplate is a template as the project's accounts have it.
type provTemplate struct {
	Name          string         `json:"name"`
	Language      string         `json:"language"`
	Category      string         `json:"category"`
	State         string         `json:"state"`
	RejectionCode string         `json:"rejectionCode"`
	QualityScore  string         `json:"qualityScore"`
	Details       map[string]any `json:"details"`
}

var provStates = []string{"APPROVED", "DISABLED", "PAUSED", "PENDING", "REJECTED"}

// templates are those of all accounts of the project, each once. Their
// languages are in upper case, unlike in sends.
func (p *provisioning) templates(pr *project) []provTemplate {
	var all []provTemplate
	for _, a := range p.s.accounts {
		if a.ProjectID != pr.id {
			continue
		}
		templates := a.rules().templates()
		for i := range templates {
			t := &templates[i]
			language := strings.ToUpper(t.Language)
			if slices.ContainsFunc(all, func(o provTemplate) bool { return o.Name == t.Name && o.Language == language }) {
				continue
			}
			rejection := "NONE"
			if t.state() == "REJECTED" {
				rejection = "INVALID_FORMAT"
			}
			all = append(all, provTemplate{
				Name: t.Name, Language: language, Category: orText(t.Category, "UTILITY"), State: t.state(),
				RejectionCode: rejection, QualityScore: "QUALITY_SCORE_UNKNOWN", Details: map[string]any{"components": t.components()},
			})
		}
	}
	return all
}

// components is the template's definition.
func (t *Template) components() []map[string]any {
	var all []map[string]any
	switch t.Header {
	case "":
	case "text":
		all = append(all, map[string]any{"type": "HEADER", "format": "TEXT", "text": "{{1}}"})
	default:
		all = append(all, map[string]any{"type": "HEADER", "format": strings.ToUpper(t.Header)})
	}
	var text strings.Builder
	text.WriteString("Simulated")
	for i := range t.Body {
		text.WriteString(" {{" + strconv.Itoa(i+1) + "}}")
	}
	all = append(all, map[string]any{"type": "BODY", "text": text.String()})
	if len(t.Buttons) > 0 {
		buttons := make([]map[string]any, len(t.Buttons))
		for i, kind := range t.Buttons {
			buttons[i] = map[string]any{"type": orText(strings.ToUpper(kind), "PHONE_NUMBER"), "text": "Button " + strconv.Itoa(i+1)}
		}
		all = append(all, map[string]any{"type": "BUTTONS", "buttons": buttons})
	}
	return all
}

func (p *provisioning) listTemplates(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	states, problem := provFilter(r, "filterStates", "invalid_filter_states", provStates...)
	if problem != nil {
		return 0, nil, problem
	}
	if _, problem = provFilter(r, "filterStatuses", "invalid_filter_statuses", "DRAFT", "IN_PROGRESS", "REJECTED"); problem != nil {
		return 0, nil, problem
	}
	name, drafts := r.PathValue("name"), r.URL.Query().Has("filterStatuses") // of which there are none
	all := slices.DeleteFunc(p.templates(pr), func(t provTemplate) bool {
		return drafts || states != nil && !slices.Contains(states, t.State) || name != "" && t.Name != name ||
			!strings.HasPrefix(t.Name, r.URL.Query().Get("templateName"))
	})
	if name != "" && len(all) == 0 {
		return 0, nil, notFound("template")
	}
	page, problem := provPage(r, "templates", all, 50, 1000, "filterStates", "filterStatuses", "templateName", "fieldMask", "templateAnalyticsDateRange")
	return http.StatusOK, page, problem
}

func (p *provisioning) getTemplate(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	for _, t := range p.templates(pr) {
		if t.Name == r.PathValue("name") && t.Language == r.PathValue("language") {
			return http.StatusOK, t, nil
		}
	}
	return 0, nil, notFound("template")
}

// now is the time of a change.
func (p *provisioning) now() string { return conversationTime(p.s.opts.Now()) }

// announce calls the project's webhooks that wait for the event.
func (p *provisioning) announce(pr *project, trigger string, payload any) {
	body := mustJSON(struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}{trigger, mustJSON(payload)})
	for _, h := range pr.webhooks {
		if !slices.Contains(h.Triggers, "ALL") && !slices.Contains(h.Triggers, trigger) {
			continue
		}
		to := newAccount(Account{ID: "provisioning " + pr.id, CallbackURL: h.Target, WebhookSecret: h.Secret}, p.conversation, 0, p.s.started)
		p.s.courier.add(&job{account: to, url: h.Target, receipt: receipt{id: trigger}, base: time.Now(), raw: body})
	}
}
