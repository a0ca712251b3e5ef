package simulator

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

// Rules are what an account's provider asks of who sends: those that the account
// began with, until the control endpoint sets others. Members that are absent
// leave things as they are; a reset brings back the first ones.
type Rules struct {
	Account     string      `json:"account"`
	Rate        *int        `json:"rate,omitempty"` // these as in Account
	PairEveryMS *int64      `json:"pair_every_ms,omitempty"`
	PairBurst   *int        `json:"pair_burst,omitempty"`
	Window      *bool       `json:"window,omitempty"`
	OptIn       *bool       `json:"opt_in,omitempty"`
	Templates   *[]Template `json:"templates,omitempty"` // absent from the first on: every template is known and fits
}

// rulesOf are those that the account begins with.
func rulesOf(a *Account) *Rules {
	every := a.PairEvery.Milliseconds()
	r := &Rules{Account: a.ID, Rate: &a.Rate, PairEveryMS: &every, PairBurst: &a.PairBurst, Window: &a.Window, OptIn: &a.OptIn}
	if a.Templates != nil {
		r.Templates = &a.Templates
	}
	return r
}

// rules are those in force, never changed.
func (a *account) rules() *Rules { return a.terms.Load() }

func (r *Rules) rate() int { return *r.Rate }

func (r *Rules) pair() (every time.Duration, burst int) {
	return time.Duration(*r.PairEveryMS) * time.Millisecond, *r.PairBurst
}

// templates are those registered; nil: there is no registry.
func (r *Rules) templates() []Template {
	if r.Templates == nil {
		return nil
	}
	return *r.Templates
}

// The words of templates.
var (
	templateStates  = append([]string{""}, provStates...)
	templateHeaders = []string{"", "text", "image", "video", "document", "location"}
	templateButtons = []string{"", "quick_reply", "url", "copy_code", "flow"}
)

// check says what is wrong, "" if nothing is.
func (r *Rules) check() string {
	switch {
	case r.Rate != nil && *r.Rate < 0:
		return "rate: must not be negative"
	case r.PairEveryMS != nil && (*r.PairEveryMS < 0 || *r.PairEveryMS > time.Hour.Milliseconds()):
		return "pair_every_ms: must be 0 to an hour"
	case r.PairBurst != nil && *r.PairBurst < 0:
		return "pair_burst: must not be negative"
	}
	if r.Templates == nil {
		return ""
	}
	for _, t := range *r.Templates {
		known := slices.Contains(templateStates, t.State) && slices.Contains(templateHeaders, t.Header)
		for _, b := range t.Buttons {
			known = known && slices.Contains(templateButtons, b)
		}
		if t.Name == "" || t.Language == "" || t.Body < 0 || !known {
			return "templates: each needs a name and a language, and words that are known"
		}
	}
	return ""
}

// over is r where it says something, and else before.
func (r *Rules) over(before *Rules) *Rules {
	all := *before
	set(&all.Rate, r.Rate)
	set(&all.PairEveryMS, r.PairEveryMS)
	set(&all.PairBurst, r.PairBurst)
	set(&all.Window, r.Window)
	set(&all.OptIn, r.OptIn)
	set(&all.Templates, r.Templates)
	return &all
}

func set[T any](to **T, v *T) {
	if v != nil {
		*to = v
	}
}

func (s *Simulator) showRules(*http.Request) (int, any, error) {
	all := make([]*Rules, len(s.accounts))
	for i, a := range s.accounts {
		all[i] = a.rules()
	}
	return http.StatusOK, map[string]any{"accounts": all}, nil
}

func (s *Simulator) setRules(r *http.Request) (int, any, error) {
	var next Rules
	if err := readControl(r, &next); err != nil {
		return http.StatusBadRequest, nil, err
	}
	if problem := next.check(); problem != "" {
		return http.StatusBadRequest, nil, errors.New(problem)
	}
	a := s.byID[next.Account]
	if a == nil {
		return http.StatusNotFound, nil, errNoAccount
	}
	for {
		before := a.rules()
		after := next.over(before)
		if a.terms.CompareAndSwap(before, after) {
			return http.StatusOK, after, nil
		}
	}
}
