package callback

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"

	"sluice/internal/gateway"
)

// Dialect is the callback side of one account's provider. Implementations are
// safe for concurrent use.
type Dialect interface {
	// Challenge answers a verification request with the body to send back; not
	// ok if the token is wrong or the dialect knows no challenge.
	Challenge(query url.Values) (body string, ok bool)

	// Verify says whether the callback comes from the provider: by a signature
	// over the raw body, or a token in the query. It compares in constant time.
	// Its error is logged: it names what was wrong, and holds neither the
	// expected nor the given value.
	Verify(header http.Header, query url.Values, raw []byte) error

	// Parse reads a body that Verify has let pass. Keys it doesn't know are no
	// error. With an error it may still return what it could read; that is
	// stored too. The callback is the caller's to change.
	Parse(raw []byte) (gateway.Callback, error)
}

// signer is implemented by dialects whose callbacks may carry nothing that
// Verify could check. While Signed is false Verify isn't asked, and only a
// per-message URL authenticates. A dialect without it is signed.
type signer interface {
	Signed() bool
}

// restricted is implemented by dialects that take callbacks from certain
// networks only. It is asked beside Verify, not instead of it: a dialect whose
// only protection are its networks lets Verify pass everything.
type restricted interface {
	Allowed(peer netip.Addr) bool
}

func signed(d Dialect) bool {
	s, ok := d.(signer)
	return !ok || s.Signed()
}

func allowed(d Dialect, peer netip.Addr) bool {
	r, ok := d.(restricted)
	return !ok || r.Allowed(peer)
}

// Accounts finds the dialect of an account. Not ok: there is no such account,
// or its provider makes no callbacks. Safe for concurrent use.
type Accounts interface {
	Dialect(gateway.AccountID) (Dialect, bool)
}

// Store keeps what callbacks carry.
type Store interface {
	// Apply stores the callback's receipts and inbound messages for the
	// account. It is durable when the error is nil, and the same callback again
	// changes nothing. gateway.ErrUnavailable: not confirmed, ask again.
	Apply(ctx context.Context, account gateway.AccountID, c gateway.Callback) error
}
