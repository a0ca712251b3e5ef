package simulator

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Inbound is a text that somebody writes to an account.
type Inbound struct {
	Account string `json:"account"`
	From    string `json:"from"` // with or without '+'
	Name    string `json:"name,omitempty"`
	Text    string `json:"text"`
	ID      string `json:"id,omitempty"` // the message's; empty: a new one
}

// Page is an answer of the ledger.
type Page struct {
	Messages []Entry `json:"messages"`
	Next     uint64  `json:"next"` // since= of the next page: the last sequence that was looked at
}

// Stats is what has happened since the start or the last reset.
type Stats struct {
	Accounts     []AccountStats `json:"accounts"`
	Unauthorized int64          `json:"unauthorized"` // requests without a right token
	Callbacks    CallbackStats  `json:"callbacks"`
	Ledger       LedgerStats    `json:"ledger"`
}

// AccountStats is one account's part of Stats. The maxima are exact: no second,
// wherever it begins, held more.
type AccountStats struct {
	ID                  string           `json:"id"`
	Dialect             Dialect          `json:"dialect"`
	Rate                int              `json:"rate"`
	Requests            int64            `json:"requests"` // authorized send requests
	Accepted            int64            `json:"accepted"` // messages
	Refused             map[string]int64 `json:"refused"`
	MaxPerSecond        int              `json:"max_per_second"`         // of requests
	MaxGrantedPerSecond int              `json:"max_granted_per_second"` // of those within the rate; 0 without one
}

// CallbackStats counts statuses and inbound messages on their way.
type CallbackStats struct {
	Pending    int   `json:"pending"` // messages with something to report
	Taken      int64 `json:"taken"`
	Retried    int64 `json:"retried"`
	Dropped    int64 `json:"dropped"`    // given up
	Overflowed int64 `json:"overflowed"` // messages whose statuses found the backlog full
}

// LedgerStats is the range of sequences that is remembered.
type LedgerStats struct {
	First uint64 `json:"first"` // 0: none
	Last  uint64 `json:"last"`
}

// ChallengeResult is how the verification of a callback URL ended.
type ChallengeResult struct {
	Verified bool   `json:"verified"`
	Status   int    `json:"status"` // HTTP status; 0: no answer
	Detail   string `json:"detail,omitempty"`
}

// The page sizes of the ledger.
const (
	pageDefault = 1_000
	pageMost    = 10_000
)

func (s *Simulator) controlRoutes(mux *http.ServeMux) {
	handle := func(pattern string, serve func(r *http.Request) (status int, answer any, err error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, answer, err := serve(r)
			if err != nil {
				answer = map[string]string{"error": err.Error()}
			}
			if answer == nil {
				w.WriteHeader(status)
				return
			}
			reply{status: status, body: mustJSON(answer)}.write(w)
		})
	}
	handle("GET /_sim/messages", s.showMessages)
	handle("GET /_sim/stats", func(*http.Request) (int, any, error) { return http.StatusOK, s.stats(), nil })
	handle("GET /_sim/accounts", s.showRules)
	handle("POST /_sim/accounts", s.setRules)
	handle("POST /_sim/reset", func(*http.Request) (int, any, error) {
		s.reset()
		return http.StatusNoContent, nil, nil
	})
	handle("GET /_sim/faults", func(*http.Request) (int, any, error) {
		return http.StatusOK, map[string][]Fault{"faults": s.faults.all()}, nil
	})
	handle("POST /_sim/faults", s.addFault)
	handle("DELETE /_sim/faults", func(r *http.Request) (int, any, error) {
		s.faults.clear(r.URL.Query().Get("account"))
		return http.StatusNoContent, nil, nil
	})
	handle("POST /_sim/inbound", s.postInbound)
	handle("POST /_sim/provisioning", func(r *http.Request) (int, any, error) {
		var c ProvisioningChange
		if err := readControl(r, &c); err != nil {
			return http.StatusBadRequest, nil, err
		}
		if err := s.provisioning.change(&c); err != nil {
			return http.StatusNotFound, nil, err
		}
		return http.StatusNoContent, nil, nil
	})
	handle("POST /_sim/challenge", s.postChallenge)
	mux.HandleFunc("GET /_sim/stamps", s.showStamps)
	mux.HandleFunc("GET /_sim/media/{name}", s.showMedia)
}

// filter is what the ledger is searched for. Empty members fit everything.
type filter struct {
	account, recipient, messageID, correlation string
}

func (f *filter) fits(e *Entry) bool {
	return (f.account == "" || f.account == e.Account) && (f.recipient == "" || f.recipient == e.Recipient) &&
		(f.messageID == "" || f.messageID == e.MessageID) && (f.correlation == "" || f.correlation == e.Correlation)
}

func (s *Simulator) showMessages(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	since, err := strconv.ParseUint(cmp.Or(q.Get("since"), "0"), 10, 64)
	if err != nil {
		return http.StatusBadRequest, nil, errors.New("since: must be a sequence")
	}
	limit, err := strconv.Atoi(cmp.Or(q.Get("limit"), strconv.Itoa(pageDefault)))
	if err != nil || limit < 1 || limit > pageMost {
		return http.StatusBadRequest, nil, fmt.Errorf("limit: must be 1 to %d", pageMost)
	}
	f := filter{q.Get("account"), strings.TrimLeft(q.Get("recipient"), "+ "), q.Get("message_id"), q.Get("correlation")} // '+' may be a blank in a query
	page := Page{Messages: []Entry{}, Next: since}
	s.ledger.each(since, s.accounts, func(e Entry) bool {
		page.Next = e.Sequence
		if f.fits(&e) {
			page.Messages = append(page.Messages, e)
		}
		return len(page.Messages) < limit && r.Context().Err() == nil
	})
	return http.StatusOK, page, nil
}

// Stamp is a line of the ledger's export: which message arrived when, and
// nothing else.
type Stamp struct {
	Sequence    uint64 `json:"sequence"`
	ReceivedNS  int64  `json:"received_ns"`
	Account     string `json:"account"`
	Correlation string `json:"correlation"`
}

// showStamps streams what the ledger holds after a sequence, the oldest first,
// in memory that doesn't grow with it.
func (s *Simulator) showStamps(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.ParseUint(cmp.Or(r.URL.Query().Get("since"), "0"), 10, 64)
	if err != nil {
		reply{status: http.StatusBadRequest, body: mustJSON(map[string]string{"error": "since: must be a sequence"})}.write(w)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a long ledger takes its time
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	s.ledger.each(since, s.accounts, func(e Entry) bool {
		return enc.Encode(Stamp{e.Sequence, e.ReceivedNS, e.Account, e.Correlation}) == nil && r.Context().Err() == nil
	})
	_ = out.Flush() // a client that has gone
}

func (s *Simulator) stats() Stats {
	st := Stats{
		Accounts: make([]AccountStats, len(s.accounts)), Unauthorized: s.unauthorized.Load(),
		Callbacks: s.courier.stats(),
	}
	for i, a := range s.accounts {
		st.Accounts[i] = a.stats()
	}
	st.Ledger.First, st.Ledger.Last = s.ledger.bounds()
	return st
}

// expireTokens makes the tokens that were issued to the account stale, or those
// of everyone.
func (s *Simulator) expireTokens(id string) {
	for _, a := range s.accounts {
		if e, ok := a.dialect.(expirer); ok && (id == "" || id == a.ID) {
			e.expire(a)
		}
	}
}

// reset forgets what happened: messages, statistics, faults, uploads, what was
// provisioned and the callbacks still to be made. Passwords and tokens stay, so
// that nobody is logged out.
func (s *Simulator) reset() {
	s.courier.clear()
	s.courier.resetStats()
	s.faults.reset()
	s.ledger.reset()
	for _, d := range s.dialects {
		if keeper, ok := d.(rememberer); ok {
			keeper.forget()
		}
	}
	for _, a := range s.accounts {
		a.reset()
	}
	s.uploads.reset()
	s.provisioning.reset()
	s.unauthorized.Store(0)
}

func (s *Simulator) addFault(r *http.Request) (int, any, error) {
	var f Fault
	if err := readControl(r, &f); err != nil {
		return http.StatusBadRequest, nil, err
	}
	if problem := f.check(); problem != "" {
		return http.StatusBadRequest, nil, errors.New(problem)
	}
	if f.Account != "" && s.byID[f.Account] == nil {
		return http.StatusNotFound, nil, errNoAccount
	}
	if f.Fault == FaultExpireTokens {
		s.expireTokens(f.Account)
		return http.StatusCreated, f, nil
	}
	if !s.faults.add(f) {
		return http.StatusConflict, nil, fmt.Errorf("%d faults are in force, and there can't be more", faultsKept)
	}
	return http.StatusCreated, f, nil
}

var (
	errNoAccount  = errors.New("account: is unknown")
	errNoCallback = errors.New("account: has no callback URL")
)

func (s *Simulator) postInbound(r *http.Request) (int, any, error) {
	var in Inbound
	if err := readControl(r, &in); err != nil {
		return http.StatusBadRequest, nil, err
	}
	in.From = strings.TrimPrefix(in.From, "+")
	a := s.byID[in.Account]
	switch {
	case a == nil:
		return http.StatusNotFound, nil, errNoAccount
	case in.From == "" || strings.Trim(in.From, "0123456789") != "":
		return http.StatusBadRequest, nil, errors.New("from: must be a phone number")
	case a.CallbackURL == "":
		return http.StatusConflict, nil, errNoCallback
	}
	now := s.opts.Now()
	a.hear(in.From, now)
	id := in.ID
	if id == "" {
		id = a.dialect.newID(in.From, now)
	}
	s.courier.add(&job{
		account: a, url: a.CallbackURL, receipt: receipt{id: id}, base: time.Now(), raw: a.dialect.inbound(a, in, id, now),
	})
	return http.StatusAccepted, map[string]string{"message_id": id}, nil
}

func (s *Simulator) postChallenge(r *http.Request) (int, any, error) {
	var in struct {
		Account string `json:"account"`
	}
	if err := readControl(r, &in); err != nil {
		return http.StatusBadRequest, nil, err
	}
	a := s.byID[in.Account]
	if a == nil {
		return http.StatusNotFound, nil, errNoAccount
	}
	d, ok := a.dialect.(challenger)
	if !ok {
		return http.StatusConflict, nil, fmt.Errorf("account: %s has no challenge", a.Dialect)
	}
	address, want, err := d.challenge(a)
	if err != nil {
		return http.StatusConflict, nil, err
	}
	return http.StatusOK, s.courier.challenge(r.Context(), address, want), nil
}

// challenge makes the GET and expects the challenge as it is, without quotes
// or blanks.
func (c *courier) challenge(ctx context.Context, address, want string) ChallengeResult {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ChallengeResult{Detail: "the callback URL can't be called"}
	}
	res, err := c.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address, which holds the verify token
		}
		return ChallengeResult{Detail: err.Error()}
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	switch {
	case err != nil:
		return ChallengeResult{Status: res.StatusCode, Detail: "the answer broke off"}
	case res.StatusCode != http.StatusOK:
		return ChallengeResult{Status: res.StatusCode, Detail: "the answer isn't 200"}
	case string(got) != want:
		return ChallengeResult{Status: res.StatusCode, Detail: "the answer isn't the challenge"}
	}
	return ChallengeResult{Verified: true, Status: res.StatusCode}
}

// readControl reads one JSON object without unknown members.
func readControl(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if dec.More() {
		return errors.New("body: must be one object")
	}
	return nil
}
