package simulator

import (
	"cmp"
	"net/http"
	"time"
)

// The codes of v2's error table. Everything else is told by numbers as those
// of HTTP.
const (
	v2Token    = 131030
	v2Number   = 132000
	v2Rate     = 133000
	v2Template = 134000
)

// v2 speaks the "WhatsApp Business API v2". Its webhooks are the Cloud API's.
type v2 struct {
	s     *Simulator
	cloud *cloud
	memory
}

func newV2(s *Simulator) *v2 { return &v2{s: s, cloud: newCloud(s), memory: newMemory()} }

func (v *v2) routes(mux *http.ServeMux) {
	for path, parse := range map[string]parser{
		"/v2/send-message": v.parseText,
		"/v2/send-media":   v.parseMedia,
		"/v2/messages":     v.parseTemplate,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if a := v.authorize(w, r); a != nil {
				v.s.send(w, r, a, parse)
			}
		})
	}
	mux.HandleFunc("GET /v2/message-status", func(w http.ResponseWriter, r *http.Request) {
		if a := v.authorize(w, r); a != nil {
			v.status(a, r.URL.Query().Get("message_id")).write(w)
		}
	})
}

func (v *v2) keys(a *Account) []string {
	if a.Token == "" {
		return nil
	}
	return []string{a.Token}
}

// authorize finds the account of the token: nothing else tells it.
func (v *v2) authorize(w http.ResponseWriter, r *http.Request) *account {
	if a := v.s.bySender[sender{WhatsAppV2, bearer(r)}]; a != nil {
		return a
	}
	v.s.unauthorized.Add(1)
	v.refuse(refusal{reason: reasonUnauthorized}).write(w)
	return nil
}

func (v *v2) newID(recipient string, at time.Time) string { return v.cloud.newID(recipient, at) }

// v2Answer is an answer about a message: of a send, or of a question for its
// status.
type v2Answer struct {
	Status    string   `json:"status"`
	MessageID string   `json:"message_id,omitempty"`
	Timestamp string   `json:"timestamp"`
	Recipient string   `json:"recipient,omitempty"`
	Error     *v2Error `json:"error,omitempty"` // of a failed message
}

type v2Error struct {
	Status  string `json:"status,omitempty"`
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details string `json:"details"`
}

func v2Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (v *v2) accept(m *message, all []taken) reply {
	answer := v2Answer{Status: "success", Timestamp: v2Time(m.at)}
	for i := range all {
		answer.MessageID, answer.Recipient = all[i].id, "+"+all[i].recipient
	}
	return reply{status: http.StatusOK, body: mustJSON(answer)}
}

// v2Messages is what the error table says of each code, and the status it
// comes with, which no document tells.
var v2Messages = map[int]struct {
	status  int
	message string
	details string
}{
	v2Token:                        {http.StatusUnauthorized, "Invalid or expired access token", "Generate new token in developer panel"},
	v2Number:                       {http.StatusBadRequest, "Incorrect phone number format", "Use international format (e.g. +14155552671)"},
	v2Rate:                         {http.StatusTooManyRequests, "Rate limit exceeded", "Wait or request limit increase"},
	v2Template:                     {http.StatusBadRequest, "Template not approved or not found", "Check name or wait for approval"},
	http.StatusBadRequest:          {http.StatusBadRequest, "Invalid request", "A parameter is missing or wrong"},
	http.StatusNotFound:            {http.StatusNotFound, "Message not found", "There is no message with this id"},
	http.StatusInternalServerError: {http.StatusInternalServerError, "Internal server error", "The message could not be sent"},
	http.StatusServiceUnavailable:  {http.StatusServiceUnavailable, "Service unavailable", "The message could not be sent"},
}

// v2ErrorOf is the documented error with the code.
func v2ErrorOf(code int, message, details string) v2Error {
	known := v2Messages[code]
	return v2Error{
		Code: code, Message: orText(message, orText(known.message, "Simulated error")),
		Details: orText(details, orText(known.details, "Simulated error")),
	}
}

// v2NoCountry is the validation error of the reference's example.
const (
	v2BadNumber = "Invalid phone number format"
	v2NoCountry = "Phone number must include country code"
)

func (v *v2) refuse(r refusal) reply {
	code, message := r.code, ""
	switch r.reason {
	case reasonUnauthorized:
		code = orDefault(code, v2Token)
	case reasonThrottled, reasonPairLimited:
		code = orDefault(code, v2Rate)
	case reasonUnavailable:
		code = orDefault(code, http.StatusInternalServerError)
	case reasonInvalid:
		code = orDefault(code, http.StatusBadRequest)
		if r.detail == v2NoCountry {
			message = v2BadNumber
		}
	case reasonError, reasonHung, reasonClosed:
		code = cmp.Or(code, r.status)
	}
	e := v2ErrorOf(code, message, r.detail)
	e.Status = "error"
	status := v2Messages[code].status
	if status == 0 && code >= 400 && code <= 599 {
		status = code
	}
	return reply{status: cmp.Or(r.status, status, http.StatusBadRequest), body: mustJSON(e)}
}

// status answers with where a message has got to. What was accepted counts as
// sent to WhatsApp's server, for there is no earlier status.
func (v *v2) status(a *account, id string) reply {
	if id == "" {
		return v.refuse(refusal{reason: reasonInvalid, detail: "message_id can not be empty"})
	}
	m, ok := v.find(a, id)
	if !ok {
		return v.refuse(refusal{reason: reasonInvalid, code: http.StatusNotFound})
	}
	last := report{receipt: &m.receipt, step: step{event: event{state: stateSent}}, at: m.accepted}
	now := v.s.opts.Now()
	for _, st := range m.steps {
		if at := m.accepted.Add(st.happens); !at.After(now) && st.state >= last.state {
			last.step, last.at = st, at
		}
	}
	answer := v2Answer{Status: cloudState(last.state), MessageID: m.id, Timestamp: v2Time(last.at), Recipient: "+" + m.recipient}
	if last.state == stateFailed {
		e := v2ErrorOf(orDefault(last.code, http.StatusInternalServerError), "", last.detail)
		answer.Error = &e
	}
	return reply{status: http.StatusOK, body: mustJSON(answer)}
}

func (v *v2) course(string) []event {
	return []event{{state: stateSent}, {state: stateDelivered}, {state: stateRead}}
}

// magic follows the table of the package comment. Where the error table has no
// code, the code is 400 and the text tells.
func (v *v2) magic(lastFour string) (magic, bool) {
	sent, delivered := event{state: stateSent}, event{state: stateDelivered}
	course := func(events ...event) (magic, bool) { return magic{behaviour: behaviour{events: events}}, true }
	failed := func(code int, detail string) event { return event{state: stateFailed, code: code, detail: detail} }
	switch lastFour {
	case "0001":
		return course(sent, delivered)
	case "0002":
		return course(sent, event{state: stateRead})
	case "0003":
		return course(failed(v2Number, ""))
	case "0004":
		return course(failed(http.StatusBadRequest, sinchWindow))
	case "0005":
		return course(failed(http.StatusBadRequest, sinchRestrictions))
	case "0006":
		return course(failed(http.StatusBadRequest, "The recipient has not opted in"))
	case "0007":
		return course(sent)
	case "0008":
		return course(sent, delivered, failed(http.StatusInternalServerError, ""))
	case "0010":
		return course(failed(v2Template, ""))
	case "0011":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonUnavailable}}, every: 3}, true
	}
	return commonMagic(lastFour)
}

func (v *v2) batches() bool { return true }

// statuses are Cloud's, with this API's codes and without what only Cloud
// documents.
func (v *v2) statuses(a *account, reports []report) []byte {
	change := cloudChange{Field: "messages", Value: v.cloud.value(a)}
	for i := range reports {
		r := &reports[i]
		st := cloudStatus{ID: r.id, Status: cloudState(r.state), Timestamp: unixText(r.at), RecipientID: r.recipient}
		if r.state == stateFailed {
			e := v2ErrorOf(orDefault(r.code, http.StatusInternalServerError), "", r.detail)
			st.Errors = []cloudStatusError{{
				Code: e.Code, Title: e.Message, Message: e.Message, ErrorData: cloudErrorData{Details: e.Details},
			}}
		}
		change.Value.Statuses = append(change.Value.Statuses, st)
	}
	return v.cloud.envelope(a, change)
}

func (v *v2) inbound(a *account, in Inbound, id string, at time.Time) []byte {
	return v.cloud.inbound(a, in, id, at)
}

func (v *v2) sign(a *account, target string, body []byte, h http.Header) {
	v.cloud.sign(a, target, body, h)
}

func (v *v2) judge(status int) verdict { return v.cloud.judge(status) }

func (v *v2) challenge(a *account) (address, want string, err error) { return v.cloud.challenge(a) }
