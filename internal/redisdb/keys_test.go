package redisdb

import (
	"strings"
	"testing"
)

// Keys outlive a release: a worker of the next one must find what this one
// wrote.
func TestKeyNamesNeverChange(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"a key of an account", Key("hh7091b2", "outbox"), "sl:{hh7091b2}:outbox"},
		{"the owner of an account", OwnerKey("shop-eu"), "sl:{hh7091b2}:owner"},
		{"a key of the workers", WorkersKey("alive"), "sl:{workers}:alive"},
		{"the index of due accounts", DueKey, "sl:due"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}

// tag is the part of a key that decides its slot (Redis Cluster specification,
// hash tags).
func tag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, found := strings.Cut(rest, "}")
	if !found || tag == "" {
		return key
	}
	return tag
}

func TestKeysOfOneAccountShareASlot(t *testing.T) {
	want := "hh7091b2"
	for _, key := range []string{Key(want, "m:1"), Key(want, "a{b}c"), OwnerKey("shop-eu")} {
		if got := tag(key); got != want {
			t.Errorf("%s hashes by %q", key, got)
		}
	}
	if a, b := WorkersKey("alive"), WorkersKey("nonce"); tag(a) != tag(b) {
		t.Errorf("%s and %s are apart", a, b)
	}
}
