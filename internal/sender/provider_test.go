package sender

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        time.Duration
	}{
		{"nothing is no wish", "", 0},
		{"nonsense is no wish", "soon", 0},
		{"seconds", "7", 7 * time.Second},
		{"seconds among spaces", " 7 ", 7 * time.Second},
		{"a negative number is no wish", "-10000000000", 0},
		{"seconds for an hour at most", "99999999999", time.Hour},
		{"a number beyond all is no wish", "99999999999999999999", 0},
		{"a date", "Sat, 21 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"a date that has passed is no wish", "Sat, 21 Nov 2026 11:59:30 GMT", 0},
		{"a date for an hour at most", "Sun, 22 Nov 2026 12:00:00 GMT", time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := RetryAfter(http.Header{"Retry-After": {tc.value}}, now); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}
