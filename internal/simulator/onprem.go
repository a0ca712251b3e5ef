package simulator

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Error codes of the on-premises API that are used by name.
const (
	onPremGeneric      = 1000
	onPremTooLong      = 1001
	onPremRecipient    = 1002
	onPremDenied       = 1005
	onPremNotFound     = 1006
	onPremMissing      = 1008
	onPremInvalid      = 1009
	onPremNotRequired  = 1010
	onPremNotWhatsApp  = 1013
	onPremInternal     = 1014
	onPremTooMany      = 1015
	onPremOverloaded   = 1016
	onPremBadUser      = 1021
	onPremPassword     = 1024
	onPremRequest      = 1025
	onPremTypes        = 2008
	onPremNamespace    = 2014
	onPremCount        = 2000
	onPremNoTemplate   = 2001
	onPremSpace        = 2006
	onPremFormat       = 2012
	onPremSections     = 2015
	onPremRows         = 2016
	onPremHeader       = 2036
	onPremRejected     = 2060
	onPremPaused       = 2061
	onPremDisabled     = 2062
	onPremReengagement = 470
	onPremExperiment   = 472
	onPremIdentity     = 480
	onPremFailed       = 500
)

// onPremErrors is how the codes look: HTTP status, zero for those that come by
// webhook only, and title.
var onPremErrors = map[int]struct {
	status int
	title  string
}{
	402:                {0, "Business eligibility - payment issue"},
	408:                {0, "Message is not valid"},
	410:                {0, "Message expired"},
	429:                {http.StatusTooManyRequests, "Rate limit hit"},
	onPremReengagement: {0, "Re-engagement message"},
	471:                {0, "Spam rate limit hit"},
	onPremExperiment:   {0, "User is part of an experiment"},
	onPremIdentity:     {0, "User potentially changed"},
	onPremFailed:       {http.StatusInternalServerError, "Generic error"},
	501:                {0, "Message type is not currently supported"},
	onPremGeneric:      {http.StatusInternalServerError, "Generic error"},
	onPremTooLong:      {http.StatusBadRequest, "Message too long"},
	onPremRecipient:    {http.StatusBadRequest, "Invalid recipient type"},
	1004:               {http.StatusConflict, "Resource already exists"},
	onPremDenied:       {http.StatusUnauthorized, "Access denied"},
	onPremNotFound:     {http.StatusNotFound, "Resource not found"},
	onPremMissing:      {http.StatusBadRequest, "Required parameter is missing"},
	onPremInvalid:      {http.StatusBadRequest, "Parameter value is not valid"},
	onPremNotRequired:  {http.StatusBadRequest, "Parameter is not required"},
	1011:               {http.StatusServiceUnavailable, "Service not ready"},
	onPremNotWhatsApp:  {http.StatusBadRequest, "User is not valid"},
	onPremInternal:     {http.StatusInternalServerError, "Internal error"},
	onPremTooMany:      {http.StatusTooManyRequests, "Too many requests"},
	onPremOverloaded:   {http.StatusServiceUnavailable, "System overloaded"},
	1017:               {http.StatusInternalServerError, "Not primary master"},
	1018:               {http.StatusInternalServerError, "Not primary coreapp"},
	onPremBadUser:      {http.StatusBadRequest, "Bad user"},
	1022:               {http.StatusBadRequest, "Webhooks URL is not configured"},
	1023:               {http.StatusInternalServerError, "Database error"},
	onPremPassword:     {http.StatusUnauthorized, "Password change required"},
	onPremRequest:      {http.StatusBadRequest, "Request is not valid"},
	1026:               {http.StatusBadRequest, "Receiver incapable"},
	1028:               {http.StatusConflict, "Identity change needs acknowledgement"},
	1031:               {http.StatusForbidden, "Sender account locked"},
	onPremCount:        {http.StatusBadRequest, "Template param count mismatch"},
	onPremNoTemplate:   {http.StatusBadRequest, "Template missing"},
	onPremSpace:        {http.StatusBadRequest, "White-space policy violated"},
	onPremTypes:        {http.StatusBadRequest, "Media format unsupported"},
	onPremFormat:       {http.StatusBadRequest, "Parameter format mismatch"},
	onPremNamespace:    {http.StatusBadRequest, "Expected namespace is empty"},
	onPremSections:     {http.StatusBadRequest, "Invalid number of sections"},
	onPremRows:         {http.StatusBadRequest, "Invalid number of rows"},
	onPremHeader:       {http.StatusBadRequest, "Invalid header structure"},
	onPremRejected:     {http.StatusBadRequest, "Template rejected"},
	onPremPaused:       {http.StatusBadRequest, "Template paused"},
	onPremDisabled:     {http.StatusBadRequest, "Template disabled"},
}

// onPremVersion is the client's version that answers say.
const onPremVersion = "v2.45.1"

// onPrem speaks the API of WhatsApp's on-premises client, and of hosts that are
// like it.
type onPrem struct {
	s      *Simulator
	logins *grants // owned by accounts' ids

	mu        sync.Mutex
	passwords map[*account]string // that were changed
}

func newOnPrem(s *Simulator) *onPrem {
	return &onPrem{s: s, logins: newGrants(), passwords: make(map[*account]string)}
}

func (p *onPrem) routes(mux *http.ServeMux) {
	// The other endpoints than messages share one limit.
	other := func(pattern string, monitored bool, serve func(w http.ResponseWriter, r *http.Request, a *account)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			a := p.authorize(w, r, monitored)
			switch {
			case a == nil:
			case !a.spend(p.s.opts.Now, time.Second/20, 60):
				p.refuse(refusal{reason: reasonThrottled}).write(w)
			default:
				serve(w, r, a)
			}
		})
	}
	mux.HandleFunc("POST /v1/users/login", p.login)
	mux.HandleFunc("POST /v1/users/logout", p.logout)
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		if a := p.authorize(w, r, false); a != nil {
			p.s.send(w, r, a, p.parse)
		}
	})
	other("PUT /v1/messages/{id}", false, p.markRead)
	other("POST /v1/contacts", false, p.contacts)
	other("POST /v1/media", false, p.upload)
	other("GET /v1/media/{id}", false, p.download)
	other("DELETE /v1/media/{id}", false, p.deleteFile)
	other("GET /v1/health", true, p.health)
	other("GET /v1/stats", true, p.stats)
	other("GET /v1/stats/{part}", true, p.stats)
	other("GET /metrics", true, p.metrics)
}

// The ways requests tell their account.
func onPremUser(name string) string   { return "user " + name }
func onPremToken(token string) string { return "token " + token }
func onPremKey(key string) string     { return "key " + key }
func onPremMonitor(key string) string { return "monitor " + key }

func (p *onPrem) keys(a *Account) []string {
	var keys []string
	for _, k := range []struct{ key, value string }{
		{onPremUser(a.Username), a.Username},
		{onPremToken(a.Token), a.Token},
		{onPremKey(a.APIKey), a.APIKey},
		{onPremMonitor(a.MonitorKey), a.MonitorKey},
	} {
		if k.value != "" {
			keys = append(keys, k.key)
		}
	}
	return keys
}

func (p *onPrem) byKey(key string) *account { return p.s.bySender[sender{WhatsAppOnPrem, key}] }

// authorize finds the account of the credentials. The key for monitoring opens
// only what is monitored.
func (p *onPrem) authorize(w http.ResponseWriter, r *http.Request, monitored bool) *account {
	var a *account
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case r.Header.Get("D360-API-KEY") != "":
		a = p.byKey(onPremKey(r.Header.Get("D360-API-KEY")))
	case credential == "":
	case strings.EqualFold(scheme, "Apikey") && monitored:
		a = p.byKey(onPremMonitor(credential))
	case strings.EqualFold(scheme, "Bearer"):
		if a = p.byKey(onPremToken(credential)); a == nil {
			a = p.loggedIn(credential)
		}
	}
	if a == nil {
		p.s.unauthorized.Add(1)
		p.refuse(refusal{reason: reasonUnauthorized}).write(w)
	}
	return a
}

// newID is opaque, as those of the client, and nobody else has it.
func (p *onPrem) newID(recipient string, _ time.Time) string {
	b := fmt.Appendf(nil, "\x80\x11\x86%s\x02\x09%08X%012X", recipient, uint32(p.s.run), p.s.nextID()) //nolint:gosec // any bits will do
	return base64.RawURLEncoding.EncodeToString(b)
}

// onPremMeta is in every answer.
type onPremMeta struct {
	Version   string `json:"version"`
	APIStatus string `json:"api_status"`
}

func newOnPremMeta() onPremMeta { return onPremMeta{Version: onPremVersion, APIStatus: "stable"} }

// onPremAnswer is an answer with one payload, named after its node.
func onPremAnswer(status int, node string, payload any) reply {
	answer := map[string]any{"meta": newOnPremMeta()}
	if node != "" {
		answer[node] = payload
	}
	return reply{status: status, body: mustJSON(answer)}
}

type onPremError struct {
	Code    int    `json:"code"`
	Title   string `json:"title"`
	Details string `json:"details,omitempty"`
	Href    string `json:"href,omitempty"` // webhooks only
}

func (p *onPrem) accept(_ *message, all []taken) reply {
	type id struct {
		ID string `json:"id"`
	}
	answer := struct {
		Contacts []cloudContact `json:"contacts,omitempty"`
		Messages []id           `json:"messages"`
		Meta     onPremMeta     `json:"meta"`
	}{Messages: []id{}, Meta: newOnPremMeta()}
	for i := range all {
		answer.Messages = append(answer.Messages, id{all[i].id})
		if all[i].recipient != all[i].input {
			answer.Contacts = append(answer.Contacts, cloudContact{Input: all[i].input, WaID: all[i].recipient})
		}
	}
	return reply{status: http.StatusCreated, body: mustJSON(answer)}
}

func (p *onPrem) refuse(r refusal) reply {
	code, detail := r.code, r.detail
	switch r.reason {
	case reasonUnauthorized:
		code = orDefault(code, onPremDenied)
		if code == onPremDenied {
			detail = orText(detail, "Invalid credentials.")
		}
	case reasonThrottled, reasonPairLimited:
		code = orDefault(code, onPremTooMany)
	case reasonUnavailable:
		code = orDefault(code, onPremGeneric)
	case reasonInvalid:
		code = orDefault(code, onPremRequest)
	case reasonError, reasonHung, reasonClosed:
		code = cmp.Or(code, onPremGeneric)
	}
	known := onPremErrors[code]
	return reply{status: cmp.Or(r.status, known.status, http.StatusBadRequest), body: mustJSON(struct {
		Errors []onPremError `json:"errors"`
		Meta   onPremMeta    `json:"meta"`
	}{[]onPremError{{Code: code, Title: orText(known.title, "Simulated error"), Details: detail}}, newOnPremMeta()})}
}

func (p *onPrem) course(kind string) []event {
	if kind == "reaction" {
		return []event{{state: stateSent}}
	}
	return []event{{state: stateSent}, {state: stateDelivered}, {state: stateRead}}
}

// magicUnknown is of recipients that must be looked up before they are sent to.
const magicUnknown = "0017"

// magic follows the table of the package comment.
func (p *onPrem) magic(lastFour string) (magic, bool) {
	sent, delivered := event{state: stateSent}, event{state: stateDelivered}
	course := func(events ...event) (magic, bool) { return magic{behaviour: behaviour{events: events}}, true }
	failed := func(code int) event { return event{state: stateFailed, code: code} }
	switch lastFour {
	case "0001":
		return course(sent, delivered)
	case "0002":
		return course(sent, event{state: stateRead})
	case "0003":
		return course(failed(onPremNotWhatsApp))
	case "0004":
		return course(failed(onPremReengagement))
	case "0005":
		return course(failed(onPremExperiment))
	case "0006":
		return course(failed(onPremIdentity))
	case "0007":
		return course(sent)
	case "0008":
		return course(sent, delivered, failed(onPremFailed))
	case "0010":
		return course(failed(onPremPaused))
	case "0011":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonUnavailable}}, every: 3}, true
	}
	return commonMagic(lastFour)
}

// uuid is a random one.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
