package limits

import (
	"math"
	"time"

	"sluice/internal/gateway"
)

// How an account comes back from a throttle: at half of what it sent before,
// then by a tenth of its rate each five seconds. From a half that takes 25
// seconds, from the least 45.
const (
	rampLeast = 1.0 / 8
	rampGain  = 0.1
	rampEvery = 5 * time.Second
)

// Slower is the ramp after a throttle of a call that was sent then, for which
// the account is held until a time. Calls sent before the account came back from
// its last throttle belong to that one: they halve nothing again.
func Slower(r gateway.Ramp, sent, until time.Time) gateway.Ramp {
	if r.Share > 0 && !sent.After(r.From) {
		if r.From.Before(until) {
			r.From = until
		}
		return r
	}
	return gateway.Ramp{Share: max(share(r, sent)/2, rampLeast), From: until}
}

// RampRate is what a ramp leaves of a rate at a time: whole messages a second,
// and at least one.
func RampRate(perSecond float64, r gateway.Ramp, now time.Time) float64 {
	part := share(r, now)
	if part >= 1 {
		return perSecond
	}
	return max(math.Floor(perSecond*part), min(perSecond, 1))
}

// share is the part of the rate that may be used.
func share(r gateway.Ramp, now time.Time) float64 {
	if r.Share <= 0 {
		return 1
	}
	steps := max(now.Sub(r.From)/rampEvery, 0)
	// The sum of tenths must come to the whole.
	return min(math.Round((r.Share+rampGain*float64(steps))*1e9)/1e9, 1)
}
