package whatsapponprem

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapp"
)

// Why a callback isn't the host's, or isn't a callback.
var (
	ErrUnprotected = errors.New("neither callback_token nor callback_allow is configured")
	ErrToken       = errors.New("the " + tokenParameter + " in the query isn't the account's")
	ErrDialect     = errors.New("no callback of an on-premises WhatsApp Business API")
)

const tokenParameter = "callback_token"

// Challenge knows none: hosts send no verification request.
func (p *Provider) Challenge(url.Values) (body string, ok bool) { return "", false }

// Signed is always true: no callback passes unchecked.
func (p *Provider) Signed() bool { return true }

// Verify checks the token in the query. Without one configured it passes what
// Allowed let in, and nothing if no network is configured either. The body
// can't be checked: the dialect signs nothing.
func (p *Provider) Verify(_ http.Header, query url.Values, _ []byte) error {
	if p.settings.CallbackToken == "" {
		if len(p.settings.CallbackAllow) == 0 {
			return ErrUnprotected
		}
		return nil
	}
	given, want := sha256.Sum256([]byte(query.Get(tokenParameter))), sha256.Sum256([]byte(p.settings.CallbackToken))
	if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return ErrToken
	}
	return nil
}

// Allowed reports whether a callback may come from the address: from the
// networks configured, or from anywhere if none is but a token.
func (p *Provider) Allowed(peer netip.Addr) bool {
	if len(p.settings.CallbackAllow) == 0 {
		return p.settings.CallbackToken != ""
	}
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(p.settings.CallbackAllow, func(network netip.Prefix) bool { return network.Contains(peer) })
}

// status is one entry of statuses.
type status struct {
	ID        whatsapp.Loose `json:"id"`
	Type      whatsapp.Loose `json:"type"` // absent or "message"
	Status    whatsapp.Loose `json:"status"`
	Timestamp whatsapp.Loose `json:"timestamp"`
	Errors    []wireError    `json:"errors"`
}

// Parse reads a callback. It tolerates what it doesn't know, and leaves out
// single entries it can't read; an error means that the body is no callback of
// this dialect at all. Errors beside statuses speak of the host: they tell
// nothing of a message, but may halt the account, as may the reason why a
// message failed.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var body map[string]json.RawMessage
	if err := json.Unmarshal(raw, &body); err != nil || body == nil {
		return gateway.Callback{}, fmt.Errorf("%w: no JSON object", ErrDialect)
	}
	if _, cloud := body["entry"]; cloud {
		return gateway.Callback{}, fmt.Errorf("%w: an envelope of the Cloud API", ErrDialect)
	}
	var out gateway.Callback
	for _, raw := range entries(body["statuses"]) {
		var s status
		if whatsapp.Decode(raw, &s) != nil {
			continue
		}
		r, why, ok := p.receipt(&s)
		if ok {
			out.Receipts = append(out.Receipts, r)
			out.Halt(why, r.At)
		}
	}
	for _, raw := range entries(body["errors"]) {
		var w wireError
		if whatsapp.Decode(raw, &w) == nil {
			out.Halt(p.reason([]wireError{w}), time.Time{})
		}
	}
	seen := map[whatsapp.Loose]bool{} // hosts may repeat a message within one callback
	for _, raw := range entries(body["messages"]) {
		var m whatsapp.Message
		if whatsapp.Decode(raw, &m) != nil || m.ID != "" && seen[m.ID] {
			continue
		}
		seen[m.ID] = true
		out.Inbound = append(out.Inbound, inbound(&m)...)
	}
	return out, nil
}

// entries splits a list, so that one odd entry spoils no other.
func entries(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if len(raw) == 0 || whatsapp.Decode(raw, &list) != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(entry json.RawMessage) bool { return !bytes.HasPrefix(bytes.TrimSpace(entry), []byte("{")) })
}

// receipt reads one status. "deleted" is what the customer did to a message of
// theirs, "warning" speaks of a catalogue: neither says what became of ours. why
// is why a message failed.
func (p *Provider) receipt(s *status) (r gateway.Receipt, why gateway.Result, ok bool) {
	r = gateway.Receipt{ProviderMessageID: gateway.ParseProviderMessageID(string(s.ID)), At: s.Timestamp.Instant()}
	if r.ProviderMessageID == "" || s.Type != "" && s.Type != "message" {
		return r, why, false
	}
	switch s.Status {
	case "sending":
		r.Status = gateway.StatusAccepted
	case "sent":
		r.Status = gateway.StatusSent
	case "delivered":
		r.Status = gateway.StatusDelivered
	case "read":
		r.Status = gateway.StatusRead
	case "failed":
		r.Status = gateway.StatusFailed
		why = p.reason(s.Errors)
		r.Error, r.Suppress = why.Error, why.Suppress
		r.LostFile = slices.ContainsFunc(s.Errors, func(w wireError) bool {
			code, _ := w.Code.Number()
			return code == codeCloudMedia || lostFile(w)
		})
	default:
		return r, why, false
	}
	return r, why, true
}

// reason is why a message failed, by the first error that has a code. A code
// that isn't documented is permanent: hosts report failures when they have
// given up.
func (p *Provider) reason(errs []wireError) gateway.Result {
	for _, w := range errs {
		code, ok := w.Code.Number()
		if !ok {
			continue
		}
		return p.result(judge(0, code, w), nil, p.describe(code, w))
	}
	return p.result(permanent(), nil, &gateway.Error{Title: "failed without an error code"})
}

// inbound reads what one message means to sending. Reactions say nothing; nor
// does what is said in a group, for it isn't said to us.
func inbound(m *whatsapp.Message) []gateway.Inbound {
	if m.GroupID != "" {
		return nil
	}
	return m.Inbound("reaction", "unknown", "unsupported")
}
