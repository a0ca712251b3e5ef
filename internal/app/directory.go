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
	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/netguard"
	"sluice/internal/sender"
	"sluice/internal/sender/sinchwhatsapp"
	"sluice/internal/sender/whatsappcloud"
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
}

// account is one account with what speaks its provider's dialect.
type account struct {
	gateway.Account
	provider   provider
	linkSecret []byte // of per-message callback URLs
}

// provider is both sides of a dialect.
type provider interface {
	sender.Provider
	callback.Dialect
}

// NewDirectory makes the directory of a configuration.
func NewDirectory(c *config.Config) (*Directory, error) {
	d := &Directory{}
	return d, d.Replace(c)
}

// Replace puts another configuration in force. If it can't be, the one before
// stays.
func (d *Directory) Replace(c *config.Config) error {
	s, err := newSnapshot(c)
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

func (s *snapshot) close() { (&http.Client{Transport: s.fetch}).CloseIdleConnections() }

func newSnapshot(c *config.Config) (*snapshot, error) {
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
	for i, a := range c.Accounts {
		p, secret, err := newProvider(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("accounts[%d].provider: %w", i, err))
			continue
		}
		s.accounts[a.ID] = &account{Account: c.GatewayAccount(a), provider: p, linkSecret: secret}
		s.ids = append(s.ids, a.ID)
	}
	slices.Sort(s.ids)
	for _, k := range c.API.Keys {
		s.keys[k.Sum()] = apiKey(k)
	}
	return s, errors.Join(errs...)
}

// newProvider makes what speaks an account's dialect, and names the secret that
// signs its per-message callback URLs. The token serves where there is no
// callback secret: both are known to us and the provider alone.
func newProvider(a config.Account) (p provider, linkSecret []byte, err error) {
	switch a.Provider {
	case gateway.WhatsAppCloud:
		return whatsappcloud.New(whatsappcloud.Settings{
			BaseURL: a.BaseURL, PhoneNumberID: a.PhoneNumberID, AccessToken: string(a.AccessToken),
			AppSecrets: secrets(a.AppSecret), VerifyToken: string(a.VerifyToken),
		}), nil, nil
	case gateway.SinchWhatsApp:
		secret := a.CallbackSecret
		if secret == "" {
			secret = a.Token
		}
		return sinchwhatsapp.New(sinchwhatsapp.Settings{
			BaseURL: a.BaseURL, Region: a.Region, BotID: a.BotID, Token: string(a.Token),
			CallbackSecrets: secrets(a.CallbackSecret),
		}), []byte(secret), nil
	case gateway.WhatsAppV2, gateway.WhatsAppOnPrem, gateway.SinchConversation:
	}
	return nil, nil, fmt.Errorf("%s can't be sent through yet", a.Provider)
}

func secrets(all ...config.Secret) []string {
	var given []string
	for _, s := range all {
		if s != "" {
			given = append(given, string(s))
		}
	}
	return given
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
	if !ok || len(a.linkSecret) == 0 {
		return nil
	}
	return [][]byte{a.linkSecret}
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
	if !ok {
		return ""
	}
	return s.links.For(id, a.linkSecret, message, attempt)
}

// Revision is the configuration's.
func (d *Directory) Revision() int64 { return d.now.Load().config.Revision() }

// retention is how long an account's messages are kept. An account that has
// left the configuration keeps by the defaults.
func (d *Directory) retention(id gateway.AccountID) gateway.Retention {
	if a, ok := d.Account(id); ok {
		return a.Retention
	}
	c := d.now.Load().config
	return c.GatewayAccount(config.Account{}).Retention
}

func (d *Directory) unknownGrace(gateway.AccountID) time.Duration {
	return d.now.Load().config.Defaults.UnknownGrace
}
