package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// conversation speaks Sinch's Conversation API, for apps in DISPATCH mode with
// a WhatsApp channel.
type conversation struct {
	s     *Simulator
	oauth *oauth
	ids   *sinchV1 // whose ids are ULIDs as well

	mu       sync.Mutex
	projects map[string]*window
}

func newConversation(s *Simulator) *conversation {
	return &conversation{s: s, oauth: newOAuth(s), ids: newSinchV1(s), projects: make(map[string]*window)}
}

func (c *conversation) routes(mux *http.ServeMux) {
	const base = "/v1/projects/{project_id}"
	mux.HandleFunc("POST /oauth2/token", c.oauth.token)
	mux.HandleFunc("POST "+base+"/messages:send", c.send)
	mux.HandleFunc("GET "+base+"/messages", c.list)
	mux.HandleFunc("GET "+base+"/apps/{app_id}", c.app)
}

func (c *conversation) keys(a *Account) []string {
	if a.ProjectID == "" || a.AppID == "" || a.KeyID == "" {
		return nil
	}
	return []string{a.ProjectID + "/" + a.AppID}
}

// conversationExpired is the detail of the refusal that a new token mends.
const conversationExpired = "token expired"

// authorize finds the accounts of the path's project, or answers. The key
// itself is as good as a token; how much rarer it may be used isn't documented.
func (c *conversation) authorize(w http.ResponseWriter, r *http.Request) []*account {
	project := r.PathValue("project_id")
	key, expired := c.oauth.key(r)
	var problem refusal
	var all []*account
	known := false
	for _, a := range c.s.accounts {
		if a.Dialect == SinchConversation && a.ProjectID == project {
			known = true
			if a.KeyID == key {
				all = append(all, a)
			}
		}
	}
	switch {
	case expired:
		problem = refusal{reason: reasonUnauthorized, detail: conversationExpired}
	case key == "":
		problem = refusal{reason: reasonUnauthorized}
	case !known:
		problem = refusal{reason: reasonUnauthorized, status: http.StatusNotFound, detail: "the project was not found"}
	case all == nil:
		problem = refusal{reason: reasonUnauthorized, status: http.StatusForbidden, detail: "the key is of another project"}
	case !c.within(project):
		c.refuse(refusal{reason: reasonThrottled}).write(w)
		return nil
	default:
		return all
	}
	c.s.unauthorized.Add(1)
	c.refuse(problem).write(w)
	return nil
}

// within says whether one more request is within the project's rate.
func (c *conversation) within(project string) bool {
	if c.s.opts.ProjectRate < 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.projects[project]
	if w == nil {
		w = &window{}
		c.projects[project] = w
	}
	t := c.s.opts.Now().Sub(c.s.started)
	if w.count(t) >= c.s.opts.ProjectRate {
		return false
	}
	w.add(t)
	return true
}

// send finds the account by the app that the body names. A body that names none
// of the project's counts for the first, and is refused.
func (c *conversation) send(w http.ResponseWriter, r *http.Request) {
	all := c.authorize(w, r)
	if all == nil {
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			all[0].arrive(c.s.opts.Now)
			c.s.refuse(w, all[0], refusal{reason: reasonInvalid, detail: "the body is too long"})
		}
		return // else the client has gone
	}
	var named struct {
		AppID string `json:"app_id"`
	}
	_ = json.Unmarshal(body, &named) // parse judges it
	i := max(slices.IndexFunc(all, func(a *account) bool { return a.AppID == named.AppID }), 0)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	c.s.send(w, r, all[i], c.parse)
}

// reset forgets the requests of projects. Tokens stay.
func (c *conversation) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.projects)
}

func (c *conversation) expire(a *account) { c.oauth.tokens.expire(a.KeyID) }

func (c *conversation) newID(recipient string, at time.Time) string {
	return c.ids.newID(recipient, at)
}

// conversationTime is UTC to the millisecond.
func conversationTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (c *conversation) accept(m *message, all []taken) reply {
	answer := struct {
		MessageID    string `json:"message_id,omitempty"`
		AcceptedTime string `json:"accepted_time"`
	}{AcceptedTime: conversationTime(m.at)}
	for i := range all {
		answer.MessageID = all[i].id
	}
	return reply{status: http.StatusOK, body: mustJSON(answer)}
}

// conversationStatuses is the name of each HTTP status, with what it says
// unless told otherwise.
var conversationStatuses = map[int]struct{ status, message string }{
	http.StatusBadRequest:          {"INVALID_ARGUMENT", "the request is invalid"},
	http.StatusUnauthorized:        {"UNAUTHENTICATED", "the credentials are missing or invalid"},
	http.StatusForbidden:           {"PERMISSION_DENIED", "BILLING_CREDIT_LIMIT_BREACHED"},
	http.StatusNotFound:            {"NOT_FOUND", "the app was not found"},
	http.StatusTooManyRequests:     {"RESOURCE_EXHAUSTED", "too many requests"},
	http.StatusInternalServerError: {"INTERNAL_ERROR", "internal error"},
	http.StatusNotImplemented:      {"UNIMPLEMENTED", "not implemented"},
	http.StatusServiceUnavailable:  {"UNAVAILABLE", "the service is unavailable"},
}

func (c *conversation) refuse(r refusal) reply {
	status := http.StatusBadRequest
	var header http.Header
	switch r.reason {
	case reasonUnauthorized:
		status = http.StatusUnauthorized
	case reasonThrottled, reasonPairLimited:
		status = http.StatusTooManyRequests
	case reasonUnavailable:
		status = http.StatusServiceUnavailable
	case reasonError:
		if r.code >= 400 && r.code <= 599 {
			status = r.code
		}
	case reasonInvalid, reasonHung, reasonClosed:
	}
	status = cmp.Or(r.status, status)
	if status == http.StatusUnauthorized {
		header = http.Header{"Www-Authenticate": {`Bearer error="invalid_token", error_description="` + orText(r.detail, "token invalid") + `"`}}
	}
	known := conversationStatuses[status]
	var e struct {
		Error struct {
			Code    int      `json:"code"`
			Message string   `json:"message"`
			Status  string   `json:"status"`
			Details []string `json:"details"`
		} `json:"error"`
	}
	e.Error.Code, e.Error.Message = status, orText(r.detail, orText(known.message, "simulated error"))
	e.Error.Status, e.Error.Details = orText(known.status, "UNKNOWN"), []string{}
	return reply{status: status, header: header, body: mustJSON(e)}
}

// app tells the limits of an app.
func (c *conversation) app(w http.ResponseWriter, r *http.Request) {
	all := c.authorize(w, r)
	if all == nil {
		return
	}
	i := slices.IndexFunc(all, func(a *account) bool { return a.AppID == r.PathValue("app_id") })
	if i < 0 {
		c.refuse(refusal{reason: reasonInvalid, status: http.StatusNotFound}).write(w)
		return
	}
	a := all[i]
	reply{status: http.StatusOK, body: mustJSON(map[string]any{
		"id": a.AppID, "display_name": "Simulated " + a.ID, "processing_mode": "DISPATCH",
		"channel_credentials": []map[string]any{{
			"channel": "WHATSAPP", "state": map[string]string{"status": "ACTIVE"},
			"static_bearer": map[string]string{"claimed_identity": a.SenderID},
		}},
		"rate_limits":               map[string]int{"inbound": 25, "outbound": orDefault(a.rules().rate(), 25), "webhooks": 25},
		"queue_stats":               map[string]int{"outbound_size": 0, "outbound_limit": 500_000},
		"dispatch_retention_policy": map[string]int{"ttl_days": int(a.Retention.Hours() / 24)},
	})}.write(w)
}

// conversationMessage is one of the messages that can be listed.
type conversationMessage struct {
	ID              string               `json:"id"`
	Direction       string               `json:"direction"`
	ChannelIdentity conversationIdentity `json:"channel_identity"`
	ConversationID  string               `json:"conversation_id"`
	ContactID       string               `json:"contact_id"`
	Metadata        string               `json:"metadata"`
	AcceptTime      string               `json:"accept_time"`
	ProcessingMode  string               `json:"processing_mode"`
}

type conversationIdentity struct {
	Channel  string `json:"channel"`
	Identity string `json:"identity"`
	AppID    string `json:"app_id"`
}

// list answers with the messages that were sent, the oldest first, as far as
// the app keeps them. The source that isn't asked for by name is another one.
func (c *conversation) list(w http.ResponseWriter, r *http.Request) {
	all := c.authorize(w, r)
	if all == nil {
		return
	}
	q, problem := conversationQuery(r)
	if problem != "" {
		c.refuse(refusal{reason: reasonInvalid, detail: problem}).write(w)
		return
	}
	answer := struct {
		Messages []conversationMessage `json:"messages"`
		Next     string                `json:"next_page_token"`
	}{Messages: []conversationMessage{}}
	var kept time.Duration // by the app that keeps them longest
	for _, a := range all {
		kept = max(kept, a.Retention)
	}
	if q.listed && kept > 0 {
		now := c.s.opts.Now()
		if oldest := now.Add(-kept); q.start.Before(oldest) {
			q.start = oldest
		}
		since := max(q.token, c.s.ledger.before(q.start))
		c.s.ledger.each(since, c.s.accounts, func(e Entry) bool {
			if !e.ReceivedAt.Before(q.end) {
				return false
			}
			kept := slices.ContainsFunc(all, func(a *account) bool {
				return a.ID == e.Account && (q.app == "" || a.AppID == q.app) && now.Sub(e.ReceivedAt) < a.Retention
			})
			if !kept || e.ReceivedAt.Before(q.start) || q.identity != "" && q.identity != e.Recipient {
				return r.Context().Err() == nil
			}
			if len(answer.Messages) == q.size {
				answer.Next = strconv.FormatUint(e.Sequence-1, 10)
				return false
			}
			answer.Messages = append(answer.Messages, conversationMessage{
				ID: e.MessageID, Direction: "TO_CONTACT", Metadata: e.Correlation, AcceptTime: conversationTime(e.ReceivedAt),
				ChannelIdentity: conversationIdentity{Channel: "WHATSAPP", Identity: e.Recipient}, ProcessingMode: "DISPATCH",
			})
			return r.Context().Err() == nil
		})
	}
	reply{status: http.StatusOK, body: mustJSON(answer)}.write(w)
}

// conversationFilter is what messages are listed by.
type conversationFilter struct {
	app, identity string
	start, end    time.Time
	size          int
	token         uint64
	listed        bool // it is about what is kept here
}

// conversationQuery reads the filter, or says what is wrong with it.
func conversationQuery(r *http.Request) (f conversationFilter, problem string) {
	q := r.URL.Query()
	f = conversationFilter{
		app: q.Get("app_id"), identity: strings.TrimLeft(q.Get("channel_identity"), "+ "), size: 10,
		end: time.Unix(1<<40, 0), listed: true,
	}
	for name := range q {
		value := q.Get(name)
		var err error
		switch name {
		case "app_id", "channel_identity", "contact_id", "conversation_id", "view":
		case "channel":
			f.listed = f.listed && value == "WHATSAPP"
		case "direction":
			f.listed = f.listed && (value == "TO_CONTACT" || value == "UNDEFINED_DIRECTION")
		case "messages_source":
		case "start_time":
			f.start, err = time.Parse(time.RFC3339, value)
		case "end_time":
			f.end, err = time.Parse(time.RFC3339, value)
		case "page_size":
			f.size, err = strconv.Atoi(value)
			if f.size < 1 || f.size > 1000 {
				return f, "page_size must be 1 to 1000"
			}
		case "page_token":
			if value != "" {
				f.token, err = strconv.ParseUint(value, 10, 64)
			}
		default:
			return f, name + " is unknown"
		}
		if err != nil {
			return f, name + " is malformed"
		}
	}
	f.listed = f.listed && q.Get("messages_source") == "DISPATCH_SOURCE" && q.Get("contact_id") == "" && q.Get("conversation_id") == ""
	return f, ""
}

func (c *conversation) course(string) []event {
	return []event{{state: stateDispatched}, {state: stateSent}, {state: stateDelivered}, {state: stateRead}}
}

// magic follows the table of the package comment.
func (c *conversation) magic(lastFour string) (magic, bool) {
	submitted, queued, delivered := event{state: stateDispatched}, event{state: stateSent}, event{state: stateDelivered}
	course := func(events ...event) (magic, bool) { return magic{behaviour: behaviour{events: events}}, true }
	failed := func(code int) event { return event{state: stateFailed, code: code} }
	switch lastFour {
	case "0001":
		return course(submitted, queued, delivered)
	case "0002":
		return course(submitted, queued, event{state: stateRead})
	case "0003":
		return course(submitted, failed(codeUndeliverable))
	case "0004":
		return course(submitted, failed(codeWindow))
	case "0005":
		return course(submitted, failed(codeEcosystem))
	case "0006":
		return course(submitted, failed(codeStopped))
	case "0007":
		return course(submitted, queued)
	case "0008":
		return course(submitted, queued, delivered, failed(codeSomethingWrong))
	case "0010":
		return course(submitted, failed(codeTemplatePaused))
	case "0011":
		return magic{behaviour: behaviour{refuse: &refusal{reason: reasonUnavailable}}, every: 3}, true
	}
	return commonMagic(lastFour)
}
