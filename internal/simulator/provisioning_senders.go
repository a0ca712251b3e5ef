package simulator

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ProvisioningChange is what the control endpoint does to a project. Empty
// members leave things as they are; the project's webhooks are told.
type ProvisioningChange struct {
	Project       string `json:"project"`
	AccountState  string `json:"account_state,omitempty"` // ONBOARDED, PENDING_FACEBOOK_VERIFICATION, REJECTED
	DailyLimit    string `json:"daily_limit,omitempty"`   // of the account: TIER_1K, …
	Sender        string `json:"sender,omitempty"`        // its id; the members below are about it
	State         string `json:"state,omitempty"`
	QualityRating string `json:"quality_rating,omitempty"`
	MaxTPS        int    `json:"max_tps,omitempty"`
}

var errNoProject = errors.New("project, sender: are unknown, or the project has no account")

// change does what a person at Sinch or Meta would do.
func (p *provisioning) change(c *ProvisioningChange) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	pr := p.projects[c.Project]
	if pr == nil {
		return errNoProject
	}
	if c.AccountState != "" || c.DailyLimit != "" {
		if pr.account == nil {
			return errNoProject
		}
		if c.AccountState != "" {
			pr.account.State = c.AccountState
			trigger := map[string]string{"ONBOARDED": "ONBOARDED", "REJECTED": "REJECTED"}[c.AccountState]
			p.announce(pr, "WHATSAPP_ACCOUNT_"+orText(trigger, "PENDING_VERIFICATION"), pr.account)
		}
		if c.DailyLimit != "" {
			pr.account.BusinessDailyLimit = c.DailyLimit
			p.announce(pr, "WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED", pr.account)
		}
	}
	if c.Sender == "" {
		return nil
	}
	s := pr.sender(c.Sender)
	if s == nil {
		return errNoProject
	}
	s.Modified = p.now()
	s.MaxTPS = orDefault(c.MaxTPS, s.MaxTPS)
	if c.State != "" {
		s.State = c.State
		p.announce(pr, "WHATSAPP_SENDER_"+c.State, s)
	}
	if c.QualityRating != "" {
		s.QualityRating = c.QualityRating
		p.announce(pr, "WHATSAPP_SENDER_QUALITY_RATING_CHANGED", s)
	}
	return nil
}

func (pr *project) sender(id string) *provSender {
	i := slices.IndexFunc(pr.senders, func(s *provSender) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return pr.senders[i]
}

func (p *provisioning) listSenders(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	states, problem := provFilter(r, "filterStates", "invalid_filter_states", "ACTIVE", "IN_PROGRESS", "INACTIVE", "PENDING_VERIFICATION", "SUSPENDED", "ERROR")
	if problem != nil {
		return 0, nil, problem
	}
	statuses, problem := provFilter(r, "filterStatuses", "invalid_filter_statuses", "DRAFT", "ERROR", "IN_PROGRESS", "REJECTED")
	if problem != nil {
		return 0, nil, problem
	}
	all := slices.DeleteFunc(slices.Clone(pr.senders), func(s *provSender) bool {
		return states != nil && !slices.Contains(states, s.State) ||
			statuses != nil && (s.Changes == nil || !slices.Contains(statuses, s.Changes.Status))
	})
	page, problem := provPage(r, "senders", all, 50, 100, "filterStates", "filterStatuses")
	return http.StatusOK, page, problem
}

// createSender takes the three forms: a number that Meta's embedded signup has
// made ready is active at once; the others have to be verified.
func (p *provisioning) createSender(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	s := &provSender{
		ID: uuid(), State: "ACTIVE", BearerToken: strings.ReplaceAll(uuid(), "-", ""), MaxTPS: 10,
		QualityRating: "UNKNOWN", DailyLimit: "NOT_SET", BusinessManager: "SINCH_UK", Created: p.now(), Modified: p.now(),
	}
	if o.has("wabaId") {
		o.text("wabaId", 1, unlimited)
		s.CountryCode, s.PhoneNumber = signupNumber(o.text("phoneNumberId", 1, unlimited))
		s.Region = o.one("region", provRegions...)
		o.text("metaLocalStorage", 0, unlimited)
		s.BusinessManager = orText(o.one("businessManager", provManagers...), s.BusinessManager)
		o.text("authenticationCode", 0, unlimited)
	} else {
		s.State, s.Changes = "PENDING_VERIFICATION", &provChanges{Status: "IN_PROGRESS"}
		o.one("phoneNumberProvider", "CUSTOMER", "SINCH", "")
		o.flag("saveDraftOnFailure")
		if o.one("status", "DRAFT", "SUBMIT", "") == "DRAFT" {
			s.State, s.Changes.Status = "IN_PROGRESS", "DRAFT"
		}
		if details := o.object("details", true); details != nil {
			s.Details = maps.Clone(details.members)
			s.CountryCode = details.text("countryCode", 1, 8)
			s.PhoneNumber = details.text("phoneNumber", 0, 15)
			details.text("displayName", 1, unlimited) // what else there may be isn't judged
		}
	}
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	if pr.account == nil {
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "project_not_initialized"}
	}
	pr.senders = append(pr.senders, s)
	switch s.State {
	case "ACTIVE", "PENDING_VERIFICATION":
		p.announce(pr, "WHATSAPP_SENDER_"+s.State, s)
	}
	return http.StatusCreated, s, nil
}

// signupNumber stands for the number that Meta knows by an id.
func signupNumber(id string) (country, number string) {
	id = "0000000" + strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, id)
	return "1", "555" + id[len(id)-7:]
}

func (p *provisioning) getSender(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	s := pr.sender(r.PathValue("id"))
	if s == nil {
		return 0, nil, notFound("sender")
	}
	return http.StatusOK, s, nil
}

// updateSender changes details of an active sender; null takes one away. As a
// draft, which is the default, the change waits.
func (p *provisioning) updateSender(pr *project, r *http.Request, o *object) (int, any, *provProblem) {
	s := pr.sender(r.PathValue("id"))
	if s == nil {
		return 0, nil, notFound("sender")
	}
	status := orText(o.one("status", "DRAFT", "SUBMIT", ""), "DRAFT")
	o.flag("saveDraftOnFailure")
	details := o.object("details", true)
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	if s.State != "ACTIVE" {
		return 0, nil, &provProblem{status: http.StatusBadRequest, code: "invalid_input", message: "Only active senders can be updated."}
	}
	s.Modified = p.now()
	if status == "DRAFT" {
		s.Changes = &provChanges{Status: "DRAFT", Details: details.members}
		return http.StatusOK, s, nil
	}
	if s.Details == nil {
		s.Details = make(map[string]any)
	}
	for name, value := range details.members {
		if value == nil {
			delete(s.Details, name)
		} else {
			s.Details[name] = value
		}
	}
	s.Changes = nil
	return http.StatusOK, s, nil
}

// deleteSender marks a sender, which goes after 30 days and is active until
// then.
func (p *provisioning) deleteSender(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	s := pr.sender(r.PathValue("id"))
	switch {
	case s == nil:
		return 0, nil, notFound("sender")
	case !s.gone.IsZero():
		return 0, nil, conflict("sender_already_deleted")
	}
	s.gone, s.Modified = p.s.opts.Now().Add(senderFlush), p.now()
	p.announce(pr, "WHATSAPP_SENDER_DELETED", s)
	return http.StatusNoContent, nil, nil
}

// senderFlush is how long a sender outlives its deletion.
const senderFlush = 30 * 24 * time.Hour

// registerSender has a code sent, which is always the same here.
func (p *provisioning) registerSender(pr *project, r *http.Request, o *object) (int, any, *provProblem) {
	s := pr.sender(r.PathValue("id"))
	if s == nil {
		return 0, nil, notFound("sender")
	}
	method := o.one("method", "SMS", "VOICE")
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	s.registered = true
	return http.StatusOK, map[string]any{"id": s.ID, "method": method, "accepted": true, "verificationCodeSent": true}, nil
}

// provCode is the code that verifies a sender.
const provCode = "123456"

func (p *provisioning) verifySender(pr *project, r *http.Request, o *object) (int, any, *provProblem) {
	s := pr.sender(r.PathValue("id"))
	if s == nil {
		return 0, nil, notFound("sender")
	}
	code := o.text("code", 1, 16)
	if problem := invalid(o); problem != nil {
		return 0, nil, problem
	}
	if code != provCode || !s.registered {
		return 0, nil, conflict("wrong_otp")
	}
	s.State, s.Changes, s.Modified = "ACTIVE", nil, p.now()
	p.announce(pr, "WHATSAPP_SENDER_ACTIVE", s)
	return http.StatusNoContent, nil, nil
}

// The limits of webhooks.
const (
	webhooksMost  = 15
	webhookTarget = 742
	webhookSecret = 128
)

// webhookTriggers is what a webhook can wait for; ALL stands alone.
var webhookTriggers = slices.Concat(
	[]string{"ALL", "BUNDLE_DONE", "WHATSAPP_WABA_ACCOUNT_CHANGED"},
	prefixed("WHATSAPP_SENDER_", "ACTIVE", "COMMENT_ADDED", "DAILY_LIMIT_CHANGED", "DELETED", "DISPLAY_NAME_UPDATED", "ERROR", "INACTIVE",
		"PENDING_VERIFICATION", "QUALITY_RATING_CHANGED", "REJECTED", "USERNAME_UPDATED"),
	prefixed("WHATSAPP_TEMPLATE_", "APPROVED", "CATEGORY_FUTURE_UPDATE", "CATEGORY_UPDATED", "COMMENT_ADDED", "DELETED",
		"QUALITY_SCORE_UPDATED", "REJECTED", "STATUS_UPDATED"),
	prefixed("WHATSAPP_ACCOUNT_", "COMMENT_ADDED", "DAILY_LIMIT_CHANGED", "ONBOARDED", "PENDING_VERIFICATION", "REJECTED"),
)

func prefixed(prefix string, names ...string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

func (pr *project) webhook(id string) int {
	return slices.IndexFunc(pr.webhooks, func(h *provWebhook) bool { return h.ID == id })
}

func (p *provisioning) listWebhooks(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	page, problem := provPage(r, "webhooks", pr.webhooks, 15, 15)
	return http.StatusOK, page, problem
}

// webhookOf reads a webhook. What is absent stays as it is, if that is allowed.
func (p *provisioning) webhookOf(pr *project, o *object, before provWebhook, partly bool) (provWebhook, *provProblem) {
	h := before
	h.Modified = p.now()
	if !partly || o.has("target") {
		h.Target = o.link("target", true)
		if u, err := url.Parse(h.Target); len(h.Target) > webhookTarget || err != nil {
			o.c.fail(fieldInvalid, "target", "must have at most %d characters", webhookTarget)
		} else if h.Target != "" && u.Scheme != "https" && !isLoopback(u.Hostname()) {
			o.c.fail(fieldInvalid, "target", "must be an https URL")
		}
	}
	if !partly || o.has("secret") {
		h.Secret = o.text("secret", 1, webhookSecret)
	}
	if !partly || o.has("triggers") {
		h.Triggers = o.strings("triggers", 1, len(webhookTriggers), unlimited)
		for _, t := range h.Triggers {
			if !slices.Contains(webhookTriggers, t) || t == "ALL" && len(h.Triggers) > 1 {
				o.c.fail(fieldInvalid, "triggers", "must be known, and ALL stands alone")
			}
		}
	}
	if problem := invalid(o); problem != nil {
		return h, problem
	}
	if slices.ContainsFunc(pr.webhooks, func(other *provWebhook) bool { return other.ID != h.ID && other.Target == h.Target }) {
		return h, conflict("webhook_exists")
	}
	return h, nil
}

// isLoopback is for targets on the machine itself, which may do without TLS.
func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func (p *provisioning) createWebhook(pr *project, _ *http.Request, o *object) (int, any, *provProblem) {
	h, problem := p.webhookOf(pr, o, provWebhook{ID: uuid(), Created: p.now()}, false)
	if problem != nil {
		return 0, nil, problem
	}
	if len(pr.webhooks) >= webhooksMost {
		return 0, nil, &provProblem{status: http.StatusFailedDependency, code: "webhook_limit_reached"}
	}
	pr.webhooks = append(pr.webhooks, &h)
	return http.StatusCreated, h, nil
}

func (p *provisioning) getWebhook(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	i := pr.webhook(r.PathValue("id"))
	if i < 0 {
		return 0, nil, notFound("webhook")
	}
	return http.StatusOK, pr.webhooks[i], nil
}

func (p *provisioning) replaceWebhook(pr *project, r *http.Request, o *object) (int, any, *provProblem) {
	i := pr.webhook(r.PathValue("id"))
	if i < 0 {
		return 0, nil, notFound("webhook")
	}
	h, problem := p.webhookOf(pr, o, *pr.webhooks[i], r.Method == http.MethodPatch)
	if problem != nil {
		return 0, nil, problem
	}
	pr.webhooks[i] = &h
	return http.StatusOK, h, nil
}

func (p *provisioning) deleteWebhook(pr *project, r *http.Request, _ *object) (int, any, *provProblem) {
	i := pr.webhook(r.PathValue("id"))
	if i < 0 {
		return 0, nil, notFound("webhook")
	}
	pr.webhooks = slices.Delete(pr.webhooks, i, i+1)
	return http.StatusNoContent, nil, nil
}
