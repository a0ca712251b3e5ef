package config

import (
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// Account is one sender at one provider, as the file has it. Nil means that
// the defaults decide; GatewayAccount puts the two together. Which of the
// provider's keys may be set depends on the provider, see keysOf.
type Account struct {
	ID       gateway.AccountID    `yaml:"id"`
	Provider gateway.ProviderName `yaml:"provider"`
	Sender   gateway.SenderNumber `yaml:"sender"`   // E.164, or empty where other keys say who sends
	BaseURL  string               `yaml:"base_url"` // without a slash at its end; after Load the provider's own if the file has none

	Rate        *float64          `yaml:"rate"`
	Timeout     *time.Duration    `yaml:"timeout"`
	MaxInFlight int               `yaml:"max_in_flight"` // 0: from rate and timeout
	MaxAttempts *int              `yaml:"max_attempts"`
	TTL         *time.Duration    `yaml:"ttl"`
	OnUnknown   gateway.OnUnknown `yaml:"on_unknown"` // empty: the defaults decide

	CallbackURL string   `yaml:"callback_url"`
	Media       Media    `yaml:"media"`  // after Load never empty
	Window      Window   `yaml:"window"` // after Load never empty
	OptOutWords []string `yaml:"opt_out_words"`
	Portfolio   string   `yaml:"portfolio"` // its accounts share the tier's count
	Tier        *int     `yaml:"tier"`      // different recipients in 24 hours; nil: no limit
	Paused      bool     `yaml:"paused"`

	// Credentials and addressing, each of some providers only.
	PhoneNumberID  string   `yaml:"phone_number_id"`
	WABAID         string   `yaml:"waba_id"`
	AccessToken    Secret   `yaml:"access_token"`
	AppSecret      Secret   `yaml:"app_secret"`
	VerifyToken    Secret   `yaml:"verify_token"`
	Username       string   `yaml:"username"`
	Password       Secret   `yaml:"password"`
	NewPassword    Secret   `yaml:"new_password"` // replaces Password where a host demands that at the first login
	Token          Secret   `yaml:"token"`
	APIKey         Secret   `yaml:"api_key"`
	Namespace      string   `yaml:"namespace"`
	WAAPIKey       Secret   `yaml:"wa_api_key"`
	CAFile         string   `yaml:"ca_file"` // PEM certificates; relative to the configuration's folder
	CallbackToken  Secret   `yaml:"callback_token"`
	CallbackAllow  []string `yaml:"callback_allow"` // IP addresses and CIDRs
	Region         string   `yaml:"region"`
	BotID          string   `yaml:"bot_id"`
	CallbackSecret Secret   `yaml:"callback_secret"`
	ProjectID      string   `yaml:"project_id"`
	AppID          string   `yaml:"app_id"`
	KeyID          string   `yaml:"key_id"`
	KeySecret      Secret   `yaml:"key_secret"`
	AuthURL        string   `yaml:"auth_url"`
	WebhookSecret  Secret   `yaml:"webhook_secret"`
}

// Media says what is done with linked files before a message is sent.
type Media string

// The three policies.
const (
	MediaCheck  Media = "check"  // look at them
	MediaUpload Media = "upload" // look at them, upload each once, and send it by the provider's id
	MediaNone   Media = "none"   // neither: the provider gets the link
)

// Window says what is done with a message that only an open service window
// lets through, when none is known to be open.
type Window string

// The two policies.
const (
	WindowIgnore Window = "ignore" // send it; the provider decides
	WindowReject Window = "reject" // refuse it
)

// complete fills in what follows from other keys of the account.
func (a *Account) complete(dir string) {
	if keys, ok := keysOf(a.Provider); ok && a.BaseURL == "" {
		a.BaseURL = strings.ReplaceAll(keys.baseURL, "{region}", a.Region)
	}
	a.BaseURL = strings.TrimRight(a.BaseURL, "/")
	if a.Media == "" {
		a.Media = MediaCheck
	}
	if a.Window == "" {
		a.Window = WindowIgnore
	}
	if a.CAFile != "" && !filepath.IsAbs(a.CAFile) {
		a.CAFile = filepath.Join(dir, a.CAFile)
	}
}

// GatewayAccount is the account as the rest of Sluice sees it, the defaults
// filled in. Content isn't kept longer than its record, whatever the two
// retentions say.
func (c *Config) GatewayAccount(a Account) gateway.Account {
	r := c.Defaults.Retention
	onUnknown := a.OnUnknown
	if onUnknown == "" {
		onUnknown = c.Defaults.OnUnknown
	}
	return gateway.Account{
		ID:           a.ID,
		Provider:     a.Provider,
		Sender:       a.Sender,
		Rate:         or(a.Rate, c.Defaults.Rate),
		Timeout:      or(a.Timeout, c.Defaults.Timeout),
		MaxInFlight:  a.MaxInFlight,
		MaxAttempts:  or(a.MaxAttempts, c.Defaults.MaxAttempts),
		TTL:          or(a.TTL, c.Defaults.TTL),
		OnUnknown:    onUnknown,
		UnknownGrace: c.Defaults.UnknownGrace,
		CallbackURL:  a.CallbackURL,
		CheckMedia:   a.Media != MediaNone,
		UploadMedia:  a.Media == MediaUpload,
		NeedsWindow:  a.Window == WindowReject,
		Paused:       a.Paused,
		Tier:         a.tier(),
		Retention:    gateway.Retention{Content: min(r.Content, r.Record), Record: r.Record, DeadLetter: r.DeadLetter},
	}
}

func (a *Account) tier() gateway.Tier {
	if a.Tier == nil {
		return gateway.Tier{}
	}
	t := gateway.Tier{Limit: *a.Tier, Count: a.ID.Tag()}
	if a.Portfolio != "" {
		t.Count = gateway.PortfolioTag(a.Provider, a.Portfolio)
	}
	return t
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
