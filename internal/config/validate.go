package config

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

const day = 24 * time.Hour

// checker looks at one configuration and notes what is wrong.
type checker struct {
	c     *Config
	found Problems
}

// problems checks the configuration as a whole.
func (c *Config) problems() Problems {
	k := checker{c: c}
	k.redis()
	k.listen("api.listen", c.API.Listen)
	if c.API.AdminListen != "" {
		k.listen("api.admin_listen", c.API.AdminListen)
	}
	if c.API.PublicURL != "" {
		k.baseURL("api.public_url", c.API.PublicURL)
	}
	k.listen("worker.admin_listen", c.Worker.AdminListen)
	k.apiKeys()
	for i, host := range c.Network.AllowHosts {
		if !isNetwork(host) && !isHostName(host) {
			k.add(fmt.Sprintf("network.allow_hosts[%d]", i), "must be a host name, an IP address or a CIDR")
		}
	}
	k.callbackSecrets()
	k.defaults()
	k.accounts()
	return k.found
}

func (k *checker) add(key, format string, args ...any) { k.found.add(key, format, args...) }

func (k *checker) redis() {
	client, err := redisdb.Open(k.c.Redis.URL.Reveal(), redisdb.ForAPI)
	if err != nil {
		// Not the error itself: it may quote a part of the password.
		k.add("redis.url", "must be a URL such as redis://localhost:6379/0, rediss://…, redis-sentinel://master@h1:p,h2:p/0 or redis-cluster://h1:p,h2:p")
	} else {
		_ = client.Close() // it has never connected
	}
	within(k, "redis.wait_replicas", k.c.Redis.WaitReplicas, 0, 16, "from 0 to 16")
}

func (k *checker) listen(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	_, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || strings.ContainsAny(host, "/ ") {
		k.add(key, "must be an address such as :8080 or 127.0.0.1:8080")
	}
}

func (k *checker) apiKeys() {
	names, hashes := map[string]bool{}, map[[32]byte]bool{}
	for i, key := range k.c.API.Keys {
		at := fmt.Sprintf("api.keys[%d]", i)
		switch {
		case key.Name == "":
			k.add(at+".name", "is required")
		case names[key.Name]:
			k.add(at+".name", "must be unique")
		}
		names[key.Name] = true
		switch sum, ok := parseHash(key.Hash); {
		case !ok:
			k.add(at+".hash", "must be sha256: and the 64 hex digits of the key's SHA-256")
		case hashes[sum]:
			k.add(at+".hash", "must be unique")
		default:
			hashes[sum] = true
		}
		if len(key.Accounts) == 0 {
			k.add(at+".accounts", `must name accounts, or "*" for all`)
		}
		for j, id := range key.Accounts {
			if id != EveryAccount && !k.hasAccount(id) {
				k.add(fmt.Sprintf("%s.accounts[%d]", at, j), `must be the id of an account, or "*" for all`)
			}
		}
		if len(key.Scopes) == 0 {
			k.add(at+".scopes", "must name at least one of send, read, operate")
		}
		for j, s := range key.Scopes {
			if s != ScopeSend && s != ScopeRead && s != ScopeOperate {
				k.add(fmt.Sprintf("%s.scopes[%d]", at, j), "must be send, read or operate")
			}
		}
	}
}

func (k *checker) hasAccount(id string) bool {
	return slices.ContainsFunc(k.c.Accounts, func(a Account) bool { return string(a.ID) == id })
}

func (k *checker) callbackSecrets() {
	secrets := k.c.Callbacks.Secrets
	if len(secrets) > 2 {
		k.add("callbacks.secrets", "must be at most two: the one that signs, and the one before it")
	}
	for i, s := range secrets {
		encoded, ok := strings.CutPrefix(s.Reveal(), "whsec_")
		if raw, err := base64.StdEncoding.DecodeString(encoded); !ok || err != nil || len(raw) == 0 {
			k.add(fmt.Sprintf("callbacks.secrets[%d]", i), "must be whsec_ and base64")
		}
	}
}

func (k *checker) defaults() {
	d := k.c.Defaults
	k.rate("defaults.rate", d.Rate)
	k.timeout("defaults.timeout", d.Timeout)
	k.maxAttempts("defaults.max_attempts", d.MaxAttempts)
	k.ttl("defaults.ttl", d.TTL)
	k.onUnknown("defaults.on_unknown", d.OnUnknown)
	within(k, "defaults.unknown_grace", d.UnknownGrace, 0, day, "from 0s to 24h")
	k.retention("defaults.retention.content", d.Retention.Content)
	k.retention("defaults.retention.record", d.Retention.Record)
	k.retention("defaults.retention.dead_letter", d.Retention.DeadLetter)
}

func (k *checker) rate(key string, v float64) {
	within(k, key, v, 1, 100_000, "from 1 to 100,000")
}

func (k *checker) timeout(key string, v time.Duration) {
	within(k, key, v, time.Second, 5*time.Minute, "from 1s to 5m")
}

func (k *checker) maxAttempts(key string, v int) { within(k, key, v, 1, 100, "from 1 to 100") }

func (k *checker) ttl(key string, v time.Duration) {
	within(k, key, v, time.Second, 30*day, "from 1s to 30d")
}

func (k *checker) retention(key string, v time.Duration) {
	within(k, key, v, time.Second, 3650*day, "from 1s to 3650d")
}

func (k *checker) onUnknown(key string, v gateway.OnUnknown) {
	if !v.Valid() {
		k.add(key, "must be hold or resend")
	}
}

// within is true to its words for NaN too, which is within nothing.
func within[T cmp.Ordered](k *checker, key string, v, low, high T, words string) {
	if !(v >= low && v <= high) { //nolint:staticcheck // De Morgan's form would let NaN pass
		k.add(key, "must be %s", words)
	}
}

// webURL checks an address that Sluice calls or is called at: https, or http
// where the network section trusts the host.
func (k *checker) webURL(key, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		k.add(key, "must be an absolute https URL")
	case u.User != nil:
		k.add(key, "must not hold a user or password")
	case u.Fragment != "":
		k.add(key, "must not hold a fragment")
	case u.Scheme == "http" && !k.c.trusts(u.Hostname()):
		k.add(key, "must be https; http is for loopback and the hosts of network.allow_hosts")
	}
}

// baseURL checks an address that paths are appended to.
func (k *checker) baseURL(key, raw string) {
	if strings.Contains(raw, "?") {
		k.add(key, "must not hold a query")
		return
	}
	k.webURL(key, raw)
}

// trusts reports whether plain http may go to the host.
func (c *Config) trusts(host string) bool {
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	addr = addr.Unmap()
	if strings.EqualFold(host, "localhost") || isAddr && addr.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(c.Network.AllowHosts, func(allowed string) bool {
		if network, ok := parseNetwork(allowed); ok {
			return isAddr && network.Contains(addr)
		}
		return strings.EqualFold(host, allowed)
	})
}

// parseNetwork reads a CIDR, or an address as the network of it alone. IPv4
// in the guise of IPv6 is read as an address and refused as a CIDR, as
// netguard does.
func parseNetwork(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(s)
	return network, err == nil && !network.Addr().Is4In6()
}

func isNetwork(s string) bool {
	_, ok := parseNetwork(s)
	return ok
}

// hostName is RFC 1123's form, with the underscore that container networks
// use. The last label isn't all digits, or a mistyped address would pass.
var hostName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func isHostName(s string) bool {
	last := s[strings.LastIndex(s, ".")+1:]
	return len(s) <= 253 && hostName.MatchString(s) && strings.Trim(last, "0123456789") != ""
}

// checkCAFile says what is wrong with a file of certificates.
func checkCAFile(path string) (problem string) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return "can't be read"
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return "must hold PEM certificates"
	}
	return ""
}
