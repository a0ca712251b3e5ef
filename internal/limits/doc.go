// Package limits decides when an account may act: how many messages a second,
// how many calls at one time, how long until a failed one is tried again.
// Everything here lives in the process that owns the account, so it is exact
// and costs no round trip.
package limits
