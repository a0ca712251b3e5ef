package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"time"

	"sluice/internal/callback"
	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/sinchconversation"
	"sluice/internal/sender/sinchwhatsapp"
	"sluice/internal/sender/whatsappcloud"
	"sluice/internal/sender/whatsapponprem"
	"sluice/internal/sender/whatsappv2"
	"sluice/internal/telemetry"
)

// provider is both sides of a dialect.
type provider interface {
	sender.Provider
	callback.Dialect
}

// newAccount makes what speaks an account's dialect. shared is the client of
// accounts that need none of their own. Its error begins with the key at fault.
func newAccount(a config.Account, last *account, shared *http.Client) (*account, error) {
	next := &account{config: a, client: shared, optOutWords: a.OptOutWords}
	var roots *x509.CertPool
	if a.CAFile != "" {
		var err error
		if next.ca, roots, err = readRoots(a.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	if last != nil && reflect.DeepEqual(a, last.config) && bytes.Equal(next.ca, last.ca) {
		again := *last
		return &again, nil
	}
	if roots != nil {
		next.client = providerClient(roots)
	}
	var before config.Account
	if last != nil {
		before = last.config
	}
	p, err := newProvider(a, before, next.client)
	if err != nil {
		return nil, err
	}
	next.provider = p
	if a.Provider == gateway.SinchWhatsApp {
		for _, secret := range secrets(linkSecret(a), linkSecret(before)) {
			next.linkSecrets = append(next.linkSecrets, []byte(secret))
		}
	}
	return next, nil
}

// newProvider makes the provider of an account; before is the account's
// configuration of the version before.
func newProvider(a, before config.Account, client *http.Client) (provider, error) {
	switch a.Provider {
	case gateway.WhatsAppCloud:
		return whatsappcloud.New(whatsappcloud.Settings{
			BaseURL: a.BaseURL, PhoneNumberID: a.PhoneNumberID, AccessToken: string(a.AccessToken),
			AppSecrets: secrets(a.AppSecret, before.AppSecret), VerifyToken: string(a.VerifyToken),
		}), nil
	case gateway.WhatsAppV2:
		return whatsappv2.New(whatsappv2.Settings{
			BaseURL: a.BaseURL, AccessToken: string(a.AccessToken),
			AppSecrets: secrets(a.AppSecret, before.AppSecret), VerifyToken: string(a.VerifyToken),
		}), nil
	case gateway.WhatsAppOnPrem:
		allow, err := networks(a.CallbackAllow)
		if err != nil {
			return nil, fmt.Errorf("callback_allow: %w", err)
		}
		return whatsapponprem.New(whatsapponprem.Settings{
			BaseURL: a.BaseURL, Username: a.Username, Password: string(a.Password), NewPassword: string(a.NewPassword),
			Token: string(a.Token), APIKey: string(a.APIKey), Namespace: a.Namespace, WAAPIKey: string(a.WAAPIKey),
			CallbackToken: string(a.CallbackToken), CallbackAllow: allow, Client: client,
		}), nil
	case gateway.SinchWhatsApp:
		return sinchwhatsapp.New(sinchwhatsapp.Settings{
			BaseURL: a.BaseURL, Region: a.Region, BotID: a.BotID, Token: string(a.Token),
			CallbackSecrets: secrets(a.CallbackSecret, before.CallbackSecret),
		}), nil
	case gateway.SinchConversation:
		return sinchconversation.New(sinchconversation.Settings{
			BaseURL: a.BaseURL, Region: a.Region, ProjectID: a.ProjectID, AppID: a.AppID,
			KeyID: a.KeyID, KeySecret: string(a.KeySecret), AuthURL: a.AuthURL,
			WebhookSecrets: secrets(a.WebhookSecret, before.WebhookSecret), Sender: a.Sender, Client: client,
		}), nil
	}
	return nil, fmt.Errorf("provider: %q is none of ours", a.Provider)
}

// linkSecret signs an account's per-message callback URLs. The token serves
// where there is no callback secret: both are known to us and the provider
// alone.
func linkSecret(a config.Account) config.Secret {
	if a.CallbackSecret != "" {
		return a.CallbackSecret
	}
	return a.Token
}

// secrets lists those that are set, each once.
func secrets(all ...config.Secret) []string {
	var given []string
	for _, s := range all {
		if s != "" && !slices.Contains(given, string(s)) {
			given = append(given, string(s))
		}
	}
	return given
}

// networks reads addresses and CIDRs.
func networks(entries []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, entry := range entries {
		if addr, err := netip.ParseAddr(entry); err == nil {
			addr = addr.Unmap()
			list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", entry)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

func readRoots(path string) (pem []byte, roots *x509.CertPool, err error) {
	if pem, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, nil, errors.New("holds no certificate")
	}
	return pem, roots, nil
}

// providerClient makes the calls to providers; nil roots are the system's. It
// follows no redirect, for a POST that becomes a GET sends nothing, and keeps an
// idle connection for less time than providers do, because a request written as
// the other side closes has an unknown outcome.
func providerClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: noRedirect,
		Transport: named{agent: "Sluice/" + telemetry.Version(), Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     30 * time.Second,
		}},
	}
}

// named tells providers who calls.
type named struct {
	*http.Transport
	agent string
}

// RoundTrip implements http.RoundTripper.
func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("User-Agent") == "" {
		r = r.WithContext(r.Context()) // a copy, for the caller's stays as it is
		r.Header = r.Header.Clone()
		r.Header.Set("User-Agent", n.agent)
	}
	return n.Transport.RoundTrip(r)
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// through is the transport of a client that may be another at each call.
type through func() *http.Client

// RoundTrip implements http.RoundTripper.
func (f through) RoundTrip(r *http.Request) (*http.Response, error) {
	return f().Transport.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for. The
// sender calls it where one was found closed.
func (f through) CloseIdleConnections() { f().CloseIdleConnections() }

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
