package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

const (
	defaultLimit = 50
	maxLimit     = 200
	maxCursor    = 1024 // bytes
)

// getMessage is GET /v1/messages/{id}.
func (s *Server) getMessage(c *call) error {
	id, err := messageID(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	r, err := s.Store.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("get %s: %w", id, err)
	}
	return s.answer(c, http.StatusOK, s.render(r, s.Now()))
}

// cancelMessage is POST /v1/messages/{id}/cancel.
func (s *Server) cancelMessage(c *call) error {
	id, err := messageID(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(c)
	defer cancel()
	r, err := s.Store.Cancel(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	return s.answer(c, http.StatusOK, s.render(r, s.Now()))
}

// listMessages is GET /v1/messages.
func (s *Server) listMessages(c *call) error {
	q, err := parseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return err
	}
	switch {
	case len(q.Accounts) > 0 && !c.key.Covers(q.Accounts[0]):
		return &problem{kind: kindForbidden, detail: "The API key doesn't cover this account."}
	case len(q.Accounts) > 0:
	case c.key.All:
		q.Accounts = s.Directory.Accounts()
	default:
		q.Accounts = c.key.Accounts
	}
	q.Accounts, q.Now = slices.Clone(q.Accounts), s.Now()
	result := page[messageBody]{Items: []messageBody{}}
	if len(q.Accounts) == 0 {
		return s.answer(c, http.StatusOK, result)
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	p, err := s.Store.List(ctx, q)
	if err != nil {
		return fmt.Errorf("list messages: %w", err)
	}
	for i := range p.Records {
		result.Items = append(result.Items, s.render(&p.Records[i], q.Now))
	}
	result.Next = orNull(p.Next)
	return s.answer(c, http.StatusOK, result)
}

func (s *Server) render(r *gateway.Record, now time.Time) messageBody {
	account, _ := s.Directory.Account(r.Account)
	return newMessageBody(r, account.Provider, now)
}

// messageID is the id of the path, if it may be one of the key's messages.
func messageID(c *call) (gateway.MessageID, error) {
	id := gateway.MessageID(c.Param("id"))
	if !id.Valid() || !c.key.coversTag(id.Tag()) {
		return "", gateway.ErrNotFound
	}
	return id, nil
}

// parseQuery reads the filters of a list. An empty parameter counts as left
// out, for forms send such.
func parseQuery(raw string) (gateway.Query, error) {
	q := gateway.Query{Limit: defaultLimit}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, &problem{kind: kindMalformed, detail: "The query can't be read: check its % escapes."}
	}
	var errs []gateway.FieldError
	for name, given := range values {
		fault := ""
		switch {
		case len(given) > 1:
			fault = "must be given once"
		case given[0] == "" && slices.Contains(queryParameters(), name):
		default:
			fault = setFilter(&q, name, given[0])
		}
		if fault != "" {
			errs = append(errs, gateway.FieldError{Field: shorten(name), Message: fault})
		}
	}
	if len(errs) > 0 {
		return q, invalid(errs...)
	}
	return q, nil
}

func queryParameters() []string {
	return []string{"account", "status", "to", "reference", "batch", "since", "cursor", "limit"}
}

// setFilter sets one filter, or says what is wrong with it.
func setFilter(q *gateway.Query, name, value string) (fault string) {
	switch name {
	case "account":
		q.Accounts = []gateway.AccountID{gateway.AccountID(value)}
	case "status":
		if q.Status = gateway.Status(value); !q.Status.Valid() {
			return "must be a status"
		}
	case "to":
		if rest, ok := strings.CutPrefix(value, " "); ok {
			value = "+" + rest // what becomes of a '+' that wasn't escaped
		}
		var err error
		if q.Recipient, err = gateway.ParseRecipient(value); err != nil {
			return err.Error()
		}
	case "reference":
		q.Reference = value
	case "batch":
		if q.Batch = gateway.BatchID(value); !q.Batch.Valid() {
			return "must be the id of a batch"
		}
	case "since":
		var ok bool
		if q.Since, ok = parseTime(value); !ok {
			return notATime
		}
	case "cursor":
		if q.Cursor = value; len(value) > maxCursor || !printable(value) {
			return "must be the next_cursor of an earlier page"
		}
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxLimit {
			return fmt.Sprintf("must be 1 to %d", maxLimit)
		}
		q.Limit = n
	default:
		return "is not a known parameter"
	}
	return ""
}
