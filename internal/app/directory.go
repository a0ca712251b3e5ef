package app

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"sluice/internal/api"
	"sluice/internal/callback"
	"sluice/internal/callback/outbound"
	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/netguard"
	"sluice/internal/sender"
)

// Directory is the configuration in force. Readers see one version or the
// next, never a mixture. It is safe for concurrent use.
type Directory struct{ now atomic.Pointer[snapshot] }

// snapshot is one version, never changed.
type snapshot struct {
	config   *config.Config
	accounts map[gateway.AccountID]*account
	ids      []gateway.AccountID // sorted
	keys     map[[32]byte]api.Key
	guard    *netguard.Guard
	fetch    http.RoundTripper // stands on guard
	links    *callback.Links
	whsec    [][]byte // sign callbacks to callers
}

// account is one account with what speaks its provider's dialect.
type account struct {
	gateway.Account
	config      config.Account
	provider    provider
	client      *http.Client // to the provider
	ca          []byte       // what ca_file holds
	linkSecrets [][]byte     // of per-message callback URLs, the one in use first
	optOutWords []string     // empty: the usual ones
}

// poller is who can be asked for the status of the account's messages; nil where
// callbacks tell it. Without the secret that they are signed with none is.
func (a *account) poller() sender.Poller {
	if a.config.AppSecret != "" {
		return nil
	}
	p, _ := a.provider.(sender.Poller)
	return p
}

// finder is who can be asked whether the provider has a message whose answer was
// lost; nil where nobody can.
func (a *account) finder() sender.Finder {
	f, _ := a.provider.(sender.Finder)
	return f
}

// NewDirectory makes the directory of a configuration.
func NewDirectory(c *config.Config) (*Directory, error) {
	d := &Directory{}
	return d, d.Replace(c)
}

// Replace puts another configuration in force. If it can't be, the one before
// stays.
func (d *Directory) Replace(c *config.Config) error {
	s, err := newSnapshot(c, d.now.Load())
	if err != nil {
		return err
	}
	if before := d.now.Swap(s); before != nil {
		before.close()
	}
	return nil
}

// Close ends the idle connections of what was fetched.
func (d *Directory) Close() {
	if s := d.now.Load(); s != nil {
		s.close()
	}
}

// close ends the idle connections; those in use are closed when they become
// idle. Clients that the next version goes on with lose a few warm connections.
func (s *snapshot) close() {
	(&http.Client{Transport: s.fetch}).CloseIdleConnections()
	for _, a := range s.accounts {
		a.client.CloseIdleConnections()
	}
}

// newSnapshot makes the next version. An account that didn't change goes on
// with its provider, and so with the tokens that has; one that did still knows
// the secrets of the version before, which callbacks on their way were signed
// with.
func newSnapshot(c *config.Config, before *snapshot) (*snapshot, error) {
	guard, err := netguard.New(c.Network.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("network.allow_hosts: %w", err)
	}
	s := &snapshot{
		config:   c,
		accounts: make(map[gateway.AccountID]*account, len(c.Accounts)),
		keys:     make(map[[32]byte]api.Key, len(c.API.Keys)),
		guard:    guard,
		fetch:    guard.Transport(nil),
		links:    callback.NewLinks(c.API.PublicURL),
	}
	var errs []error
	for i, secret := range c.Callbacks.Secrets {
		key, err := outbound.ParseSecret(string(secret))
		if err != nil {
			errs = append(errs, fmt.Errorf("callbacks.secrets[%d]: %w", i, err))
			continue
		}
		s.whsec = append(s.whsec, key)
	}
	shared := providerClient(nil)
	for i, a := range c.Accounts {
		var last *account
		if before != nil {
			last = before.accounts[a.ID]
		}
		next, err := newAccount(a, last, shared)
		if err != nil {
			errs = append(errs, fmt.Errorf("accounts[%d].%w", i, err))
			continue
		}
		next.Account = c.GatewayAccount(a)
		s.accounts[a.ID] = next
		s.ids = append(s.ids, a.ID)
	}
	slices.Sort(s.ids)
	for _, k := range c.API.Keys {
		s.keys[k.Sum()] = apiKey(k)
	}
	return s, errors.Join(errs...)
}

func apiKey(k config.Key) api.Key {
	key := api.Key{
		Name:    k.Name,
		Send:    slices.Contains(k.Scopes, config.ScopeSend),
		Read:    slices.Contains(k.Scopes, config.ScopeRead),
		Operate: slices.Contains(k.Scopes, config.ScopeOperate),
	}
	for _, name := range k.Accounts {
		if name == config.EveryAccount {
			key.All = true
			continue
		}
		key.Accounts = append(key.Accounts, gateway.AccountID(name))
	}
	return key
}

// Account implements api.Directory.
func (d *Directory) Account(id gateway.AccountID) (gateway.Account, bool) {
	a, ok := d.now.Load().accounts[id]
	if !ok {
		return gateway.Account{}, false
	}
	return a.Account, true
}

// Accounts implements api.Directory. The slice is not to be changed.
func (d *Directory) Accounts() []gateway.AccountID { return d.now.Load().ids }

// Key implements api.Directory.
func (d *Directory) Key(hash [32]byte) (api.Key, bool) {
	k, ok := d.now.Load().keys[hash]
	return k, ok
}

// Check implements api.Checker.
func (d *Directory) Check(id gateway.AccountID, m *gateway.Message) []gateway.FieldError {
	a, ok := d.now.Load().accounts[id]
	if !ok {
		return nil
	}
	return a.provider.Check(m)
}

// fetch makes a request for what users link to, through the guard in force.
func (d *Directory) fetch(r *http.Request) (*http.Response, error) {
	return d.now.Load().fetch.RoundTrip(r)
}

// CheckURL says why a callback URL may not be called.
func (d *Directory) CheckURL(url string) error { return d.now.Load().guard.CheckURL(url) }

// Dialect implements callback.Accounts.
func (d *Directory) Dialect(id gateway.AccountID) (callback.Dialect, bool) {
	a, ok := d.now.Load().accounts[id]
	if !ok {
		return nil, false
	}
	return a.provider, true
}

// LinkSecrets lists the secrets of an account's per-message callback URLs.
func (d *Directory) LinkSecrets(id gateway.AccountID) [][]byte {
	a, ok := d.now.Load().accounts[id]
	if !ok {
		return nil
	}
	return a.linkSecrets
}

// OptOutWords are the account's; none means the usual ones.
func (d *Directory) OptOutWords(id gateway.AccountID) []string {
	if a, ok := d.now.Load().accounts[id]; ok {
		return a.optOutWords
	}
	return nil
}

// Provider names an account's provider; empty if there is no such account.
func (d *Directory) Provider(id gateway.AccountID) gateway.ProviderName {
	if a, ok := d.now.Load().accounts[id]; ok {
		return a.Provider
	}
	return ""
}

// For implements sender.Links.
func (d *Directory) For(id gateway.AccountID, message gateway.MessageID, attempt int) string {
	s := d.now.Load()
	a, ok := s.accounts[id]
	if !ok || len(a.linkSecrets) == 0 {
		return ""
	}
	return s.links.For(id, a.linkSecrets[0], message, attempt)
}

// CallbackSecrets are the keys that callbacks to callers are signed with, the
// one in use first.
func (d *Directory) CallbackSecrets() [][]byte { return d.now.Load().whsec }

// Revision is the configuration's.
func (d *Directory) Revision() int64 { return d.now.Load().config.Revision() }

// Digest tells versions of the file apart, wherever they lie.
func (d *Directory) Digest() string { return d.now.Load().config.Digest() }

// retired stands for an account that has left the configuration: it is paused,
// and what it still has expires and goes as the defaults say.
func (d *Directory) retired(id gateway.AccountID) *account {
	a := &account{Account: d.now.Load().config.GatewayAccount(config.Account{ID: id})}
	a.Paused = true
	return a
}

// retention is how long an account's messages are kept. An account that has
// left the configuration keeps by the defaults.
func (d *Directory) retention(id gateway.AccountID) gateway.Retention {
	if a, ok := d.Account(id); ok {
		return a.Retention
	}
	c := d.now.Load().config
	return c.GatewayAccount(config.Account{}).Retention
}

// polls reports whether an account's messages are asked after.
func (d *Directory) polls(id gateway.AccountID) bool {
	a, ok := d.now.Load().accounts[id]
	return ok && a.poller() != nil
}

// lookups reports whether an account's unknown messages are looked for.
func (d *Directory) lookups(id gateway.AccountID) bool {
	a, ok := d.now.Load().accounts[id]
	return ok && a.finder() != nil
}

// tier is the account's; the zero one if it has none.
func (d *Directory) tier(id gateway.AccountID) gateway.Tier {
	a, _ := d.Account(id)
	return a.Tier
}

func (d *Directory) unknownGrace(gateway.AccountID) time.Duration {
	return d.now.Load().config.Defaults.UnknownGrace
}
