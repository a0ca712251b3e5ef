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
	if q.Accounts, err = s.accountsOf(c, q.Accounts); err != nil {
		return err
	}
	q.Now = s.Now()
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

// accountsOf is the account that a list is asked for, or without one those of
// the key.
func (s *Server) accountsOf(c *call, asked []gateway.AccountID) ([]gateway.AccountID, error) {
	switch {
	case len(asked) > 0 && !c.key.Covers(asked[0]):
		return nil, outsideKey()
	case len(asked) > 0:
		return asked, nil
	case c.key.All:
		return slices.Clone(s.Directory.Accounts()), nil
	}
	return slices.Clone(c.key.Accounts), nil
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
	errs, err := readQuery(raw, func(name, value string) string {
		if value == "" && slices.Contains(queryParameters(), name) {
			return ""
		}
		return setFilter(&q, name, value)
	})
	if err != nil {
		return q, err
	}
	if len(errs) > 0 {
		return q, invalid(errs...)
	}
	return q, nil
}

// readQuery hands the parameters of a query to set, which says what is wrong
// with one, and names all that are at fault.
func readQuery(raw string, set func(name, value string) (fault string)) ([]gateway.FieldError, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &problem{kind: kindMalformed, detail: "The query can't be read: check its % escapes."}
	}
	var errs []gateway.FieldError
	for name, given := range values {
		fault := "must be given once"
		if len(given) == 1 {
			fault = set(name, given[0])
		}
		if fault != "" {
			errs = append(errs, gateway.FieldError{Field: shorten(name), Message: fault})
		}
	}
	return errs, nil
}

// parseLimit reads the limit of a list, or says what is wrong with it.
func parseLimit(value string) (n int, fault string) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Sprintf("must be 1 to %d", maxLimit)
	}
	return n, ""
}

func isCursor(value string) bool { return len(value) <= maxCursor && printable(value) }

// What is said of parameters.
const (
	notACursor    = "must be the next_cursor of an earlier page"
	notAParameter = "is not a known parameter"
	notAPriority  = "must be transactional or bulk"
)

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
		if q.Cursor = value; !isCursor(value) {
			return notACursor
		}
	case "limit":
		q.Limit, fault = parseLimit(value)
		return fault
	default:
		return notAParameter
	}
	return ""
}
