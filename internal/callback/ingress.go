package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"sluice/internal/gateway"
)

// MaxBody is the longest body that is read, in bytes. Meta sends up to 3 MB in
// one callback (Cloud API reference, webhooks).
const MaxBody = 3<<20 + 256<<10

// roomForBodies bounds what is read at one time, for nobody is known before the
// whole body is there, in bytes.
const roomForBodies = 64 << 20

// The defaults of Options.
const (
	defaultBodyTimeout  = 10 * time.Second
	defaultStoreTimeout = 5 * time.Second
)

// Options is what an Ingress needs. Accounts and Store are required.
type Options struct {
	Accounts Accounts
	Store    Store

	// LinkSecret lists the secrets by which the account's per-message URLs may
	// have been made, several during rotation. None, or nil: no such URL is
	// valid.
	LinkSecret func(gateway.AccountID) [][]byte

	// OptOutWords lists what the account takes as "stop" (see
	// gateway.ReadConsent). None, or nil: the usual words.
	OptOutWords func(gateway.AccountID) []string

	// Provider names the account's provider, for metrics. It may be nil.
	Provider func(gateway.AccountID) gateway.ProviderName

	// Peer is where a request comes from. The default is the address of its
	// connection; behind a proxy, what a trusted header says.
	Peer func(*http.Request) netip.Addr

	BodyTimeout  time.Duration // for the whole body to arrive; zero: 10 s
	StoreTimeout time.Duration // for the store to confirm; zero: 5 s
	Metrics      *Metrics      // nil: not kept
	Log          *slog.Logger  // nil: discarded
}

// Ingress is the HTTP side of provider callbacks:
//
//	GET  /callbacks/{account}                                  verification challenge
//	POST /callbacks/{account}                                  callback
//	POST /callbacks/{account}/{message id}/{attempt}/{mac}     callback on the URL of one attempt
//
// Safe for concurrent use.
type Ingress struct {
	o    Options
	mux  *http.ServeMux
	room *semaphore.Weighted
}

// NewIngress fills in the defaults of o.
func NewIngress(o Options) *Ingress {
	if o.BodyTimeout <= 0 {
		o.BodyTimeout = defaultBodyTimeout
	}
	if o.StoreTimeout <= 0 {
		o.StoreTimeout = defaultStoreTimeout
	}
	if o.LinkSecret == nil {
		o.LinkSecret = func(gateway.AccountID) [][]byte { return nil }
	}
	if o.OptOutWords == nil {
		o.OptOutWords = func(gateway.AccountID) []string { return nil }
	}
	if o.Provider == nil {
		o.Provider = func(gateway.AccountID) gateway.ProviderName { return "" }
	}
	if o.Peer == nil {
		o.Peer = connectionPeer
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	in := &Ingress{o: o, mux: http.NewServeMux(), room: semaphore.NewWeighted(roomForBodies)}
	const plain, linked = "/callbacks/{account}", "/callbacks/{account}/{message}/{attempt}/{mac}"
	in.mux.HandleFunc("GET "+plain, in.challenge)
	in.mux.HandleFunc("POST "+plain, in.plain)
	in.mux.HandleFunc("POST "+linked, in.linked)
	in.mux.HandleFunc(plain, notAllowed("GET, HEAD, POST"))
	in.mux.HandleFunc(linked, notAllowed("POST"))
	in.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusNotFound) })
	return in
}

// ServeHTTP answers one request, as the package comment says.
func (in *Ingress) ServeHTTP(w http.ResponseWriter, r *http.Request) { in.mux.ServeHTTP(w, r) }

// challenge answers with the raw text: providers compare bytes, and a JSON
// string isn't what they sent.
func (in *Ingress) challenge(w http.ResponseWriter, r *http.Request) {
	account := accountOf(r)
	dialect, ok := in.o.Accounts.Dialect(account)
	if !ok {
		in.end(w, r, resultChallengeRefused, errors.New("no such account"))
		return
	}
	body, ok := dialect.Challenge(r.URL.Query())
	if !ok {
		in.end(w, r, resultChallengeRefused, nil)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	in.end(w, r, resultChallenged, nil)
	_, _ = io.WriteString(w, body) //nolint:gosec // plain text, not to be sniffed, for who knows the verify token
}

func (in *Ingress) plain(w http.ResponseWriter, r *http.Request) {
	res, err := in.receive(w, r, "")
	in.end(w, r, res, err)
}

func (in *Ingress) linked(w http.ResponseWriter, r *http.Request) {
	l, ok := parseLink(r.PathValue("account"), r.PathValue("message"), r.PathValue("attempt"), r.PathValue("mac"))
	if !ok || !l.check(in.o.LinkSecret(l.account)) {
		in.end(w, r, resultBadLink, nil)
		return
	}
	res, err := in.receive(w, r, l.message)
	in.end(w, r, res, err)
}

// receive takes one callback in. The message is the one a checked URL names,
// empty on the plain URL. The error is for the log.
func (in *Ingress) receive(w http.ResponseWriter, r *http.Request, message gateway.MessageID) (result, error) {
	// The body is read before the account is looked up, so that an oversized or
	// slow one doesn't tell which accounts exist.
	size := r.ContentLength
	if size < 0 || size > MaxBody {
		size = MaxBody
	}
	if !in.room.TryAcquire(size) {
		w.Header().Set("Retry-After", "1")
		return resultBusy, nil
	}
	defer in.room.Release(size)
	raw, res, err := in.read(w, r)
	if res != "" {
		return res, err
	}
	account := accountOf(r)
	dialect, ok := in.o.Accounts.Dialect(account)
	if !ok {
		return resultUnknownAccount, nil
	}
	if res, err := in.authenticate(r, dialect, raw, message); res != "" {
		return res, err
	}
	c, parseErr := dialect.Parse(raw)
	if !signed(dialect) {
		if namesOther(c, message) {
			return resultOtherMessage, nil
		}
		c.Inbound, c.Halts = nil, nil // the URL vouches for one message of ours, and for nobody's words
	}
	in.listen(&c, account)
	if foreign := correlate(&c, account, message); foreign > 0 {
		in.o.Metrics.foreignReceipts(in.provider(account), foreign)
		in.o.Log.DebugContext(r.Context(), "callback reports on messages of another account",
			"account", account, "receipts", foreign)
	}
	if res, err := in.apply(r, account, c); res == resultUnavailable {
		return res, err
	} else if parseErr == nil {
		return res, nil
	}
	if !json.Valid(raw) {
		return resultNotJSON, place(parseErr)
	}
	return resultUnreadable, place(parseErr)
}

// listen reads in what recipients wrote whether they want to be written to, and
// forgets the words.
func (in *Ingress) listen(c *gateway.Callback, account gateway.AccountID) {
	words := in.o.OptOutWords(account)
	for i := range c.Inbound {
		m := &c.Inbound[i]
		if m.Consent == "" {
			m.Consent = gateway.ReadConsent(m.Text, words)
		}
		m.Text = ""
	}
}

// read takes the whole body. A result other than "" ends the request.
func (in *Ingress) read(w http.ResponseWriter, r *http.Request) ([]byte, result, error) {
	if r.ContentLength > MaxBody {
		return nil, resultTooLarge, nil
	}
	// The server lifts the deadline at the body's end. Where it can't set one,
	// its own timeouts bound the read.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(in.o.BodyTimeout))
	buffer := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, resultTooLarge, nil
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		return nil, resultIncomplete, fmt.Errorf("read body: %w", err)
	}
	return buffer.Bytes(), "", nil
}

// authenticate returns the result that ends the request, or "".
func (in *Ingress) authenticate(r *http.Request, d Dialect, raw []byte, message gateway.MessageID) (result, error) {
	switch {
	case !allowed(d, in.o.Peer(r)):
		return resultPeerRefused, nil
	case signed(d):
		if err := d.Verify(r.Header, r.URL.Query(), raw); err != nil {
			return resultBadSignature, err
		}
	case message == "":
		return resultUnsigned, nil
	}
	return "", nil
}

func (in *Ingress) apply(r *http.Request, account gateway.AccountID, c gateway.Callback) (result, error) {
	if c.Empty() {
		return resultIgnored, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), in.o.StoreTimeout)
	defer cancel()
	began := time.Now()
	err := in.o.Store.Apply(ctx, account, c)
	in.o.Metrics.applied(time.Since(began))
	if err != nil {
		return resultUnavailable, err
	}
	in.o.Metrics.stored(in.provider(account), c.Receipts)
	in.o.Log.DebugContext(r.Context(), "callback stored",
		"account", account, "receipts", len(c.Receipts), "inbound", len(c.Inbound), "halts", len(c.Halts))
	return resultStored, nil
}

// end counts the result, logs a refusal and writes the answer's status.
func (in *Ingress) end(w http.ResponseWriter, r *http.Request, res result, err error) {
	account := accountOf(r)
	in.o.Metrics.ended(in.provider(account), res)
	status := res.status()
	if status == http.StatusOK {
		w.WriteHeader(status)
		return
	}
	if !account.Valid() {
		account = "(not an account's name)" // else anyone could write into the log
	}
	attrs := []slog.Attr{slog.String("account", string(account)), slog.String("reason", string(res))}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	in.o.Log.LogAttrs(r.Context(), slog.LevelWarn, "callback refused", attrs...)
	problem(w, status)
}

func (in *Ingress) provider(account gateway.AccountID) gateway.ProviderName {
	if p := in.o.Provider(account); slices.Contains(gateway.ProviderNames(), p) {
		return p
	}
	return noProvider
}

func accountOf(r *http.Request) gateway.AccountID { return gateway.AccountID(r.PathValue("account")) }

func connectionPeer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// correlate gives each receipt without a message the one its URL names, and
// drops receipts that name nothing at all. Correlation data that isn't ours, or
// names a message of another account, proves nothing here and is taken away;
// the provider's id may still match. It returns how many named another
// account's message.
func correlate(c *gateway.Callback, account gateway.AccountID, message gateway.MessageID) (foreign int) {
	for i := range c.Receipts {
		r := &c.Receipts[i]
		switch {
		case r.Message == "":
			r.Message = message
		case !r.Message.Valid():
			r.Message = ""
		case r.Message.Tag() != account.Tag():
			r.Message = ""
			foreign++
		}
	}
	c.Receipts = slices.DeleteFunc(c.Receipts, func(r gateway.Receipt) bool {
		return r.Message == "" && r.ProviderMessageID == ""
	})
	return foreign
}

// namesOther reports whether a receipt claims another message than the one the
// URL vouches for.
func namesOther(c gateway.Callback, message gateway.MessageID) bool {
	return slices.ContainsFunc(c.Receipts, func(r gateway.Receipt) bool {
		return r.Message != "" && r.Message != message
	})
}

// place reduces a decoding error to where it happened: its text may quote the
// body, and a body holds numbers of people.
func place(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s isn't a %s, at byte %d", e.Field, e.Type, e.Offset)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON, at byte %d", e.Offset)
	}
	return err
}
