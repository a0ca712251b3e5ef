package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// cloudVersion is the Graph API version whose paths are served.
const cloudVersion = "v23.0"

// Error codes of the Cloud API that are used by name (Cloud API reference,
// error codes).
const (
	codeAppCalls         = 4
	codePermission       = 10
	codeParameter        = 100
	codeTokenRequired    = 104
	codeToken            = 190
	codeBusinessCalls    = 80007
	codeRate             = 130429
	codeSomethingWrong   = 131000
	codeMissing          = 131008
	codeInvalid          = 131009
	codeUnavailable      = 131016
	codeOwnNumber        = 131021
	codeUndeliverable    = 131026
	codeWindow           = 131047
	codeSpam             = 131048
	codeEcosystem        = 131049
	codeStopped          = 131050
	codeMessageType      = 131051
	codeMediaUpload      = 131053
	codePair             = 131056
	codeTemplateCount    = 132000
	codeNoTemplate       = 132001
	codeTemplateFormat   = 132012
	codeTemplatePaused   = 132015
	codeTemplateDisabled = 132016
)

// cloudErrors is how the Cloud API's codes look: HTTP status by the newer
// documents, zero for throttles, whose status is an option, and title.
var cloudErrors = map[int]struct {
	status int
	title  string
}{
	0:                    {401, "AuthException"},
	1:                    {500, "API Unknown"},
	2:                    {503, "API Service"},
	3:                    {403, "API Method"},
	codeAppCalls:         {0, "API Too Many Calls"},
	codePermission:       {403, "Permission Denied"},
	17:                   {0, "User request limit reached"},
	33:                   {400, "Parameter value is not valid"},
	codeParameter:        {400, "Invalid parameter"},
	102:                  {401, "Session key invalid or no longer valid"},
	codeTokenRequired:    {401, "An access token is required to request this resource."},
	codeToken:            {401, "Access token has expired"},
	368:                  {403, "Temporarily blocked for policies violations"},
	613:                  {0, "Calls to this API have exceeded the rate limit"},
	803:                  {404, "Some of the aliases you requested do not exist"},
	codeBusinessCalls:    {0, "Rate limit issues"},
	codeRate:             {0, "Rate limit hit"},
	130472:               {400, "User's number is part of an experiment"},
	130497:               {403, "Business account is restricted from messaging users in this country"},
	codeSomethingWrong:   {500, "Something went wrong"},
	131005:               {403, "Access denied"},
	codeMissing:          {400, "Required parameter is missing"},
	codeInvalid:          {400, "Parameter value is not valid"},
	codeUnavailable:      {503, "Service unavailable"},
	codeOwnNumber:        {400, "Recipient cannot be sender"},
	codeUndeliverable:    {400, "Message undeliverable"},
	131030:               {400, "Recipient phone number not in allowed list"},
	131031:               {403, "Account has been locked"},
	131042:               {402, "Business eligibility payment issue"},
	131045:               {500, "Incorrect certificate"},
	codeWindow:           {400, "Re-engagement message"},
	codeSpam:             {0, "Spam rate limit hit"},
	codeEcosystem:        {400, "This message was not delivered to maintain healthy ecosystem engagement"},
	codeStopped:          {400, "User stopped marketing messages"},
	codeMessageType:      {400, "Unsupported message type"},
	codeMediaUpload:      {400, "Media upload error"},
	codePair:             {0, "(Business Account, Consumer Account) pair rate limit hit"},
	131057:               {503, "Account in maintenance mode"},
	131064:               {0, "Template classification limit"},
	codeTemplateCount:    {400, "Template param count mismatch"},
	codeNoTemplate:       {400, "Template does not exist"},
	132005:               {400, "Template hydrated text too long"},
	132007:               {400, "Template format character policy violated"},
	codeTemplateFormat:   {400, "Template parameter format mismatch"},
	codeTemplatePaused:   {400, "Template is paused"},
	codeTemplateDisabled: {400, "Template is disabled"},
	133000:               {500, "Incomplete deregistration"},
	133004:               {503, "Server temporarily unavailable"},
	133010:               {400, "Phone number not registered"},
	134102:               {500, "Template unavailable"},
}

// cloud speaks Meta's WhatsApp Cloud API.
type cloud struct{ s *Simulator }

func newCloud(s *Simulator) *cloud { return &cloud{s: s} }

func (c *cloud) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+cloudVersion+"/{phone_number_id}/messages", func(w http.ResponseWriter, r *http.Request) {
		if a := c.authorize(w, r); a != nil {
			c.s.send(w, r, a, c.parse)
		}
	})
	mux.HandleFunc("GET /"+cloudVersion+"/{phone_number_id}", func(w http.ResponseWriter, r *http.Request) {
		if c.isFile(r) {
			c.resolveFile(w, r)
		} else if a := c.authorize(w, r); a != nil {
			c.health(a, r.URL.Query().Get("fields")).write(w)
		}
	})
	c.mediaRoutes(mux)
}

func (c *cloud) keys(a *Account) []string { return []string{a.SenderID} }

// authorize finds the account of the path, or answers as Graph does: the token
// is looked at before the object.
func (c *cloud) authorize(w http.ResponseWriter, r *http.Request) *account {
	token := bearer(r)
	a := c.s.bySender[sender{WhatsAppCloud, r.PathValue("phone_number_id")}]
	if a != nil && token != "" && token == a.Token {
		return a
	}
	known := slices.ContainsFunc(c.s.accounts, func(b *account) bool {
		return b.Dialect == WhatsAppCloud && b.Token == token
	})
	problem := refusal{reason: reasonUnauthorized, code: codeParameter, status: http.StatusNotFound, detail: "Unsupported " +
		strings.ToLower(r.Method) + " request. Object with ID '" + r.PathValue("phone_number_id") +
		"' does not exist, cannot be loaded due to missing permissions, or does not support this operation"}
	switch {
	case token == "":
		problem = refusal{reason: reasonUnauthorized, code: codeTokenRequired}
	case !known:
		problem = refusal{reason: reasonUnauthorized, detail: "Invalid OAuth access token - Cannot parse access token"}
	}
	c.s.unauthorized.Add(1)
	c.refuse(problem).write(w)
	return nil
}

// bearer is the token of a request, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// health answers with the asked fields of the number, or those that Graph
// gives unasked.
func (c *cloud) health(a *account, fields string) reply {
	level := "STANDARD"
	if a.rules().rate() > 80 {
		level = "HIGH"
	}
	all := map[string]any{
		"id": a.SenderID, "verified_name": "Simulated " + a.ID, "display_phone_number": "+" + a.digits,
		"quality_rating": "GREEN", "status": "CONNECTED", "name_status": "APPROVED",
		"throughput": map[string]string{"level": level},
		"whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
		"health_status": map[string]any{
			"can_send_message": "AVAILABLE",
			"entities": []map[string]string{
				{"entity_type": "PHONE_NUMBER", "id": a.SenderID, "can_send_message": "AVAILABLE"},
				{"entity_type": "WABA", "id": a.BusinessID, "can_send_message": "AVAILABLE"},
			},
		},
	}
	if fields == "" {
		fields = "verified_name,display_phone_number,quality_rating"
	}
	answer := map[string]any{"id": a.SenderID}
	for f := range strings.SplitSeq(fields, ",") {
		value, known := all[f]
		if !known {
			return c.refuse(refusal{reason: reasonInvalid, code: codeParameter, detail: "Tried accessing nonexisting field (" + f + ")"})
		}
		answer[f] = value
	}
	return reply{status: http.StatusOK, body: mustJSON(answer)}
}

// newID has the form real ids have: wamid. and base64 of the recipient and 18
// hexadecimal digits that nobody else has.
func (c *cloud) newID(recipient string, _ time.Time) string {
	b := make([]byte, 0, 48)
	b = append(b, 0x1c, 0x18, byte(len(recipient))) //nolint:gosec // 15 digits at most
	b = append(b, recipient...)
	b = append(b, 0x15, 2, 0, 0x11, 0x18, 0x12)
	b = fmt.Appendf(b, "%06X%012X", c.s.run&0xffffff, c.s.nextID()&0xffffffffffff)
	b = append(b, 0)
	return "wamid." + base64.StdEncoding.EncodeToString(b)
}

type cloudAnswer struct {
	MessagingProduct string              `json:"messaging_product"`
	Contacts         []cloudContact      `json:"contacts"`
	Messages         []cloudAnswerOfEach `json:"messages"`
}

type cloudContact struct {
	Input string `json:"input"`
	WaID  string `json:"wa_id"`
}

type cloudAnswerOfEach struct {
	ID            string `json:"id"`
	MessageStatus string `json:"message_status,omitempty"` // templates only
}

func (c *cloud) accept(m *message, all []taken) reply {
	if m.kind == cloudMarkRead {
		return reply{status: http.StatusOK, body: []byte(`{"success":true}`)}
	}
	answer := cloudAnswer{MessagingProduct: "whatsapp", Contacts: []cloudContact{}, Messages: []cloudAnswerOfEach{}}
	for i := range all {
		t := &all[i]
		status := ""
		if m.kind == "template" {
			status = "accepted"
			if t.behaviour.held {
				status = "held_for_quality_assessment"
			}
		}
		answer.Contacts = append(answer.Contacts, cloudContact{Input: t.input, WaID: t.recipient})
		answer.Messages = append(answer.Messages, cloudAnswerOfEach{ID: t.id, MessageStatus: status})
	}
	return reply{status: http.StatusOK, body: mustJSON(answer)}
}

type cloudErrorBody struct {
	Error cloudError `json:"error"`
}

type cloudError struct {
	Message   string          `json:"message"`
	Type      string          `json:"type"`
	Code      int             `json:"code"`
	ErrorData *cloudErrorData `json:"error_data,omitempty"`
	TraceID   string          `json:"fbtrace_id"`
}

type cloudErrorData struct {
	MessagingProduct string `json:"messaging_product,omitempty"`
	Details          string `json:"details"`
}

func (c *cloud) refuse(r refusal) reply {
	code, detail := r.code, r.detail
	var header http.Header
	switch r.reason {
	case reasonThrottled:
		code = orDefault(code, codeRate)
		detail = orText(detail, "Message failed to send because there were too many messages sent from this phone number in a short period of time")
	case reasonPairLimited:
		code = orDefault(code, codePair)
		detail = orText(detail, "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time")
	case reasonUnauthorized:
		code = orDefault(code, codeToken)
	case reasonUnavailable:
		code = orDefault(code, codeSomethingWrong)
		detail = orText(detail, "Message failed to send due to an unknown error")
	case reasonInvalid:
		code = orDefault(code, codeParameter)
	case reasonError, reasonHung, reasonClosed:
	}
	if code == codeBusinessCalls || code == codeAppCalls {
		header = http.Header{"X-Business-Use-Case-Usage": {c.usage(max(int(r.retryAfter.Minutes()), 1))}}
	}
	known, ok := cloudErrors[code]
	status := known.status
	switch {
	case r.status != 0:
		status = r.status
	case !ok && code >= 200 && code < 300:
		status = http.StatusForbidden
	case !ok:
		status = http.StatusBadRequest
	case status == 0:
		status = c.s.opts.ThrottleStatus
	}
	e := cloudError{
		Message: fmt.Sprintf("(#%d) %s", code, orText(known.title, "Simulated error")), Type: "OAuthException", Code: code,
		TraceID: fmt.Sprintf("A%08x%014x", uint32(c.s.run), c.s.nextID()), //nolint:gosec // any bits will do
	}
	if detail != "" {
		e.ErrorData = &cloudErrorData{MessagingProduct: "whatsapp", Details: detail}
	}
	return reply{status: status, header: header, body: mustJSON(cloudErrorBody{Error: e})}
}

// usage is the header that tells how long to wait, in minutes.
func (c *cloud) usage(minutes int) string {
	return fmt.Sprintf(`{"1":[{"type":"whatsapp","call_count":100,"total_cputime":25,"total_time":25,"estimated_time_to_regain_access":%d}]}`, minutes)
}

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// mustJSON is for values of ours, which always marshal.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("simulator: marshal %T: %v", v, err))
	}
	return b
}

func (c *cloud) course(kind string) []event {
	switch kind {
	case cloudMarkRead:
		return nil
	case "reaction": // of these only "sent" is reported
		return []event{{state: stateSent}}
	}
	return []event{{state: stateSent}, {state: stateDelivered}, {state: stateRead}}
}

// magic follows the table of the package comment.
func (c *cloud) magic(lastFour string) (magic, bool) {
	if lastFour < "0001" || lastFour > "0016" {
		return magic{}, false
	}
	sent, delivered := event{state: stateSent}, event{state: stateDelivered}
	course := func(events ...event) (magic, bool) { return magic{behaviour: behaviour{events: events}}, true }
	failed := func(code int) event { return event{state: stateFailed, code: code} }
	switch lastFour {
	case "0001":
		return course(sent, delivered)
	case "0002":
		return course(sent, event{state: stateRead})
	case "0003":
		return course(failed(codeUndeliverable))
	case "0004":
		return course(failed(codeWindow))
	case "0005":
		return course(failed(codeEcosystem))
	case "0006":
		return course(failed(codeStopped), event{state: stateStopMarketing})
	case "0007":
		return course(sent)
	case "0008":
		return course(sent, delivered, failed(codeSomethingWrong))
	case "0010":
		return magic{behaviour: behaviour{events: []event{failed(codeTemplatePaused)}, held: true}}, true
	case "0011":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonUnavailable}}, every: 3}, true
	}
	return commonMagic(lastFour)
}

// commonMagic is what the last digits mean in every dialect.
func commonMagic(lastFour string) (magic, bool) {
	switch lastFour {
	case "0009":
		return magic{behaviour: behaviour{doubled: true, reversed: true}}, true
	case "0012":
		return magic{behaviour: behaviour{ending: endClosedAfter}}, true
	case "0013":
		return magic{behaviour: behaviour{otherID: true}}, true
	case "0014":
		return magic{behaviour: behaviour{early: true}}, true
	case "0015":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonThrottled, retryAfter: time.Second}}, every: 2}, true
	case "0016":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonPairLimited}}, every: 2}, true
	}
	return magic{}, false
}

func (c *cloud) judge(status int) verdict {
	if status == http.StatusOK {
		return callbackTaken
	}
	return callbackAgain // every other answer, Meta's documents say
}
