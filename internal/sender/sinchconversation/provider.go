// Package sinchconversation speaks the Sinch Conversation API for one app and
// its WhatsApp channel: requests to POST /messages:send, their answers, and the
// webhooks that report what became of a message.
//
// A 200 means that Sinch has put the message into its queue. Whatever WhatsApp
// has to say of it (template, window, file) arrives later, as a delivery
// report. Every message carries our id as its metadata, and every report
// repeats it, so that a lost answer is settled by the first report.
package sinchconversation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// DefaultAuthURL is where access tokens come from, for all regions.
const DefaultAuthURL = "https://auth.sinch.com/oauth2/token"

// Settings is what one account of this provider needs.
type Settings struct {
	// BaseURL is where the API is; empty: https://{region}.conversation.api.sinch.com.
	BaseURL string
	// Region is us, eu or br. An app lives in one of them; the others answer 404.
	Region string
	// ProjectID and AppID name the app, and with it its WhatsApp sender.
	ProjectID, AppID string
	// KeyID and KeySecret are the access key that tokens are fetched with.
	KeyID, KeySecret string
	// AuthURL is where tokens come from; empty: DefaultAuthURL.
	AuthURL string
	// WebhookSecrets are the keys that webhooks may be signed with: one, or two
	// during a rotation. Empty ones are ignored, for a signature made with an
	// empty key proves nothing. None: no webhook is authentic.
	WebhookSecrets []string
	// Sender is the number that the app sends from. It is for people only: the
	// app decides.
	Sender gateway.SenderNumber
	// Client fetches tokens; nil: http.DefaultClient. Messages don't go through
	// it.
	Client *http.Client
}

// Provider is the dialect for one account. Beyond its settings it holds the
// access token. It is safe for concurrent use, and has nothing to be closed.
type Provider struct {
	settings   Settings
	endpoint   string
	tokens     *tokens
	recoveries recoveries
	secrets    [][]byte // of webhooks
	redactor   *strings.Replacer
}

var (
	_ sender.Provider  = (*Provider)(nil)
	_ sender.Preparer  = (*Provider)(nil)
	_ sender.Recoverer = (*Provider)(nil)
	_ sender.Finder    = (*Provider)(nil)
)

// New makes the provider of one account. It does not connect.
func New(s Settings) *Provider {
	base := strings.TrimRight(s.BaseURL, "/")
	if base == "" {
		base = "https://" + s.Region + ".conversation.api.sinch.com"
	}
	if s.AuthURL == "" {
		s.AuthURL = DefaultAuthURL
	}
	if s.Client == nil {
		s.Client = http.DefaultClient
	}
	p := &Provider{
		settings: s,
		// The colon is literal: escaped, it is another path to Sinch.
		endpoint: base + "/v1/projects/" + url.PathEscape(s.ProjectID) + "/messages",
		tokens:   newTokens(s),
	}
	var pairs []string
	for _, secret := range append([]string{s.KeySecret}, s.WebhookSecrets...) {
		if secret != "" {
			pairs = append(pairs, secret, redacted)
		}
	}
	p.redactor = strings.NewReplacer(pairs...)
	for _, secret := range s.WebhookSecrets {
		if secret != "" {
			p.secrets = append(p.secrets, []byte(secret))
		}
	}
	return p
}

// String names the app and none of the credentials, for whoever prints a
// provider.
func (p *Provider) String() string {
	s := dialect + " app " + p.settings.AppID
	if p.settings.Sender != "" {
		s += " sender " + string(p.settings.Sender)
	}
	return s
}

// GoString is String: %#v would print the credentials.
func (p *Provider) GoString() string { return p.String() }

// Check implements sender.Provider.
func (p *Provider) Check(m *gateway.Message) []gateway.FieldError {
	_, problems := render(m, gateway.ProviderMessageID(m.ReplyTo))
	return problems
}

// Prepare implements sender.Preparer: it fetches an access token if that is
// due.
func (p *Provider) Prepare(ctx context.Context) {
	_, _ = p.tokens.get(ctx) // NewRequest finds the error too
}

// NewRequest implements sender.Provider. It needs an access token, and fetches
// one if Prepare hasn't; an error in that is a *gateway.Error of class
// suspended, throttled or transient. A message that Check would refuse is a permanent
// error: an account may have changed its provider since the message was
// accepted.
func (p *Provider) NewRequest(ctx context.Context, c sender.Call) (*http.Request, error) {
	message, problems := render(c.Message, c.ReplyTo)
	if len(problems) > 0 {
		return nil, sender.Unsupported(dialect, problems)
	}
	body, err := encode(sendRequest{
		AppID: p.settings.AppID,
		Recipient: recipient{IdentifiedBy: identifiedBy{ChannelIdentities: []channelIdentity{
			{Channel: channelWhatsApp, Identity: c.Message.Recipient.Digits()},
		}}},
		Message:  message,
		Metadata: metadataOf(c.Message.ID, c.Attempt),
		TTL:      ttl(c.Message.ExpiresAt),
	})
	if err != nil {
		return nil, fmt.Errorf("encode message %s: %w", c.Message.ID, err)
	}
	token, err := p.tokens.get(ctx)
	if err != nil {
		return nil, p.loginError(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint+":send", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request for message %s: %w", c.Message.ID, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// Recover implements sender.Recoverer. It does what a 401 asks for: the token
// that was refused is not used again, and if it had expired a new one is
// fetched, at once and for everybody, and the call may be made again, once. Any
// other 401 is about the key itself.
func (p *Provider) Recover(ctx context.Context, c sender.Call, a sender.Answer) (again bool) {
	if a.Status != http.StatusUnauthorized {
		return false
	}
	p.tokens.drop()
	if !saysExpired(a.Header) || !p.recoveries.first(c) {
		return false
	}
	_, err := p.tokens.get(ctx)
	return err == nil
}

// saysExpired reports whether a 401 is about the token's age.
func saysExpired(h http.Header) bool {
	return strings.Contains(strings.ToLower(strings.Join(h.Values("WWW-Authenticate"), " ")), "expired")
}

// recoveries remembers which attempts have had their second call.
type recoveries struct {
	mu   sync.Mutex
	seen map[attemptKey]time.Time
}

type attemptKey struct {
	message gateway.MessageID
	attempt int
}

// recoveryKept is longer than any attempt takes.
const recoveryKept = 10 * time.Minute

func (r *recoveries) first(c sender.Call) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, at := range r.seen {
		if time.Since(at) > recoveryKept {
			delete(r.seen, key)
		}
	}
	key := attemptKey{c.Message.ID, c.Attempt}
	if _, again := r.seen[key]; again {
		return false
	}
	if r.seen == nil {
		r.seen = map[attemptKey]time.Time{}
	}
	r.seen[key] = time.Now()
	return true
}

// encode leaves <, > and & as they are, which people read.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// The bounds of a time to live, in seconds.
const (
	minTTL = 3
	maxTTL = 315_576_000_000
)

// ttl is the time a message has left, for Sinch's queue may hold it for hours
// after it was accepted. A message without an end has none.
func ttl(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	left := int64(time.Until(expires) / time.Second)
	return strconv.FormatInt(min(max(left, minTTL), maxTTL), 10) + "s"
}

// attemptMark divides our id from the attempt in the metadata.
const attemptMark = "#"

// metadataOf is what every report of the message repeats: our id, and from the
// second attempt on its number, so that people can tell them apart at Sinch.
func metadataOf(id gateway.MessageID, attempt int) string {
	if id == "" || attempt <= 1 {
		return string(id)
	}
	return string(id) + attemptMark + strconv.Itoa(attempt)
}

// messageOf reads metadata back. What isn't ours gives "": other systems may
// send through the same app.
func messageOf(metadata string) gateway.MessageID {
	id, attempt, marked := strings.Cut(metadata, attemptMark)
	if marked {
		if n, err := strconv.Atoi(attempt); err != nil || n < 1 {
			return ""
		}
	}
	if m := gateway.MessageID(id); m.Valid() {
		return m
	}
	return ""
}
