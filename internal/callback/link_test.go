package callback

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/gateway"
)

const (
	shop gateway.AccountID = "shop-eu"
	desk gateway.AccountID = "desk.us_1"
)

var (
	secretOne = []byte("first-secret")
	secretTwo = []byte("second-secret")

	may     = time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)
	message = gateway.NewMessageID(shop, may)
	another = gateway.NewMessageID(shop, may)
	foreign = gateway.NewMessageID(desk, may)
)

// The mac is part of URLs that providers hold for a day; it must not change
// with a version. Expected: first 16 bytes of HMAC-SHA256, keyed by
// HKDF-SHA256(secret, no salt, domain), computed apart from this code.
func TestLinkIsStable(t *testing.T) {
	got := NewLinks("https://sluice.example/").For(shop, secretOne, "0123456789abcdefghjkmnpqrstvwxyz", 3)
	want := "https://sluice.example/callbacks/shop-eu/0123456789abcdefghjkmnpqrstvwxyz/3/lVkAcWJJ9I-D4ivQs3fC6A"
	if got != want {
		t.Errorf("For = %s, want %s", got, want)
	}
}

func TestLinksFor(t *testing.T) {
	tests := []struct {
		name      string
		publicURL string
		secret    []byte
		prefix    string // "": no URL
	}{
		{name: "the public URL is followed by the path", publicURL: "https://sluice.example", secret: secretOne, prefix: "https://sluice.example/callbacks/shop-eu/"},
		{name: "slashes at its end are not doubled", publicURL: "https://sluice.example//", secret: secretOne, prefix: "https://sluice.example/callbacks/shop-eu/"},
		{name: "a path in the public URL is kept", publicURL: "https://example.com/msg/", secret: secretOne, prefix: "https://example.com/msg/callbacks/shop-eu/"},
		{name: "without a public URL there is none", publicURL: "", secret: secretOne},
		{name: "without a secret there is none", publicURL: "https://sluice.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NewLinks(tt.publicURL).For(shop, tt.secret, message, 1)
			if tt.prefix == "" {
				if got != "" {
					t.Fatalf("For = %q, want none", got)
				}
				return
			}
			if !strings.HasPrefix(got, tt.prefix) {
				t.Fatalf("For = %q, want it to begin with %q", got, tt.prefix)
			}
			if u, err := url.Parse(got); err != nil || u.EscapedPath() != u.Path {
				t.Errorf("For = %q needs escaping (%v)", got, err)
			}
		})
	}
}

func TestCheckLink(t *testing.T) {
	mac := linkMAC(shop, secretOne, message, 2)
	flipped := "A" + mac[1:]
	if mac[0] == 'A' {
		flipped = "B" + mac[1:]
	}
	tests := []struct {
		name    string
		account gateway.AccountID
		secret  []byte
		message gateway.MessageID
		attempt int
		mac     string
		want    bool
	}{
		{"its own", shop, secretOne, message, 2, mac, true},
		{"another account", desk, secretOne, message, 2, mac, false},
		{"another secret", shop, secretTwo, message, 2, mac, false},
		{"another message", shop, secretOne, another, 2, mac, false},
		{"another attempt", shop, secretOne, message, 1, mac, false},
		{"one character changed", shop, secretOne, message, 2, flipped, false},
		{"cut short", shop, secretOne, message, 2, mac[:len(mac)-1], false},
		{"padded", shop, secretOne, message, 2, mac + "==", false},
		{"empty", shop, secretOne, message, 2, "", false},
		{"made with an empty secret", shop, nil, message, 2, linkMAC(shop, nil, message, 2), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CheckLink(tt.account, tt.secret, tt.message, tt.attempt, tt.mac); got != tt.want {
				t.Errorf("CheckLink = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLinkInputIsUnambiguous(t *testing.T) {
	// Without lengths these would be the same bytes.
	inputs := []string{
		string(linkInput("a", "bc", 1)), string(linkInput("ab", "c", 1)),
		string(linkInput("a", "b1", 1)), string(linkInput("a", "b", 11)),
	}
	seen := map[string]bool{}
	for _, in := range inputs {
		if seen[in] {
			t.Errorf("two links share the encoding %q", in)
		}
		seen[in] = true
	}
}

func TestParseLink(t *testing.T) {
	mac := linkMAC(shop, secretOne, message, 1)
	tests := []struct {
		name                           string
		account, message, attempt, mac string
		want                           bool
	}{
		{"as For writes it", string(shop), string(message), "1", mac, true},
		{"a later attempt", string(shop), string(message), "17", mac, true},
		{"attempt zero", string(shop), string(message), "0", mac, false},
		{"a negative attempt", string(shop), string(message), "-1", mac, false},
		{"a signed attempt", string(shop), string(message), "+1", mac, false},
		{"a leading zero", string(shop), string(message), "01", mac, false},
		{"an attempt that isn't a number", string(shop), string(message), "1e0", mac, false},
		{"an attempt beyond an int", string(shop), string(message), "99999999999999999999", mac, false},
		{"no account's name", "Shop EU", string(message), "1", mac, false},
		{"no message id", string(shop), "4711", "1", mac, false},
		{"a message of another account", string(shop), string(foreign), "1", mac, false},
		{"a short mac", string(shop), string(message), "1", mac[1:], false},
		{"a long mac", string(shop), string(message), "1", mac + "A", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := parseLink(tt.account, tt.message, tt.attempt, tt.mac); got != tt.want {
				t.Errorf("parseLink ok = %v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzLink: whatever a path holds, parsing doesn't panic, what it lets pass is
// written back as it was, and only the one true link is valid.
func FuzzLink(f *testing.F) {
	mac := linkMAC(shop, secretOne, message, 1)
	f.Add(string(shop), string(message), "1", mac)
	f.Add(string(shop), string(another), "1", mac)
	f.Add(string(desk), string(foreign), "01", mac)
	f.Add("", "", "", "")
	f.Add("..", "%2f", "9223372036854775808", strings.Repeat("\x00", len(mac)))
	f.Fuzz(func(t *testing.T, account, id, attempt, given string) {
		l, ok := parseLink(account, id, attempt, given)
		if !ok {
			return
		}
		if string(l.account) != account || string(l.message) != id || strconv.Itoa(l.attempt) != attempt || l.mac != given {
			t.Fatalf("%+v isn't %q/%q/%q/%q", l, account, id, attempt, given)
		}
		made := linkMAC(l.account, secretOne, l.message, l.attempt)
		if got := l.check([][]byte{secretTwo, secretOne}); got != (given == made) {
			t.Fatalf("check = %v for %q, made %q", got, given, made)
		}
	})
}
