package callback

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"sluice/internal/gateway"
)

// fakeDialect speaks a dialect of its own: signed with HMAC-SHA256 over the raw
// body in X-Signature, its JSON {"receipts":[{"message","id","status"}],
// "inbound":[{"from","text"}],"halts":[seconds]}, other keys ignored.
type fakeDialect struct {
	secret string
	token  string // of the challenge
}

const signatureHeader = "X-Signature"

func (d fakeDialect) Challenge(query url.Values) (string, bool) {
	if query.Get("token") != d.token {
		return "", false
	}
	return query.Get("challenge"), true
}

func (d fakeDialect) sign(raw []byte) string {
	mac := hmac.New(sha256.New, []byte(d.secret))
	mac.Write(raw)
	return hex.EncodeToString(mac.Sum(nil))
}

func (d fakeDialect) Verify(header http.Header, _ url.Values, raw []byte) error {
	if !hmac.Equal([]byte(header.Get(signatureHeader)), []byte(d.sign(raw))) {
		return errors.New("signature doesn't match")
	}
	return nil
}

func (d fakeDialect) Parse(raw []byte) (gateway.Callback, error) {
	var envelope struct {
		Receipts []json.RawMessage `json:"receipts"`
		Inbound  []struct {
			From gateway.Recipient `json:"from"`
			Text string            `json:"text"`
		} `json:"inbound"`
		Halts []int `json:"halts"`
	}
	var c gateway.Callback
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return c, err
	}
	var errs []error
	for _, one := range envelope.Receipts {
		var r struct {
			Message gateway.MessageID         `json:"message"`
			ID      gateway.ProviderMessageID `json:"id"`
			Status  gateway.Status            `json:"status"`
			Part    int8                      `json:"part"` // a number json quotes when it doesn't fit
		}
		if err := json.Unmarshal(one, &r); err != nil {
			errs = append(errs, err)
			continue
		}
		c.Receipts = append(c.Receipts, gateway.Receipt{Message: r.Message, ProviderMessageID: r.ID, Status: r.Status})
	}
	for _, in := range envelope.Inbound {
		c.Inbound = append(c.Inbound, gateway.Inbound{From: in.From, Text: in.Text})
	}
	for _, seconds := range envelope.Halts {
		c.Halts = append(c.Halts, gateway.Halt{For: time.Duration(seconds) * time.Second, Outcome: gateway.OutcomeThrottled})
	}
	return c, errors.Join(errs...)
}

// unsignedDialect is one whose callbacks carry no signature.
type unsignedDialect struct{ fakeDialect }

func (unsignedDialect) Signed() bool { return false }

func (unsignedDialect) Verify(http.Header, url.Values, []byte) error {
	return errors.New("an unsigned dialect was asked to verify")
}

// networkDialect trusts its networks and nothing else.
type networkDialect struct {
	fakeDialect
	network netip.Prefix
}

func (networkDialect) Verify(http.Header, url.Values, []byte) error { return nil }

func (d networkDialect) Allowed(peer netip.Addr) bool { return d.network.Contains(peer) }

type fakeAccounts map[gateway.AccountID]Dialect

func (a fakeAccounts) Dialect(id gateway.AccountID) (Dialect, bool) {
	d, ok := a[id]
	return d, ok
}

type applied struct {
	Account  gateway.AccountID
	Callback gateway.Callback
}

// fakeStore keeps what it is given, or fails as it is told.
type fakeStore struct {
	mu     sync.Mutex
	err    error
	hang   bool // until the context ends
	stored []applied
}

func (s *fakeStore) Apply(ctx context.Context, account gateway.AccountID, c gateway.Callback) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		<-ctx.Done()
		return errors.Join(gateway.ErrUnavailable, ctx.Err())
	}
	if s.err != nil {
		return s.err
	}
	s.stored = append(s.stored, applied{account, c})
	return nil
}

func (s *fakeStore) got() []applied {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}
