// Package whatsapponprem speaks the on-premises WhatsApp Business API, which
// Meta ended in October 2025, for the hosts that go on speaking it: requests to
// POST /v1/messages, their answers, logins, and the flat callbacks that report
// what became of a message. One host is one sending number.
package whatsapponprem

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// dialect is how messages to people name this system.
const dialect = "whatsapp-onprem"

// Settings is what one account of this provider needs. The host knows the
// account by Username and Password, which log in for a token, or by a Token
// that lasts, or by an APIKey; the first of them that is set is used.
type Settings struct {
	BaseURL string // without /v1

	Username, Password string
	// NewPassword replaces Password where the host demands that at the first
	// login, and is tried where Password is refused. Empty: the account is
	// suspended then.
	NewPassword string
	Token       string // Authorization: Bearer
	APIKey      string // D360-API-KEY

	Namespace string // of the templates; empty: they are refused
	WAAPIKey  string // reads health, statistics and metrics; empty: the account's own credentials do

	// Callbacks carry no signature. They need CallbackToken in their query, or
	// must come from the networks of CallbackAllow; both, if both are set. With
	// neither, every one is refused.
	CallbackToken string
	CallbackAllow []netip.Prefix

	// Client makes the calls that are no message's: logins, checks of contacts,
	// health. It trusts the host's certificate. nil: one that trusts the
	// system's. Redirects are never followed.
	Client *http.Client
	Now    func() time.Time // nil: time.Now
}

// How much is remembered: attempts that may still be in flight, and recipients
// that the host knows under another number.
const (
	maxAttempts = 2048
	maxAliases  = 8192
)

// Provider implements sender.Provider, sender.Preparer, sender.Recoverer,
// sender.Reporter and sender.Uploader, and reads the callbacks. It is safe for
// concurrent use. What it remembers is a convenience: nothing is lost with it
// but a round trip.
type Provider struct {
	settings Settings
	client   *http.Client
	session  *session     // nil without a login
	changed  bool         // the password is NewPassword; guarded by the session's turn
	denied   atomic.Int64 // uploads in a row that were refused for their token
	attempts *recent[attemptKey, attemptState]
	aliases  *recent[gateway.Recipient, string] // the host's number for a recipient
	redactor atomic.Pointer[strings.Replacer]
	figures  figures
}

var (
	_ sender.Provider  = (*Provider)(nil)
	_ sender.Preparer  = (*Provider)(nil)
	_ sender.Recoverer = (*Provider)(nil)
	_ sender.Reporter  = (*Provider)(nil)
	_ sender.Uploader  = (*Provider)(nil)
)

// attemptKey names one attempt.
type attemptKey struct {
	message gateway.MessageID
	number  int
}

func keyOf(c sender.Call) attemptKey { return attemptKey{message: c.Message.ID, number: c.Attempt} }

// attemptState is what Recover must know of an attempt.
type attemptState struct {
	generation uint64 // of the token it was last sent with
	loggedIn   bool   // anew, for it
	resolved   bool   // its recipient was looked up for it
	verdict    error  // what NewRequest has to say in place of a request
}

// New makes the provider of one host. It does not connect.
func New(s Settings) *Provider {
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	if s.Now == nil {
		s.Now = time.Now
	}
	client := http.Client{}
	if s.Client != nil {
		client = *s.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := &Provider{
		settings: s, client: &client,
		attempts: newRecent[attemptKey, attemptState](maxAttempts),
		aliases:  newRecent[gateway.Recipient, string](maxAliases),
		figures:  figures{pages: map[string]told{}},
	}
	if s.Username != "" {
		p.session = newSession(s.Now, p.logIn)
	}
	p.redact()
	return p
}

// redact makes clean remove the account's secrets and the given ones.
func (p *Provider) redact(more ...string) {
	s := &p.settings
	secrets := append([]string{s.Token, s.APIKey, s.WAAPIKey, s.CallbackToken}, more...)
	for _, password := range []string{s.NewPassword, s.Password} {
		if password != "" {
			basic := base64.StdEncoding.EncodeToString([]byte(s.Username + ":" + password))
			secrets = append(secrets, basic, password)
		}
	}
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	p.redactor.Store(strings.NewReplacer(pairs...))
}

// String names the host and none of the credentials, for whoever prints a
// provider.
func (p *Provider) String() string { return dialect + " at " + p.settings.BaseURL }

// MediaRule is the reference's table of media. Any type makes a document.
func (p *Provider) MediaRule(kind gateway.MediaKind) gateway.MediaRule {
	const kilobyte, megabyte = 1 << 10, 1 << 20
	switch kind {
	case gateway.MediaImage:
		return gateway.MediaRule{MaxBytes: 5 * megabyte, Types: []string{"image/jpeg", "image/png"}}
	case gateway.MediaVideo:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{"video/mp4", "video/3gpp"}}
	case gateway.MediaAudio:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{
			"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg",
		}}
	case gateway.MediaDocument:
		return gateway.MediaRule{MaxBytes: 100 * megabyte, Types: []string{"*/*"}}
	case gateway.MediaSticker:
		return gateway.MediaRule{MaxBytes: 100 * kilobyte, StillOnly: true, Types: []string{"image/webp"}}
	}
	return gateway.MediaRule{}
}

// Prepare logs in if that is due.
func (p *Provider) Prepare(ctx context.Context) {
	if p.session != nil {
		_, _ = p.session.get(ctx) // NewRequest tells what went wrong
	}
}

// NewRequest renders the call, and logs in before where that is due. What
// Check would refuse is a permanent error here too: an account may have changed
// its provider since the message was accepted. A login that fails is an error
// of class suspended, throttled or transient; what Recover has learned ends the
// attempt too. Other errors are defects: a base URL that is none, or raw
// parameters that are no JSON.
func (p *Provider) NewRequest(ctx context.Context, c sender.Call) (*http.Request, error) {
	if refused := p.Check(c.Message); len(refused) > 0 {
		return nil, sender.Unsupported(dialect, refused)
	}
	key := keyOf(c)
	if verdict := p.takeVerdict(key); verdict != nil {
		return nil, verdict
	}
	body, err := encode(newRequest(c, p.to(c.Message.Recipient), p.settings.Namespace))
	if err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.settings.BaseURL+"/v1/messages", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	req.Header = jsonHeader()
	generation, refused := p.authorize(ctx, req.Header)
	if refused != nil {
		return nil, refused
	}
	if p.session != nil {
		p.attempts.update(key, func(s *attemptState) { s.generation = generation })
	}
	return req, nil
}

func (p *Provider) takeVerdict(key attemptKey) error {
	verdict := p.attempts.get(key).verdict
	if verdict != nil {
		p.attempts.update(key, func(s *attemptState) { s.verdict = nil })
	}
	return verdict
}

// to is the recipient as the host knows them.
func (p *Provider) to(r gateway.Recipient) string {
	if alias := p.aliases.get(r); alias != "" {
		return alias
	}
	return r.Digits()
}

// jsonHeader is what every call with a body says of itself.
func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
}

// encode writes JSON as hosts expect it: nothing escaped for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
