package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"sluice/internal/gateway"
)

// pauseBody is the optional body of pause and resume.
type pauseBody struct {
	Priority gateway.Priority `json:"priority"`
}

// listAccounts is GET /v1/accounts: those of the key, by id.
func (s *Server) listAccounts(c *call) error {
	var accounts []gateway.Account
	for _, id := range s.Directory.Accounts() {
		if !c.key.Covers(id) {
			continue
		}
		if a, ok := s.Directory.Account(id); ok {
			accounts = append(accounts, a)
		}
	}
	slices.SortFunc(accounts, func(a, b gateway.Account) int { return cmp.Compare(a.ID, b.ID) })
	ctx, cancel := s.bounded(c)
	defer cancel()
	bodies, err := s.accountBodies(ctx, accounts)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, page[accountBody]{Items: bodies})
}

// getAccount is GET /v1/accounts/{id}.
func (s *Server) getAccount(c *call) error {
	a, err := s.account(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	return s.answerAccount(ctx, c, a)
}

// pauseAccount is POST /v1/accounts/{id}/pause.
func (s *Server) pauseAccount(c *call) error { return s.steer(c, s.Operator.Pause) }

// resumeAccount is POST /v1/accounts/{id}/resume.
func (s *Server) resumeAccount(c *call) error { return s.steer(c, s.Operator.Resume) }

func (s *Server) steer(c *call, act func(context.Context, gateway.AccountID, gateway.Priority) error) error {
	a, err := s.account(c)
	if err != nil {
		return err
	}
	var body pauseBody
	if c.Request().ContentLength != 0 {
		given, errs, err := decodeBody(s, c, s.pauses)
		if err != nil {
			return err
		}
		body = *given
		if body.Priority != "" && !body.Priority.Valid() {
			errs = append(errs, gateway.FieldError{Field: "priority", Message: notAPriority})
		}
		if len(errs) > 0 {
			return invalid(errs...)
		}
	}
	ctx, cancel := s.detached(c)
	defer cancel()
	if err := act(ctx, a.ID, body.Priority); err != nil {
		return fmt.Errorf("steer %s: %w", a.ID, err)
	}
	return s.answerAccount(ctx, c, a)
}

// account is the account of the path, if it exists and is one of the key's.
func (s *Server) account(c *call) (gateway.Account, error) {
	id := gateway.AccountID(c.parameter("id"))
	a, ok := s.Directory.Account(id)
	if !ok || !c.key.Covers(id) {
		return gateway.Account{}, gateway.ErrNotFound
	}
	return a, nil
}

func (s *Server) answerAccount(ctx context.Context, c *call, a gateway.Account) error {
	bodies, err := s.accountBodies(ctx, []gateway.Account{a})
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, bodies[0])
}

func (s *Server) accountBodies(ctx context.Context, accounts []gateway.Account) ([]accountBody, error) {
	bodies := make([]accountBody, 0, len(accounts))
	if len(accounts) == 0 {
		return bodies, nil
	}
	ids := make([]gateway.AccountID, 0, len(accounts))
	for _, a := range accounts {
		ids = append(ids, a.ID)
	}
	states, err := s.States.States(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read states: %w", err)
	}
	now := s.Now()
	for i := range accounts {
		state := states[accounts[i].ID]
		bodies = append(bodies, newAccountBody(&accounts[i], &state, now))
	}
	return bodies, nil
}

// listWorkers is GET /v1/workers. Of a worker's accounts those of the key are
// shown.
func (s *Server) listWorkers(c *call) error {
	ctx, cancel := s.bounded(c)
	defer cancel()
	workers, err := s.States.Workers(ctx)
	if err != nil {
		return fmt.Errorf("read workers: %w", err)
	}
	result := page[workerBody]{Items: make([]workerBody, 0, len(workers))}
	for _, w := range workers {
		b := workerBody{
			ID: w.ID, Host: w.Host, Revision: w.Revision, StartedAt: instant(w.StartedAt),
			Accounts: []gateway.AccountID{},
		}
		for _, id := range w.Accounts {
			if c.key.Covers(id) {
				b.Accounts = append(b.Accounts, id)
			}
		}
		slices.Sort(b.Accounts)
		result.Items = append(result.Items, b)
	}
	return s.answer(c, http.StatusOK, result)
}
