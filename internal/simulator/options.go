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
	WhatsAppCloud     Dialect = "whatsapp-cloud"
	SinchWhatsApp     Dialect = "sinch-whatsapp"
	WhatsAppV2        Dialect = "whatsapp-v2"
	WhatsAppOnPrem    Dialect = "whatsapp-onprem"
	SinchConversation Dialect = "sinch-conversation"
)

// Account is one sender the simulator knows. What a field means depends on the
// dialect. Requests tell their account by SenderID (Cloud, Sinch v1), Token
// (v2), Username, Token or APIKey (on-premises), ProjectID with AppID
// (Conversation).
type Account struct {
	ID          string // how the control endpoint names it
	Dialect     Dialect
	SenderID    string // Cloud: phone_number_id; Sinch v1: bot_id; v2: phone_number_id in callbacks; Conversation: the sender's id in Provisioning
	BusinessID  string // Cloud, v2: the WABA's id; Conversation: of the project's account in Provisioning; empty: there is none yet
	Number      string // the number it sends from, with or without '+'
	Token       string // bearer token; on-premises: one that never expires, of hosts without a login; Conversation: the sender's bearerToken in Provisioning
	Secret      string // signs callbacks: Cloud and v2 app secret, Sinch v1 callback key; empty: unsigned
	VerifyToken string // Cloud, v2: of the verification challenge
	CallbackURL string // where the gateway receives; empty: no callbacks
	Rate        int    // requests in any sliding second; zero: no limit

	// On-premises.
	Username      string // of POST /v1/users/login, which issues tokens
	Password      string
	FirstLogin    bool   // Password is the stack's first one: a login must bring new_password
	APIKey        string // header D360-API-KEY of compatible hosts, in place of a token
	MonitorKey    string // "Authorization: Apikey …", good for health, stats and metrics only
	Namespace     string // of templates; empty: any
	CallbackToken string // added to CallbackURL as callback_token, for nothing is signed; empty: not
	SentCallbacks bool   // "sent" is reported too, which is off by default

	// Conversation and Provisioning.
	ProjectID      string
	AppID          string
	KeyID          string // with KeySecret it gets OAuth2 tokens
	KeySecret      string
	Region         string        // EU, US or BR; empty: EU
	WebhookSecret  string        // signs callbacks to CallbackURL; empty: unsigned
	OverrideSecret string        // signs those to a request's callback_url; empty: WebhookSecret does
	Retention      time.Duration // how long messages can be listed; zero, as by default: never

	Templates []Template // that were approved, and those that weren't; nil: every template is known and fits
	Window    bool       // only templates reach who didn't write within 24 hours; others end as those to …0004
	OptIn     bool       // Sinch v1: what goes to who hasn't opted in ends as what goes to …0006

	// PairEvery and PairBurst limit what one recipient is sent: one message
	// every PairEvery, PairBurst borrowed from the future. A zero PairEvery:
	// no such limit. Meta's own values are 6 s and 45.
	PairEvery time.Duration
	PairBurst int
}

// Delays is when each status is reported, counted from acceptance. A zero
// member leaves that status out. Failures are reported when "sent" would be.
type Delays struct {
	Dispatched time.Duration // Sinch only; Conversation: MESSAGE_SUBMIT
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
	RetryFirst time.Duration // wait before the second try, 1 s; it doubles from try to try, on-premises it grows by as much
	Tries      int           // 8
	Transport  http.RoundTripper
}

// Options is what New needs. The zero value of every member but Accounts is
// useful.
type Options struct {
	Accounts       []Account
	Delays         *Delays // nil: DefaultDelays
	Callbacks      CallbackOptions
	ThrottleStatus int           // HTTP status of Cloud throttles: 429 (default), 400 or 403, for documents disagree
	LedgerSize     int           // messages kept at least, 2,000,000
	NoMagic        bool          // no recipient misbehaves by its digits
	RealCapability bool          // Sinch v1 capability says false of …0003, on-premises contacts invalid; else always true, as since 2023
	HexSignatures  bool          // Sinch v1 signatures in hex; else base64, for documents don't say
	AnyFile        bool          // ids of files that were never uploaded are taken
	LogoutOne      bool          // on-premises logout revokes the token it comes with; else all of the user, for documents disagree
	ProjectRate    int           // Conversation: requests of a project in any sliding second, 800; negative: no limit
	TokenLife      time.Duration // of tokens that are issued; zero: on-premises 7 days, OAuth2 3599 s
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
	if o.ProjectRate == 0 {
		o.ProjectRate = 800
	}
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
