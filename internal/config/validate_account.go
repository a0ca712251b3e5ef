package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/gateway"
)

func (k *checker) accounts() {
	tags := map[string]gateway.AccountID{}
	identities := map[string]string{}
	portfolios := map[string]int{}
	for i, a := range k.c.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		switch other, taken := tags[a.ID.Tag()]; {
		case a.ID == "":
			k.add(at+".id", "is required")
		case !a.ID.Valid():
			k.add(at+".id", "must be 1 to 64 of a-z, 0-9, '-', '_', '.', beginning with a letter or digit")
		case taken && other == a.ID:
			k.add(at+".id", "must be unique")
		case taken:
			k.add(at+".id", "has the mark of %s in Redis; choose another", other)
		default:
			tags[a.ID.Tag()] = a.ID
		}
		k.account(at, &a)
		k.byProvider(at, &a, identities)
		k.portfolio(at, i, portfolios)
	}
}

// portfolio checks that accounts which share one count mean the same by it.
func (k *checker) portfolio(at string, i int, first map[string]int) {
	a := &k.c.Accounts[i]
	if a.Portfolio == "" {
		return
	}
	j, known := first[a.Portfolio]
	if !known {
		first[a.Portfolio] = i
		return
	}
	other := &k.c.Accounts[j]
	if a.Provider != other.Provider {
		k.add(at+".portfolio", "must be of one provider, and accounts[%d] is of another", j)
	} else if or(a.Tier, 0) != or(other.Tier, 0) {
		k.add(at+".tier", "must be that of accounts[%d], which shares the portfolio", j)
	}
}

// account checks what every account takes.
func (k *checker) account(at string, a *Account) {
	if a.Sender != "" {
		if _, err := gateway.ParseRecipient(string(a.Sender)); err != nil {
			k.add(at+".sender", "%v", err)
		}
	}
	if a.Rate != nil {
		k.rate(at+".rate", *a.Rate)
	}
	if a.Timeout != nil {
		k.timeout(at+".timeout", *a.Timeout)
	}
	if a.MaxInFlight < 0 {
		k.add(at+".max_in_flight", "must be 0 or more")
	}
	if a.Tier != nil && *a.Tier < 1 {
		k.add(at+".tier", "must be 1 or more; without it there is no limit")
	}
	if a.MaxAttempts != nil {
		k.maxAttempts(at+".max_attempts", *a.MaxAttempts)
	}
	if a.TTL != nil {
		k.ttl(at+".ttl", *a.TTL)
	}
	if a.OnUnknown != "" {
		k.onUnknown(at+".on_unknown", a.OnUnknown)
	}
	if a.CallbackURL != "" {
		k.webURL(at+".callback_url", a.CallbackURL)
	}
	if a.Media != MediaCheck && a.Media != MediaUpload && a.Media != MediaNone {
		k.add(at+".media", "must be check, upload or none")
	}
	if a.Window != WindowIgnore && a.Window != WindowReject {
		k.add(at+".window", "must be ignore or reject")
	}
	for i, word := range a.OptOutWords {
		if strings.TrimSpace(word) == "" {
			k.add(fmt.Sprintf("%s.opt_out_words[%d]", at, i), "must not be empty")
		}
	}
}

// byProvider checks what the account's provider takes.
func (k *checker) byProvider(at string, a *Account, identities map[string]string) {
	keys, ok := keysOf(a.Provider)
	if !ok {
		k.add(at+".provider", "must be one of %s", listed(gateway.ProviderNames()))
		return
	}
	values := fields(reflect.ValueOf(a).Elem())
	takes := append(slices.Clone(keys.required), keys.optional...)
	only := providerOnly()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		set := !values[name].IsZero()
		switch {
		case set && only[name] && !slices.Contains(takes, name):
			k.add(at+"."+name, "not a key of %s", a.Provider)
		case !set && slices.Contains(keys.required, name):
			k.add(at+"."+name, "is required by %s", a.Provider)
		}
	}
	if a.Media == MediaUpload && !keys.uploads {
		k.add(at+".media", "upload is not possible with %s", a.Provider)
	}
	if a.Region != "" && keys.regions != nil && !slices.Contains(keys.regions, a.Region) {
		k.add(at+".region", "must be one of %s", strings.Join(keys.regions, ", "))
	} else if a.BaseURL != "" {
		k.baseURL(at+".base_url", a.BaseURL)
	}
	if a.Provider == gateway.WhatsAppOnPrem {
		k.onPrem(at, a)
	}
	if a.AuthURL != "" {
		k.webURL(at+".auth_url", a.AuthURL)
	}
	k.identity(at, a, keys, values, identities)
}

// onPrem checks what a table can't say: how the host knows us is one of three
// ways, and callbacks come from somewhere.
func (k *checker) onPrem(at string, a *Account) {
	ways := 0
	for _, set := range []bool{a.Username != "" || a.Password != "", a.Token != "", a.APIKey != ""} {
		if set {
			ways++
		}
	}
	switch {
	case ways != 1:
		k.add(at, "must have one of username with password, token, or api_key")
	case a.Username == "" && a.Password != "":
		k.add(at+".username", "is required beside password")
	case a.Username != "" && a.Password == "":
		k.add(at+".password", "is required beside username")
	}
	if a.NewPassword != "" && a.Username == "" {
		k.add(at+".username", "is required beside new_password")
	}
	if a.NewPassword != "" && !strongPassword(string(a.NewPassword)) {
		k.add(at+".new_password", "must have 8 to 64 characters, among them a digit, an upper and a lower case letter and a special character")
	}
	for i, s := range a.CallbackAllow {
		if !isNetwork(s) {
			k.add(fmt.Sprintf("%s.callback_allow[%d]", at, i), "must be an IP address or a CIDR")
		}
	}
	if a.CAFile != "" {
		if problem := checkCAFile(a.CAFile); problem != "" {
			k.add(at+".ca_file", "%s", problem)
		}
	}
}

// strongPassword is what the on-premises API asks of a password.
func strongPassword(s string) bool {
	n := utf8.RuneCountInString(s)
	special := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for _, has := range []func(rune) bool{unicode.IsDigit, unicode.IsUpper, unicode.IsLower, special} {
		if !strings.ContainsFunc(s, has) {
			return false
		}
	}
	return n >= 8 && n <= 64
}

// identity refuses a second account that sends as the same sender: two rates
// for one number are no rate.
func (k *checker) identity(at string, a *Account, keys providerKeys, values map[string]reflect.Value, identities map[string]string) {
	parts := []string{string(a.Provider)}
	for _, name := range keys.identity {
		v := values[name].String()
		if v == "" && slices.Contains(keys.required, name) {
			return // missing, and said so
		}
		if name == "base_url" {
			v = strings.ToLower(v)
		}
		parts = append(parts, v)
	}
	who := strings.Join(parts, "\n")
	if other, taken := identities[who]; taken {
		last := keys.identity[len(keys.identity)-1]
		k.add(at+"."+last, "%s must differ from that of %s, or both send as one sender", strings.Join(keys.identity, " or "), other)
		return
	}
	identities[who] = at
}

func listed(ps []gateway.ProviderName) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
