package api

import (
	"slices"
	"time"

	"sluice/internal/gateway"
)

// instant is a time as every answer shows it: RFC 3339, UTC, milliseconds; the
// zero time is null.
type instant time.Time

const instantLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON writes the one form of times.
func (t instant) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(instantLayout)+2)
	b = append(b, '"')
	b = time.Time(t).UTC().AppendFormat(b, instantLayout)
	return append(b, '"'), nil
}

// orNull shows an empty string as null: members of the contract are always
// there.
func orNull[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

// page is the form of every list.
type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next_cursor"`
}

// acceptedBody answers a post.
type acceptedBody struct {
	ID        gateway.MessageID   `json:"id"`
	Account   gateway.AccountID   `json:"account"`
	To        *gateway.Recipient  `json:"to"`
	Type      gateway.ContentType `json:"type"`
	Priority  gateway.Priority    `json:"priority"`
	Status    gateway.Status      `json:"status"`
	Reference *string             `json:"reference"`
	CreatedAt instant             `json:"created_at"`
}

func newAcceptedBody(a *gateway.Accepted) acceptedBody {
	return acceptedBody{
		ID: a.ID, Account: a.Account, To: orNull(a.To), Type: a.Type, Priority: a.Priority, Status: a.Status,
		Reference: orNull(a.Reference), CreatedAt: instant(a.CreatedAt),
	}
}

// messageBody is a message as a reader sees it.
type messageBody struct {
	acceptedBody
	Provider          *gateway.ProviderName      `json:"provider"` // null once the account is gone
	ProviderMessageID *gateway.ProviderMessageID `json:"provider_message_id"`
	Batch             *gateway.BatchID           `json:"batch"`
	Metadata          map[string]string          `json:"metadata"`
	SendAt            instant                    `json:"send_at"`
	ExpiresAt         instant                    `json:"expires_at"`
	UpdatedAt         instant                    `json:"updated_at"`
	PossibleDuplicate bool                       `json:"possible_duplicate"`
	Error             *errorBody                 `json:"error"`
	Attempts          []attemptBody              `json:"attempts"`
	History           []historyBody              `json:"history"`
	Content           *gateway.Content           `json:"content"` // null once it is purged
}

type errorBody struct {
	Class  gateway.Class `json:"class"`
	Code   *string       `json:"code"`
	Title  *string       `json:"title"`
	Detail *string       `json:"detail"`
}

func newErrorBody(e *gateway.Error) *errorBody {
	if e == nil {
		return nil
	}
	return &errorBody{Class: e.Class, Code: orNull(e.Code), Title: orNull(e.Title), Detail: orNull(e.Detail)}
}

type attemptBody struct {
	Number    int              `json:"number"`
	StartedAt instant          `json:"started_at"`
	EndedAt   instant          `json:"ended_at"` // null while it is in flight
	Outcome   *gateway.Outcome `json:"outcome"`
	Code      *string          `json:"code"`
	Detail    *string          `json:"detail"`
}

type historyBody struct {
	Status gateway.Status `json:"status"`
	At     instant        `json:"at"`
}

func newMessageBody(r *gateway.Record, provider gateway.ProviderName, now time.Time) messageBody {
	b := messageBody{
		acceptedBody: acceptedBody{
			ID: r.ID, Account: r.Account, To: orNull(r.Recipient), Type: r.Content.Type, Priority: r.Priority,
			Status: r.StatusAt(now), Reference: orNull(r.Reference), CreatedAt: instant(r.CreatedAt),
		},
		Provider:          orNull(provider),
		ProviderMessageID: orNull(r.ProviderMessageID),
		Batch:             orNull(r.Batch),
		Metadata:          r.Metadata,
		SendAt:            instant(r.SendAt),
		ExpiresAt:         instant(r.ExpiresAt),
		UpdatedAt:         instant(r.UpdatedAt),
		PossibleDuplicate: r.PossibleDuplicate,
		Attempts:          make([]attemptBody, 0, len(r.Attempts)),
		History:           make([]historyBody, 0, len(r.History)),
	}
	if b.Metadata == nil {
		b.Metadata = map[string]string{}
	}
	if b.Status == gateway.StatusExpired && b.Status != r.Status {
		b.Error = &errorBody{Class: gateway.ClassExpired, Code: new("expired"), Title: new("its time to live ended before it was sent")}
	} else {
		b.Error = newErrorBody(r.Error)
	}
	for _, a := range r.Attempts {
		b.Attempts = append(b.Attempts, attemptBody{
			Number: a.Number, StartedAt: instant(a.StartedAt), EndedAt: instant(a.EndedAt),
			Outcome: orNull(a.Outcome), Code: orNull(a.Code), Detail: orNull(a.Detail),
		})
	}
	for _, h := range r.History {
		b.History = append(b.History, historyBody{Status: h.Status, At: instant(h.At)})
	}
	if !r.Purged {
		b.Content = &r.Content
	}
	return b
}

// accountBody is an account as operators see it.
type accountBody struct {
	ID             gateway.AccountID    `json:"id"`
	Provider       gateway.ProviderName `json:"provider"`
	Rate           float64              `json:"rate"`
	EffectiveRate  float64              `json:"effective_rate"`
	Paused         bool                 `json:"paused"`
	Hold           *holdBody            `json:"hold"`
	Breaker        gateway.BreakerState `json:"breaker"`
	Owner          *string              `json:"owner"`
	Lanes          lanesBody            `json:"lanes"`
	SentLastMinute int64                `json:"sent_last_minute"`
	DrainETA       instant              `json:"drain_eta"`
	Tier           *tierBody            `json:"tier"` // null: no limit
	Health         *healthBody          `json:"health"`
}

type healthBody struct {
	At        instant          `json:"at"`
	Connected bool             `json:"connected"`
	Detail    healthDetailBody `json:"detail"`
}

type healthDetailBody struct {
	Error  *errorBody            `json:"error"` // null: the provider answered
	Nodes  []nodeBody            `json:"nodes"`
	Stats  map[string]float64    `json:"stats"`
	Unread map[string]*errorBody `json:"unread"` // by page
}

type nodeBody struct {
	Name   *string    `json:"name"` // null: the only one
	Status *string    `json:"status"`
	Role   *string    `json:"role"`
	Error  *errorBody `json:"error"`
}

type holdBody struct {
	Until  instant       `json:"until"`
	Reason string        `json:"reason"`
	Scope  gateway.Scope `json:"scope"`
}

type tierBody struct {
	Limit     int     `json:"limit"`
	Used      int     `json:"used"`
	FullUntil instant `json:"full_until"` // null: there is room
	Parked    int64   `json:"parked"`
}

type lanesBody struct {
	Transactional laneBody `json:"transactional"`
	Bulk          laneBody `json:"bulk"`
}

type laneBody struct {
	Pending              int64   `json:"pending"`
	Active               int64   `json:"active"`
	Parked               int64   `json:"parked"`
	Scheduled            int64   `json:"scheduled"`
	OldestPendingSeconds float64 `json:"oldest_pending_seconds"`
	Paused               bool    `json:"paused"` // this lane alone
}

func newAccountBody(a *gateway.Account, s *gateway.AccountState, now time.Time) accountBody {
	b := accountBody{
		ID: a.ID, Provider: a.Provider, Rate: a.Rate, EffectiveRate: s.EffectiveRate, Paused: a.Paused || s.Paused,
		Breaker: s.Breaker, Owner: orNull(s.Owner),
		Lanes: lanesBody{
			Transactional: newLaneBody(s, gateway.Transactional),
			Bulk:          newLaneBody(s, gateway.Bulk),
		},
		SentLastMinute: s.SentLastMinute,
		DrainETA:       instant(drainETA(s, s.Lanes, now)),
	}
	if b.Breaker == "" {
		b.Breaker = gateway.BreakerClosed // nobody has called it yet
	}
	b.Health = newHealthBody(s.Health)
	if t := s.Tier; t != nil {
		b.Tier = &tierBody{Limit: t.Limit, Used: t.Used, FullUntil: instant(t.FullUntil), Parked: t.Parked}
	}
	if h := s.Hold; h != nil {
		b.Hold = &holdBody{Until: instant(h.Until), Reason: h.Reason, Scope: h.Scope}
	}
	return b
}

func newHealthBody(h *gateway.Health) *healthBody {
	if h == nil {
		return nil
	}
	b := &healthBody{At: instant(h.At), Connected: h.Connected}
	b.Detail = healthDetailBody{Error: newErrorBody(h.Error), Nodes: make([]nodeBody, 0, len(h.Nodes)), Stats: h.Stats, Unread: map[string]*errorBody{}}
	if b.Detail.Stats == nil {
		b.Detail.Stats = map[string]float64{}
	}
	for _, n := range h.Nodes {
		b.Detail.Nodes = append(b.Detail.Nodes, nodeBody{
			Name: orNull(n.Name), Status: orNull(n.Status), Role: orNull(n.Role), Error: newErrorBody(n.Error),
		})
	}
	for page, e := range h.Unread {
		b.Detail.Unread[page] = newErrorBody(e)
	}
	return b
}

func newLaneBody(s *gateway.AccountState, p gateway.Priority) laneBody {
	l := s.Lanes[p]
	return laneBody{
		Paused:  slices.Contains(s.PausedLanes, p),
		Pending: l.Pending, Active: l.Active, Parked: l.Parked, Scheduled: l.Scheduled,
		OldestPendingSeconds: float64(l.OldestPending.Milliseconds()) / 1000,
	}
}

// maxDrain is how far ahead an end is still worth a guess.
const maxDrain = 10 * 365 * 24 * time.Hour

// drainETA is when all of mine, which is some of what waits in the account's
// lanes, would be sent at the present rate: behind everything in its lane, and
// in those that go first. Zero if nothing waits, or if not all of it moves.
// Scheduled messages don't wait for the rate and don't count.
func drainETA(s *gateway.AccountState, mine map[gateway.Priority]gateway.LaneState, now time.Time) time.Time {
	waiting, ahead := int64(0), int64(0)
	for _, p := range gateway.Priorities() { // as they are served
		paused := slices.Contains(s.PausedLanes, p)
		if !paused {
			ahead += s.Lanes[p].Pending + s.Lanes[p].Parked
		}
		if lane := mine[p]; lane.Pending+lane.Parked > 0 {
			if paused {
				return time.Time{}
			}
			waiting = ahead
		}
	}
	if t := s.Tier; t != nil && t.Parked > 0 && !t.FullUntil.IsZero() {
		return time.Time{}
	}
	if waiting == 0 || s.EffectiveRate <= 0 {
		return time.Time{}
	}
	seconds := float64(waiting) / s.EffectiveRate
	if seconds > maxDrain.Seconds() {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds * float64(time.Second)))
}

// workerBody is a worker process as operators see it.
type workerBody struct {
	ID        string              `json:"id"`
	Host      string              `json:"host"`
	Revision  int64               `json:"revision"`
	StartedAt instant             `json:"started_at"`
	Accounts  []gateway.AccountID `json:"accounts"`
}

// suppressionBody is an entry of a do-not-send list.
type suppressionBody struct {
	Recipient gateway.Recipient        `json:"recipient"`
	Account   gateway.AccountID        `json:"account"`
	Scope     gateway.SuppressionScope `json:"scope"`
	Reason    string                   `json:"reason"`
	CreatedAt instant                  `json:"created_at"`
	Until     instant                  `json:"until"` // null: until it is removed
}

func newSuppressionBody(e *gateway.Suppressed) suppressionBody {
	return suppressionBody{
		Recipient: e.Recipient, Account: e.Account, Scope: e.Scope, Reason: e.Reason,
		CreatedAt: instant(e.CreatedAt), Until: instant(e.Until),
	}
}

// uploadBody says what became of a batch's lines.
type uploadBody struct {
	ID       gateway.BatchID `json:"id"`
	Accepted int64           `json:"accepted"`
	Rejected int64           `json:"rejected"`
	Errors   []lineErrorBody `json:"errors"` // the first
	Complete bool            `json:"complete"`
}

// lineErrorBody is what a line would have been answered had it been posted by
// itself.
type lineErrorBody struct {
	Index   int         `json:"index"`
	Problem problemBody `json:"problem"`
}

// batchBody is a batch as a reader sees it.
type batchBody struct {
	ID          gateway.BatchID          `json:"id"`
	Account     gateway.AccountID        `json:"account"`
	Total       int64                    `json:"total"`
	Counts      map[gateway.Status]int64 `json:"counts"`
	Complete    bool                     `json:"complete"`
	CreatedAt   instant                  `json:"created_at"`
	CancelledAt instant                  `json:"cancelled_at"`
	DrainETA    instant                  `json:"drain_eta"`
}

func newBatchBody(b *gateway.Batch, s *gateway.AccountState, now time.Time) batchBody {
	return batchBody{
		ID: b.ID, Account: b.Account, Total: b.Total, Counts: b.Counts, Complete: b.Complete,
		CreatedAt: instant(b.CreatedAt), CancelledAt: instant(b.CancelledAt), DrainETA: instant(drainETA(s, b.Lanes, now)),
	}
}
