package simulator

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// sinchV1 speaks Sinch's WhatsApp API v1.
type sinchV1 struct {
	s *Simulator

	memory
}

func newSinchV1(s *Simulator) *sinchV1 {
	return &sinchV1{s: s, memory: newMemory()}
}

func (v *sinchV1) routes(mux *http.ServeMux) {
	const base = "/whatsapp/v1/{bot_id}"
	authorized := func(serve func(w http.ResponseWriter, r *http.Request, a *account)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if a := v.authorize(w, r); a != nil {
				serve(w, r, a)
			}
		}
	}
	mux.HandleFunc("POST "+base+"/messages", authorized(func(w http.ResponseWriter, r *http.Request, a *account) {
		v.s.send(w, r, a, v.parse)
	}))
	mux.HandleFunc("POST "+base+"/provision/optin", authorized(v.optIn))
	mux.HandleFunc("DELETE "+base+"/provision/optin", authorized(v.optIn))
	mux.HandleFunc("GET "+base+"/capability", authorized(v.capability)) // with a body, say the documents
	mux.HandleFunc("POST "+base+"/capability", authorized(v.capability))
	mux.HandleFunc("GET "+base+"/callbacks/status/{message_id}", authorized(v.status))
}

func (v *sinchV1) keys(a *Account) []string { return []string{a.SenderID} }

// authorize finds the account of the path. A bot of another region and a wrong
// token are answered alike.
func (v *sinchV1) authorize(w http.ResponseWriter, r *http.Request) *account {
	token := bearer(r)
	a := v.s.bySender[sender{SinchWhatsApp, r.PathValue("bot_id")}]
	if a != nil && token != "" && token == a.Token {
		return a
	}
	v.s.unauthorized.Add(1)
	v.refuse(refusal{reason: reasonUnauthorized}).write(w)
	return nil
}

// crockford is the alphabet of ULIDs.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID is a ULID: 48 bits of time in milliseconds and 80 that nobody else has.
func (v *sinchV1) newID(_ string, at time.Time) string {
	high := uint64(at.UnixMilli())<<16 | v.s.run&0xffff
	low := v.s.run>>16<<40 | v.s.nextID()&(1<<40-1)
	var id [26]byte
	for i := len(id) - 1; i >= 0; i-- {
		id[i] = crockford[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(id[:])
}

func (v *sinchV1) accept(_ *message, all []taken) reply {
	answer := sinchEnvelope{Type: "whatsapp", Statuses: make([]sinchStatus, len(all))}
	for i := range all {
		st := sinchStatus{MessageID: all[i].id, Recipient: "+" + all[i].recipient, Status: "success", State: "queued"}
		if all[i].behaviour.element {
			st.Status, st.State = "failure", "no_capability"
		}
		answer.Statuses[i] = st
	}
	return reply{status: http.StatusCreated, body: mustJSON(answer)}
}

type sinchError struct {
	Message string `json:"message"`
	Details string `json:"details"`
}

// refuse answers with the documented pair of texts; the API has no codes. 429
// and what follows from it are in no document, but every gateway must expect it.
func (v *sinchV1) refuse(r refusal) reply {
	status, e := http.StatusBadRequest, sinchError{Message: "Validation error", Details: r.detail}
	switch r.reason {
	case reasonUnauthorized:
		status, e = http.StatusUnauthorized, sinchError{Message: "Unauthorized", Details: "Unauthorized bot"}
	case reasonThrottled, reasonPairLimited:
		status, e = http.StatusTooManyRequests, sinchError{Message: "Too many requests", Details: "Too many messages in a short period of time"}
	case reasonUnavailable:
		status, e = http.StatusServiceUnavailable, sinchError{Message: "Service unavailable", Details: "The request could not be handled"}
	case reasonError:
		if r.code >= 400 && r.code <= 599 {
			status = r.code
		}
		status = cmp.Or(r.status, status)
		e = sinchError{Message: orText(http.StatusText(status), "Simulated error"), Details: "Simulated error"}
	case reasonInvalid, reasonHung, reasonClosed:
	}
	e.Details = orText(r.detail, e.Details)
	return reply{status: cmp.Or(r.status, status), body: mustJSON(e)}
}

// capabilityRate is the only request rate the documents name. Beyond it they
// answer 500, not 429.
const capabilityRate = 20

func (v *sinchV1) capability(w http.ResponseWriter, r *http.Request, a *account) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	if !a.lookUp(v.s.opts.Now, capabilityRate) {
		reply{status: http.StatusInternalServerError, body: mustJSON(sinchError{
			Message: "Request could not be processed", Details: "Too many capability requests",
		})}.write(w)
		return
	}
	check := &checker{}
	o := check.decode(body)
	numbers := sinchNumbers(o, "numbers")
	o.done()
	if check.first != nil {
		v.refuse(sinchRefusal(check.first)).write(w)
		return
	}
	type capability struct {
		MSISDN  string `json:"msisdn"`
		Capable bool   `json:"capable"`
	}
	answer := struct {
		Capabilities []capability `json:"capabilities"`
	}{make([]capability, len(numbers))}
	for i, n := range numbers {
		incapable := v.s.opts.RealCapability && !v.s.opts.NoMagic && strings.HasSuffix(n, "0003")
		answer.Capabilities[i] = capability{MSISDN: n, Capable: !incapable}
	}
	reply{status: http.StatusOK, body: mustJSON(answer)}.write(w)
}

// status answers with what was reported of a message so far, as callbacks.
func (v *sinchV1) status(w http.ResponseWriter, r *http.Request, a *account) {
	id := r.PathValue("message_id")
	if len(id) != 26 || strings.Trim(id, crockford) != "" {
		v.refuse(refusal{reason: reasonInvalid, detail: "Field [message-id] is not a message id."}).write(w)
		return
	}
	answer := struct {
		Results []sinchEnvelope `json:"results"`
	}{[]sinchEnvelope{}}
	m, _ := v.find(a, id)
	now := v.s.opts.Now()
	for _, st := range m.steps {
		if at := m.accepted.Add(st.happens); !at.After(now) {
			answer.Results = append(answer.Results, sinchEnvelope{
				Type: "whatsapp", Statuses: []sinchStatus{sinchStatusOf(&report{receipt: &m.receipt, step: st, at: at})},
			})
		}
	}
	reply{status: http.StatusOK, body: mustJSON(answer)}.write(w)
}

// optIn registers numbers, or takes them out. That one is there already is no
// error.
func (v *sinchV1) optIn(w http.ResponseWriter, r *http.Request, a *account) {
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	check := &checker{}
	o := check.decode(body)
	numbers := sinchNumbers(o, "numbers")
	o.done()
	if check.first != nil {
		v.refuse(sinchRefusal(check.first)).write(w)
		return
	}
	a.setOptIn(numbers, r.Method == http.MethodPost)
	reply{status: http.StatusOK}.write(w)
}

func (v *sinchV1) course(string) []event {
	return []event{{state: stateDispatched}, {state: stateSent}, {state: stateDelivered}, {state: stateRead}}
}

// Details of failures. They are free text for people: the API has no codes.
const (
	sinchWindow       = "More than 24 hours have passed since the recipient last wrote"
	sinchRestrictions = "There are restrictions on how many messages can be sent from this number"
	sinchFailure      = "The message could not be delivered"
)

// magic follows the table of the package comment.
func (v *sinchV1) magic(lastFour string) (magic, bool) {
	dispatched, sent, delivered := event{state: stateDispatched}, event{state: stateSent}, event{state: stateDelivered}
	course := func(events ...event) (magic, bool) { return magic{behaviour: behaviour{events: events}}, true }
	failed := func(detail string) event { return event{state: stateFailed, detail: detail} }
	switch lastFour {
	case "0001":
		return course(dispatched, sent, delivered)
	case "0002":
		return course(dispatched, sent, event{state: stateRead})
	case "0003":
		return course(event{state: stateNoCapability})
	case "0004":
		return course(failed(sinchWindow))
	case "0005":
		return course(failed(sinchRestrictions))
	case "0006":
		return course(event{state: stateNoOptIn})
	case "0007":
		return course(dispatched, sent)
	case "0008":
		return course(dispatched, sent, delivered, failed(sinchFailure))
	case "0010":
		return course(dispatched, event{state: stateDeleted})
	case "0011":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonUnavailable}}, every: 3}, true
	case "0013":
		return magic{behaviour: behaviour{element: true, events: []event{}}}, true
	}
	return commonMagic(lastFour)
}

// judge follows the sibling API's rule, for this one's documents only say that
// temporary errors are tried again and permanent ones are not.
func (v *sinchV1) judge(status int) verdict {
	switch {
	case status >= 200 && status < 300:
		return callbackTaken
	case status == 0 || status == http.StatusTooManyRequests || status >= 500:
		return callbackAgain
	}
	return callbackDropped
}

// sinchNumbers reads 1 to 20 numbers, digits only as in every documented
// example.
func sinchNumbers(o *object, name string) []string {
	numbers := o.strings(name, 1, 20, unlimited)
	if slices.ContainsFunc(numbers, func(n string) bool {
		return len(n) < 7 || len(n) > 15 || strings.Trim(n, "0123456789") != ""
	}) {
		o.c.fail(fieldInvalid, name, "must hold numbers of 7 to 15 digits, without +")
	}
	return numbers
}
