package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestAccountIDValid(t *testing.T) {
	for _, tc := range []struct {
		name string
		id   AccountID
		want bool
	}{
		{"letters, digits, dashes", "shop-eu", true},
		{"one letter", "a", true},
		{"a digit first", "0.b_c-d", true},
		{"64 characters", AccountID(strings.Repeat("a", 64)), true},
		{"65 characters", AccountID(strings.Repeat("a", 65)), false},
		{"nothing", "", false},
		{"a dash first", "-a", false},
		{"a dot first", ".a", false},
		{"an underscore first", "_a", false},
		{"a capital", "Shop", false},
		{"a space", "shop eu", false},
		{"a slash", "shop/eu", false},
		{"a colon, which keys use", "shop:eu", false},
		{"a brace, which hash tags use", "shop{eu}", false},
		{"a letter outside ASCII", "affär", false},
		{"broken UTF-8", "shop\xff", false},
		{"a line break", "shop\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.id.Valid(); got != tc.want {
				t.Errorf("%q: %t", tc.id, got)
			}
		})
	}
}

// Tags stand in ids and keys that outlive a release: they never change. By
// hand: the first 40 bits of the SHA-256 sum, five at a time.
func TestAccountTagIsTheSameForEver(t *testing.T) {
	for id, want := range map[AccountID]string{
		// sha256("shop-eu") = 8c4e048562…: 10001 10001 00111 00000 01001 00001 01011 00010
		"shop-eu": "hh7091b2",
		// sha256("a") = ca978112ca…: 11001 01010 01011 11000 00010 00100 10110 01010
		"a": "sabr24pa",
	} {
		if got := id.Tag(); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestIDsKnowTheirAccount(t *testing.T) {
	message, batch := NewMessageID("shop-eu", noon), NewBatchID("shop-eu", noon)
	if !message.Valid() || !batch.Valid() {
		t.Errorf("%q and %q should be valid", message, batch)
	}
	want := AccountID("shop-eu").Tag()
	if message.Tag() != want || batch.Tag() != want {
		t.Errorf("tags %q and %q, want %q", message.Tag(), batch.Tag(), want)
	}
	if other := NewMessageID("shop-us", noon); other.Tag() == want {
		t.Errorf("two accounts have the tag %q", want)
	}
}

func TestIDValid(t *testing.T) {
	good := string(NewMessageID("shop-eu", noon))
	for _, tc := range []struct {
		name, id string
		want     bool
	}{
		{"one of ours", good, true},
		{"nothing", "", false},
		{"a character less", good[:31], false},
		{"a character more", good + "0", false},
		{"in capitals", strings.ToUpper(good), false},
		{"a letter the alphabet leaves out, in the middle", good[:10] + "l" + good[11:], false},
		{"a letter the alphabet leaves out, at the end", good[:31] + "u", false},
		{"a colon, which keys use", good[:31] + ":", false},
		{"a line break", good[:31] + "\n", false},
		{"a provider's", "wamid.HBgLMTY1MDU1NTEyMzQVAgARGB", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := MessageID(tc.id).Valid(); got != tc.want {
				t.Errorf("message %q: %t", tc.id, got)
			}
			if got := BatchID(tc.id).Valid(); got != tc.want {
				t.Errorf("batch %q: %t", tc.id, got)
			}
		})
	}
	if got := MessageID("short").Tag(); got != "" {
		t.Errorf("what is too short for a tag has the tag %q", got)
	}
}

func TestIDsAreUnique(t *testing.T) {
	seen := make(map[MessageID]bool)
	for range 20_000 {
		id := NewMessageID("shop-eu", noon)
		if seen[id] {
			t.Fatalf("%q twice in one nanosecond", id)
		}
		seen[id] = true
	}
}

func TestIDsSortByTime(t *testing.T) {
	var ids []MessageID
	for _, d := range []time.Duration{
		-50 * 365 * 24 * time.Hour, -time.Hour, -time.Millisecond, -1, 0, 1, 31, 32, 255, 256, time.Microsecond,
		time.Millisecond, time.Second, 200 * 365 * 24 * time.Hour,
	} {
		ids = append(ids, NewMessageID("shop-eu", noon.Add(d)))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order: %q", ids)
	}
	if NewMessageID("a", noon.In(time.FixedZone("east", 3600)))[:20] != NewMessageID("a", noon)[:20] {
		t.Error("the zone of a time makes a difference")
	}
}

func TestFirstMessageIDIsABound(t *testing.T) {
	first, next := FirstMessageID("shop-eu", noon), FirstMessageID("shop-eu", noon.Add(1))
	if !first.Valid() {
		t.Errorf("%q isn't valid", first)
	}
	for range 1000 {
		if id := NewMessageID("shop-eu", noon); id < first || id >= next {
			t.Fatalf("%q isn't between %q and %q", id, first, next)
		}
	}
	if before := NewMessageID("shop-eu", noon.Add(-1)); before >= first {
		t.Errorf("%q of the nanosecond before isn't below %q", before, first)
	}
}

func TestFirstMessageIDBeforeItsTimeIsBelowEveryID(t *testing.T) {
	lowest := MessageID(AccountID("shop-eu").Tag() + "000000000000000000000000")
	for _, at := range []time.Time{
		{}, time.Unix(0, -1), time.Unix(-1, 0), time.Date(1677, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0),
	} {
		if first := FirstMessageID("shop-eu", at); first != lowest {
			t.Errorf("%v: %q, want %q", at, first, lowest)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(0, 0), noon} {
		if id := NewMessageID("shop-eu", at); id <= lowest || !id.Valid() {
			t.Errorf("%q of %v isn't above %q", id, at, lowest)
		}
	}
	late := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if id := NewMessageID("shop-eu", noon); FirstMessageID("shop-eu", late) <= id {
		t.Errorf("%q of the far future isn't above %q", FirstMessageID("shop-eu", late), id)
	}
}

// An id that is valid has the one length and the one alphabet there are, and
// stands between the first id of its account and time and the next.
func FuzzMessageID(f *testing.F) {
	f.Add(string(NewMessageID("shop-eu", noon)))
	f.Add(string(FirstMessageID("shop-eu", time.Time{})))
	f.Add(strings.Repeat("i", idLength))
	f.Add(strings.Repeat("\u00e9", idLength/2))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id := MessageID(s)
		if id.Valid() != BatchID(s).Valid() || id.Tag() != BatchID(s).Tag() {
			t.Errorf("%q: a message's and a batch's differ", s)
		}
		if !strings.HasPrefix(s, id.Tag()) || len(id.Tag()) != 0 && len(id.Tag()) != tagLength {
			t.Errorf("%q: tag %q", s, id.Tag())
		}
		if !id.Valid() {
			return
		}
		if len(s) != idLength || strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(idAlphabet, r) }) {
			t.Errorf("%q is let through", s)
		}
		if b, err := idEncoding.DecodeString(s[tagLength:]); err != nil || idEncoding.EncodeToString(b) != s[tagLength:] {
			t.Errorf("%q can't be read: %v", s, err)
		}
	})
}

func FuzzParseProviderMessageID(f *testing.F) {
	for _, n := range []int{0, 1, maxProviderMessageID, maxProviderMessageID + 1, 1 << 20} {
		f.Add(strings.Repeat("w", n))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id := ParseProviderMessageID(s); string(id) != s && (id != "" || len(s) <= maxProviderMessageID) || len(id) > maxProviderMessageID {
			t.Errorf("%.40q… of %d bytes is read as one of %d", s, len(s), len(id))
		}
	})
}
