package simulator

import (
	"log/slog"
	"net/http"
	"time"
)

// Dialect names a provider's system, as the gateway's configuration does.
type Dialect string

// The dialects spoken here.
const (
	WhatsAppCloud Dialect = "whatsapp-cloud"
	SinchWhatsApp Dialect = "sinch-whatsapp"
)

// Account is one sender the simulator knows. What a field means depends on the
// dialect.
type Account struct {
	ID          string // how the control endpoint names it
	Dialect     Dialect
	SenderID    string // Cloud: phone_number_id; Sinch v1: bot_id
	BusinessID  string // Cloud: the WABA's id
	Number      string // the number it sends from, with or without '+'
	Token       string // bearer token
	Secret      string // signs callbacks: Cloud app secret, Sinch callback key; empty: unsigned
	VerifyToken string // Cloud: of the verification challenge
	CallbackURL string // where the gateway receives; empty: no callbacks
	Rate        int    // requests in any sliding second; zero: no limit

	// PairEvery and PairBurst limit what one recipient is sent: one message
	// every PairEvery, PairBurst borrowed from the future. A zero PairEvery:
	// no such limit. Meta's own values are 6 s and 45.
	PairEvery time.Duration
	PairBurst int
}

// Delays is when each status is reported, counted from acceptance. A zero
// member leaves that status out. Failures are reported when "sent" would be.
type Delays struct {
	Dispatched time.Duration // Sinch only
	Sent       time.Duration
	Delivered  time.Duration
	Read       time.Duration
}

// DefaultDelays lets a person watch a message go through its statuses.
func DefaultDelays() Delays {
	return Delays{
		Dispatched: 50 * time.Millisecond, Sent: 150 * time.Millisecond,
		Delivered: 300 * time.Millisecond, Read: 600 * time.Millisecond,
	}
}

// CallbackOptions is how callbacks are carried. Zero members take the defaults
// named beside them.
type CallbackOptions struct {
	Workers    int           // calls at one time, 64
	Backlog    int           // messages with statuses to report, 1,000,000; beyond it they are dropped and counted
	Batch      int           // statuses of one account in one POST, 1
	Timeout    time.Duration // of one call, 10 s
	RetryFirst time.Duration // wait before the second try, 1 s; it doubles from try to try
	Tries      int           // 8
	Transport  http.RoundTripper
}

// Options is what New needs. The zero value of every member but Accounts is
// useful.
type Options struct {
	Accounts       []Account
	Delays         *Delays // nil: DefaultDelays
	Callbacks      CallbackOptions
	ThrottleStatus int  // HTTP status of Cloud throttles: 429 (default), 400 or 403, for documents disagree
	LedgerSize     int  // messages kept at least, 2,000,000
	NoMagic        bool // no recipient misbehaves by its digits
	RealCapability bool // Sinch v1 capability says false of …0003; else always true, as since 2023
	HexSignatures  bool // Sinch v1 signatures in hex; else base64, for documents don't say
	Logger         *slog.Logger
	Now            func() time.Time // stamps; timers always run on the real clock
}

func (o Options) withDefaults() Options {
	if o.Delays == nil {
		d := DefaultDelays()
		o.Delays = &d
	}
	c := &o.Callbacks
	c.Workers = orDefault(c.Workers, 64)
	c.Backlog = orDefault(c.Backlog, 1_000_000)
	c.Batch = orDefault(c.Batch, 1)
	c.Timeout = orDefault(c.Timeout, 10*time.Second)
	c.RetryFirst = orDefault(c.RetryFirst, time.Second)
	c.Tries = orDefault(c.Tries, 8)
	o.ThrottleStatus = orDefault(o.ThrottleStatus, http.StatusTooManyRequests)
	o.LedgerSize = orDefault(o.LedgerSize, 2_000_000)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
