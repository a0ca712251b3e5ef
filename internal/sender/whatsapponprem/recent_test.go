package whatsapponprem

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An account sends for years: what it remembers must not grow with that.
func TestRecentForgetsItsOldestKeys(t *testing.T) {
	r := newRecent[int, string](3)
	for key := range 10 {
		r.update(key, func(v *string) { *v += "a" })
		r.update(key, func(v *string) { *v += "b" }) // takes no second place
	}
	if diff := cmp.Diff(map[int]string{7: "ab", 8: "ab", 9: "ab"}, r.values); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if got := r.get(6); got != "" {
		t.Errorf("forgot nothing: %q", got)
	}
}
