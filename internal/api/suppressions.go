package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/gateway"
)

// Limits of the do-not-send lists.
const (
	maxReason     = 200 // characters
	defaultReason = "operator"
	maxSuppressed = 10  // years ahead, of until
	maxAsked      = 100 // accounts for one page
	atOnce        = 16  // accounts written to
)

// suppressBody is the body of PUT /v1/suppressions/{recipient}.
type suppressBody struct {
	Account *gateway.AccountID       `json:"account"` // nil: every one of the key
	Scope   gateway.SuppressionScope `json:"scope"`
	Reason  string                   `json:"reason"`
	Until   string                   `json:"until"`
}

// judge makes an entry of the body, still without recipient and account, or
// names the fields that stand against it.
func (b *suppressBody) judge(now time.Time) (gateway.Suppressed, []gateway.FieldError) {
	var v verdict
	e := gateway.Suppressed{Scope: b.Scope, Reason: b.Reason, CreatedAt: now}
	if e.Scope == "" {
		e.Scope = gateway.SuppressAll
	}
	if !isScope(e.Scope) {
		v.add("scope", notAScope)
	}
	if e.Reason == "" {
		e.Reason = defaultReason
	}
	v.atMost("reason", e.Reason, maxReason)
	if b.Until == "" {
		if e.Scope == gateway.SuppressCooldown {
			v.add("until", "is required when scope is cooldown")
		}
		return e, v.errs
	}
	at, ok := parseTime(b.Until)
	e.Until = ceilMilli(at)
	switch {
	case !ok:
		v.add("until", notATime)
	case !at.After(now):
		v.add("until", "must be in the future")
	case at.After(now.AddDate(maxSuppressed, 0, 0)):
		v.add("until", "must be at most %d years ahead", maxSuppressed)
	}
	return e, v.errs
}

const notAScope = "must be all, marketing or cooldown"

func isScope(s gateway.SuppressionScope) bool {
	switch s {
	case gateway.SuppressAll, gateway.SuppressMarketing, gateway.SuppressCooldown:
		return true
	}
	return false
}

// putSuppression is PUT /v1/suppressions/{recipient}: it answers the entry for
// each account, those that were there before too. After a problem some accounts
// may have it; asking again gives it to the rest.
func (s *Server) putSuppression(c *call) error {
	body, misread, err := decodeBody(s, c, s.entries)
	if err != nil {
		return err
	}
	// An account in the query would be overlooked, and all be meant.
	strangers, err := readQuery(c.Request().URL.RawQuery, func(string, string) string { return notAParameter + "; fields go into the body" })
	if err != nil {
		return err
	}
	accounts, errs, err := s.reach(c, body.Account)
	if err != nil {
		return err
	}
	to, fault := pathRecipient(c)
	entry, faults := body.judge(s.Now().UTC().Truncate(time.Millisecond))
	errs = slices.Concat(errs, fault, faults)
	if body.Account == nil && len(accounts) == 0 {
		errs = append(errs, gateway.FieldError{Field: "account", Message: "is required: the API key covers no account"})
	}
	if errs = append(merge(misread, errs), strangers...); len(errs) > 0 {
		return invalid(errs...)
	}
	ctx, cancel := s.detached(c)
	defer cancel()
	result := page[suppressionBody]{Items: make([]suppressionBody, 0, len(accounts))}
	for _, id := range accounts {
		entry.Account, entry.Recipient = id, to
		result.Items = append(result.Items, newSuppressionBody(&entry))
	}
	err = each(accounts, func(id gateway.AccountID) error {
		e := entry
		e.Account = id
		return s.Suppressions.Suppress(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("suppress: %w", err)
	}
	return s.answer(c, http.StatusOK, result)
}

// deleteSuppression is DELETE /v1/suppressions/{recipient}. It answers 204
// whether or not there was an entry: there is none now, which is what was asked.
// What would lift more than was meant is refused: an empty parameter, and a
// body, which has no meaning here.
func (s *Server) deleteSuppression(c *call) error {
	var account *gateway.AccountID
	var scope gateway.SuppressionScope
	errs, err := readQuery(c.Request().URL.RawQuery, func(name, value string) string {
		switch name {
		case "account":
			account = new(gateway.AccountID(value))
		case "scope":
			if scope = gateway.SuppressionScope(value); !isScope(scope) {
				return notAScope
			}
		default:
			return notAParameter
		}
		return ""
	})
	if err != nil {
		return err
	}
	accounts, faults, err := s.reach(c, account)
	if err != nil {
		return err
	}
	to, fault := pathRecipient(c)
	errs = slices.Concat(errs, faults, fault)
	if c.Request().ContentLength != 0 {
		errs = append(errs, gateway.FieldError{Field: "body", Message: "must be absent; account and scope go into the query"})
	}
	if len(errs) > 0 {
		return invalid(errs...)
	}
	ctx, cancel := s.detached(c)
	defer cancel()
	err = each(accounts, func(id gateway.AccountID) error {
		_, err := s.Suppressions.Unsuppress(ctx, id, to, scope)
		return err
	})
	if err != nil {
		return fmt.Errorf("unsuppress: %w", err)
	}
	return c.NoContent(http.StatusNoContent)
}

// listSuppressions is GET /v1/suppressions: the lists of the accounts one after
// the other. Entries whose time is over stop nothing and aren't shown, so a page
// may hold fewer than asked for, even none, and still not be the last.
func (s *Server) listSuppressions(c *call) error {
	var account *gateway.AccountID
	var from place
	limit := defaultLimit
	errs, err := readQuery(c.Request().URL.RawQuery, func(name, value string) (fault string) {
		switch name {
		case "account":
			if value != "" {
				account = new(gateway.AccountID(value))
			}
		case "cursor":
			var ok bool
			if from, ok = parsePlace(value); value != "" && !ok {
				return notACursor
			}
		case "limit":
			if value != "" {
				limit, fault = parseLimit(value)
			}
		default:
			return notAParameter
		}
		return fault
	})
	if err != nil {
		return err
	}
	accounts, faults, err := s.reach(c, account)
	if err != nil {
		return err
	}
	if account != nil && from != (place{}) && from.account != *account {
		faults = append(faults, gateway.FieldError{Field: "cursor", Message: notACursor + " of this account"})
	}
	if errs = append(errs, faults...); len(errs) > 0 {
		return invalid(errs...)
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	list, next, err := s.suppressions(ctx, accounts, from, limit)
	if err != nil {
		return err
	}
	now := s.Now()
	result := page[suppressionBody]{Items: make([]suppressionBody, 0, len(list)), Next: orNull(next.String())}
	for i := range list {
		if e := &list[i]; e.Until.IsZero() || e.Until.After(now) {
			result.Items = append(result.Items, newSuppressionBody(e))
		}
	}
	return s.answer(c, http.StatusOK, result)
}

// suppressions reads a page of the lists of accounts, which are sorted. It asks
// a limited number of them, so that many empty lists can't use up its time.
func (s *Server) suppressions(
	ctx context.Context, accounts []gateway.AccountID, from place, limit int,
) (list []gateway.Suppressed, next place, err error) {
	first, _ := slices.BinarySearch(accounts, from.account)
	for i, id := range accounts[first:] {
		if i == maxAsked {
			return list, place{account: id}, nil
		}
		after := ""
		if id == from.account {
			after = from.after
		}
		room := limit - len(list)
		found, more, err := s.Suppressions.Suppressions(ctx, id, after, max(room, 1))
		if err != nil {
			return nil, place{}, fmt.Errorf("list suppressions of %s: %w", id, err)
		}
		switch {
		case room == 0 && len(found) > 0: // it was asked only whether a page follows
			return list, place{account: id}, nil
		case more != "":
			return append(list, found...), place{id, more}, nil
		}
		list = append(list, found...)
	}
	return list, place{}, nil
}

// place is where a page of all lists ended: after an entry of an account, by
// the store's cursor, or with an empty one before its first. The zero place is
// the beginning, and the end.
type place struct {
	account gateway.AccountID
	after   string
}

// String is the cursor that callers get. It doesn't spell out a recipient,
// which the store's may.
func (p place) String() string {
	if p == (place{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(p.account) + " " + p.after))
}

func parsePlace(cursor string) (place, bool) {
	if len(cursor) > maxCursor {
		return place{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return place{}, false
	}
	account, after, ok := strings.Cut(string(text), " ")
	if !ok || !gateway.AccountID(account).Valid() || !printable(after) {
		return place{}, false
	}
	return place{gateway.AccountID(account), after}, true
}

// reach is the accounts that a request speaks of, sorted: the one it names, or
// where it names none all of the key's.
func (s *Server) reach(c *call, named *gateway.AccountID) ([]gateway.AccountID, []gateway.FieldError, error) {
	if named == nil {
		all := slices.DeleteFunc(slices.Clone(s.Directory.Accounts()), func(id gateway.AccountID) bool { return !c.key.Covers(id) })
		slices.Sort(all)
		return all, nil, nil
	}
	if *named == "" {
		return nil, []gateway.FieldError{{Field: "account", Message: "must not be empty; without it, all accounts of the key are meant"}}, nil
	}
	if !c.key.Covers(*named) {
		return nil, nil, outsideKey()
	}
	if _, known := s.Directory.Account(*named); !known {
		return nil, []gateway.FieldError{{Field: "account", Message: "is not a known account"}}, nil
	}
	return []gateway.AccountID{*named}, nil, nil
}

// pathRecipient is the recipient of the path.
func pathRecipient(c *call) (gateway.Recipient, []gateway.FieldError) {
	to, err := gateway.ParseRecipient(c.parameter("recipient"))
	if err != nil {
		return "", []gateway.FieldError{{Field: "recipient", Message: err.Error()}}
	}
	return to, nil
}

// each acts for every account, several at once, whatever becomes of one of
// them; it answers the first error.
func each(accounts []gateway.AccountID, act func(gateway.AccountID) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, id := range accounts {
		g.Go(func() error { return act(id) })
	}
	return g.Wait()
}
