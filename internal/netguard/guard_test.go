package netguard

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func guard(t *testing.T, allow ...string) *Guard {
	t.Helper()
	g, err := New(allow)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// reason is why an error refuses, or "".
func reason(t *testing.T, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	r, ok := errors.AsType[*RefusedError](err)
	if !ok || !errors.Is(err, ErrRefused) {
		t.Fatalf("not a refusal: %v", err)
	}
	return r.Reason
}

func TestControlRefusesWhatIsNotPublic(t *testing.T) {
	for class, addresses := range map[string][]string{
		"unspecified":          {"0.0.0.0:443", "0.1.2.3:443", "[::]:443"},
		"loopback":             {"127.0.0.1:443", "127.255.255.254:443", "[::1]:443"},
		"private":              {"10.0.0.1:443", "172.16.0.1:443", "172.31.255.255:443", "192.168.1.1:443"},
		"link-local":           {"169.254.0.1:80", "[fe80::1]:443", "[fe80::1%eth0]:443"},
		"cloud metadata":       {"169.254.169.254:80", "169.254.170.2:80", "[fd00:ec2::254]:80", "[fd20:ce::254]:80", "100.100.100.200:80", "192.0.0.192:80", "168.63.129.16:80"},
		"carrier-grade NAT":    {"100.64.0.1:443", "100.127.255.255:443"},
		"protocol assignments": {"192.0.0.1:443", "192.88.99.1:443", "[2001:1::1]:443"},
		"documentation":        {"192.0.2.1:443", "198.51.100.1:443", "203.0.113.1:443", "[2001:db8::1]:443", "[3fff::1]:443"},
		"benchmarking":         {"198.18.0.1:443", "198.19.255.255:443", "[2001:2::1]:443"},
		"multicast":            {"224.0.0.1:443", "239.255.255.255:443", "[ff02::1]:443"},
		"reserved":             {"240.0.0.1:443", "255.255.255.255:443", "[4000::1]:443"},
		"unique local":         {"[fc00::1]:443", "[fdff::1]:443"},
		"site-local":           {"[fec0::1]:443"},
		"discard":              {"[100::1]:443"},
		"IPv4-mapped":          {"[::ffff:127.0.0.1]:443", "[::ffff:10.0.0.1]:443", "[::ffff:8.8.8.8]:443"},
		"IPv4-translated":      {"[::ffff:0:127.0.0.1]:443", "[::ffff:0:8.8.8.8]:443"},
		"IPv4-compatible":      {"[::127.0.0.1]:443", "[::8.8.8.8]:443"},
		"6to4":                 {"[2002:7f00:1::]:443", "[2002:0808:0808::1]:443"},
		"Teredo":               {"[2001::1]:443", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]:443"},
		"segment routing":      {"[5f00::1]:443"},
		"ORCHID":               {"[2001:10::1]:443", "[2001:20::1]:443"},
		"NAT64 of what isn't":  {"[64:ff9b::7f00:1]:443", "[64:ff9b::]:443", "[64:ff9b::ffff:ffff]:443", "[64:ff9b::100.64.0.1]:443", "[64:ff9b::168.63.129.16]:80", "[64:ff9b::10.0.0.1]:443", "[64:ff9b::169.254.169.254]:80"},
		"NAT64, local use":     {"[64:ff9b:1::1]:443", "[64:ff9b:1::8.8.8.8]:443"},
		"what is no address":   {"localhost:443", "", "8.8.8.8", "[8.8.8.8"},
	} {
		t.Run(class, func(t *testing.T) {
			for _, address := range addresses {
				for _, network := range []string{"tcp", "tcp4", "tcp6"} {
					if got := reason(t, guard(t).Control(network, address, nil)); got != ReasonAddress {
						t.Errorf("%s %s: %q", network, address, got)
					}
				}
			}
		})
	}
}

func TestControlAllowsPublicAddressesOnAnyPort(t *testing.T) {
	for _, address := range []string{
		"8.8.8.8:443", "1.1.1.1:8443", "100.63.255.255:1", "172.32.0.1:65535", "193.0.0.1:443",
		"[2606:4700::1111]:443", "[2a00:1450:4001::1]:9000", "[64:ff9b::8.8.8.8]:443",
	} {
		if err := guard(t).Control("tcp4", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestControlRefusesWhatIsNotTCP(t *testing.T) {
	for _, network := range []string{"udp", "udp4", "unix", "ip4", ""} {
		if got := reason(t, guard(t).Control(network, "8.8.8.8:443", nil)); got != ReasonNetwork {
			t.Errorf("%s: %q", network, got)
		}
	}
}

func TestTheListAllowsAddressesAndNetworks(t *testing.T) {
	g := guard(t, "10.1.0.0/16", "192.168.7.7", "::1", "[fd00::1]", "media.internal")
	for address, want := range map[string]Reason{
		"10.1.255.1:80":          "",
		"10.2.0.1:80":            ReasonAddress,
		"192.168.7.7:80":         "",
		"192.168.7.8:80":         ReasonAddress,
		"[::1]:80":               "",
		"[fd00::1]:80":           "",
		"[fd00::2]:80":           ReasonAddress,
		"8.8.8.8:80":             "",
		"[::ffff:10.2.0.1]:80":   ReasonAddress,
		"[64:ff9b::a02:1]:80":    ReasonAddress,
		"[64:ff9b::a01:1]:80":    ReasonAddress, // NAT64 of an allowed address is another way there
		"169.254.169.254:80":     ReasonAddress,
		"[::ffff:192.168.7.8]:1": ReasonAddress,
	} {
		if got := reason(t, g.Control("tcp", address, nil)); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
}

func TestNewNamesEveryBadEntry(t *testing.T) {
	_, err := New([]string{"ok.internal", "host:80", "https://x", "10.0.0.0/33", "", "*.internal", "1.2.3", "fe80::1%eth0", "::ffff:10.0.0.0/104"})
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.Fields(line)[0])
	}
	want := []string{
		"network.allow_hosts[1]:", "network.allow_hosts[2]:", "network.allow_hosts[3]:", "network.allow_hosts[4]:",
		"network.allow_hosts[5]:", "network.allow_hosts[6]:", "network.allow_hosts[7]:", "network.allow_hosts[8]:",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckURL(t *testing.T) {
	none, hosts, networks := guard(t), guard(t, "Media.Internal."), guard(t, "10.0.0.0/8", "127.0.0.1", "::1")
	for _, tc := range []struct {
		name string
		g    *Guard
		url  string
		want Reason
	}{
		{"https to a name", none, "https://cdn.example.com/a.jpg?k=v", ""},
		{"https to a public address", none, "https://8.8.8.8/", ""},
		{"https to a private address", none, "https://10.0.0.1/", ReasonAddress},
		{"https to the metadata service", none, "https://169.254.169.254/latest/meta-data", ReasonAddress},
		{"https to a mapped loopback", none, "https://[::ffff:127.0.0.1]/", ReasonAddress},
		{"https to a zoned address", none, "https://[fe80::1%25eth0]/", ReasonAddress},
		{"http to a name", none, "http://cdn.example.com/a.jpg", ReasonScheme},
		{"http to a public address", none, "http://8.8.8.8/", ReasonScheme},
		{"http to loopback", none, "http://127.0.0.1:8090/", ReasonAddress},
		{"http to a listed host", hosts, "http://MEDIA.internal:9000/x", ""},
		{"http to a listed host with its dot", hosts, "http://media.internal./x", ""},
		{"http below a listed host", hosts, "http://a.media.internal/x", ReasonScheme},
		{"http to a host that ends like a listed one", hosts, "http://notmedia.internal/x", ReasonScheme},
		{"http to an address of a listed network", networks, "http://10.9.8.7/x", ""},
		{"http to listed loopback", networks, "http://[::1]:1234/x", ""},
		{"http to a name that may be in a listed network", networks, "http://minio.internal/x", ""},
		{"http to an address outside", networks, "http://8.8.8.8/", ReasonScheme},
		{"https to an address of no listed network", networks, "https://192.168.0.1/", ReasonAddress},
		{"another scheme", none, "ftp://cdn.example.com/a.jpg", ReasonURL},
		{"a file", none, "file:///etc/passwd", ReasonURL},
		{"no scheme", none, "cdn.example.com/a.jpg", ReasonURL},
		{"no host", none, "https:///a.jpg", ReasonURL},
		{"a port without a host", none, "https://:443/", ReasonURL},
		{"credentials", hosts, "https://user:pass@media.internal/", ReasonURL},
		{"no URL at all", none, "https://%zz", ReasonURL},
		{"nothing", none, "", ReasonURL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reason(t, tc.g.CheckURL(tc.url)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A literal address that CheckURL lets through is one that the dial lets
// through, and the other way round for https.
func FuzzCheckURLAgreesWithControl(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{8, 8, 8, 8})
	f.Add([]byte("\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		g, err := New([]string{"10.0.0.0/8", "fd00::/8"})
		if err != nil {
			t.Fatal(err)
		}
		hostPort := netip.AddrPortFrom(addr, 443).String()
		static, dial := g.CheckURL("https://"+hostPort+"/"), g.Control("tcp", hostPort, nil)
		if (static == nil) != (dial == nil) {
			t.Errorf("%s: CheckURL says %v, Control %v", addr, static, dial)
		}
		if dial == nil && (addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified()) {
			t.Errorf("%s is let through", addr)
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://cdn.example.com/a.jpg")
	f.Add("http://[::ffff:127.0.0.1]:80/")
	f.Fuzz(func(t *testing.T, raw string) {
		g, err := New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.CheckURL(raw); err == nil && !strings.HasPrefix(strings.ToLower(raw), "https:") {
			t.Errorf("%q is let through", raw)
		}
	})
}
