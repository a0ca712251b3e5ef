// Package netguard keeps links that others wrote from reaching what only we
// can reach. It judges addresses when they are dialled, after DNS, so that no
// name can point inside between a check and its use.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrRefused is what every RefusedError is. Test with errors.Is.
var ErrRefused = errors.New("refused by network guard")

// Reason says why something was refused, in words that may be shown to the
// one who wrote the link.
type Reason string

// The reasons.
const (
	ReasonAddress   Reason = "the host is not a public address"
	ReasonScheme    Reason = "http is allowed to listed hosts only"
	ReasonURL       Reason = "the link is not an http or https URL with a host and without credentials"
	ReasonNetwork   Reason = "only TCP is allowed"
	ReasonRedirects Reason = "too many redirects"
)

// RefusedError is a refusal. It never holds the address a name stands for: who
// wrote the link must not learn our networks from it.
type RefusedError struct {
	Reason Reason
}

func (e *RefusedError) Error() string { return ErrRefused.Error() + ": " + string(e.Reason) }

// Unwrap makes it an ErrRefused.
func (*RefusedError) Unwrap() error { return ErrRefused }

// Guard decides what may be reached: public unicast addresses by https, and by
// http or https what its list allows. It is safe for concurrent use.
type Guard struct {
	names    map[string]bool // allowed hosts, in lower case
	prefixes []netip.Prefix  // allowed networks
	public   *ssrf.Guardian
	resolver *net.Resolver // nil: the system's
}

// New makes a guard that also allows the hosts, addresses and networks (CIDR)
// listed. A host allows whatever its name resolves to; it is compared without
// case, and doesn't allow names below it.
func New(allowHosts []string) (*Guard, error) {
	g := &Guard{
		names:  make(map[string]bool),
		public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork(), ssrf.WithDeniedV4Prefixes(wireServer)),
	}
	var errs []error
	for i, entry := range allowHosts {
		if err := g.allow(entry); err != nil {
			errs = append(errs, fmt.Errorf("network.allow_hosts[%d]: %q %w", i, entry, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Guard) allow(entry string) error {
	if p, err := netip.ParsePrefix(entry); err == nil {
		if p.Addr().Is4In6() {
			return errors.New("must be written as an IPv4 network")
		}
		g.prefixes = append(g.prefixes, p.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		if addr.Zone() != "" {
			return errors.New("must not have a zone")
		}
		addr = addr.Unmap()
		g.prefixes = append(g.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	name := canonicalHost(entry)
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
	if name == "" || strings.Trim(name, letters) != "" || strings.Trim(name, "0123456789.") == "" {
		return errors.New("must be a host name without port, an address or a network such as 10.0.0.0/8")
	}
	g.names[name] = true
	return nil
}

func canonicalHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// Control refuses every address that is neither public unicast nor in an
// allowed network. It has the form of net.Dialer's Control, which is called
// after DNS with the very address that is about to be dialled.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	return g.check(network, address, true)
}

// controlInside is Control without the public addresses.
func (g *Guard) controlInside(network, address string, _ syscall.RawConn) error {
	return g.check(network, address, false)
}

func (g *Guard) check(network, address string, publicToo bool) error {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return &RefusedError{ReasonNetwork}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{ReasonAddress} // not an address: nothing is known of it
	}
	if g.inside(ap.Addr()) || publicToo && g.isPublic(ap.Addr()) {
		return nil
	}
	return &RefusedError{ReasonAddress}
}

// inside reports whether the address is in an allowed network.
func (g *Guard) inside(addr netip.Addr) bool {
	return slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// wireServer is where a cloud's virtual machines find the host that runs them.
// By the registries it is public, but only they reach it.
var wireServer = netip.MustParsePrefix("168.63.129.16/32")

var nat64 = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052

// isPublic reports whether the address is public unicast by the registries of
// IANA. Of the ways to write an IPv4 address as an IPv6 one only NAT64 is
// known, for hosts that have no IPv4, and it is judged by what it holds;
// mapped, compatible, 6to4 and Teredo addresses are all refused.
func (g *Guard) isPublic(addr netip.Addr) bool {
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	return g.public.SafeAddr(addr) == nil
}

// CheckURL judges what can be judged of a URL without DNS: that it is http or
// https with a host and no credentials, that a literal address may be reached,
// and that http leads inside. Where only DNS can tell, for an http URL with a
// name that isn't listed while networks are, the dial decides.
func (g *Guard) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return &RefusedError{ReasonURL} // the parser's words would repeat the link
	}
	return g.checkURL(u)
}

func (g *Guard) checkURL(u *url.URL) error {
	host := u.Hostname()
	if u.Scheme != "http" && u.Scheme != "https" || host == "" || u.User != nil {
		return &RefusedError{ReasonURL}
	}
	if g.names[canonicalHost(host)] {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case g.inside(addr):
			return nil
		case !g.isPublic(addr):
			return &RefusedError{ReasonAddress}
		case u.Scheme == "http":
			return &RefusedError{ReasonScheme}
		}
		return nil
	}
	if u.Scheme == "http" && len(g.prefixes) == 0 {
		return &RefusedError{ReasonScheme}
	}
	return nil
}

const dialTimeout = 5 * time.Second

// dial returns a DialContext that judges every address by control, save those
// of hosts that are allowed by name.
func (g *Guard) dial(control func(network, address string, c syscall.RawConn) error, refusal Reason) func(context.Context, string, string) (net.Conn, error) {
	guarded := &net.Dialer{Timeout: dialTimeout, Resolver: g.resolver, Control: control}
	free := &net.Dialer{Timeout: dialTimeout, Resolver: g.resolver}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, &RefusedError{ReasonURL}
		}
		if g.names[canonicalHost(host)] {
			return free.DialContext(ctx, network, address)
		}
		conn, err := guarded.DialContext(ctx, network, address)
		if errors.Is(err, ErrRefused) {
			return nil, &RefusedError{refusal} // net.OpError would tell the address
		}
		return conn, err
	}
}
