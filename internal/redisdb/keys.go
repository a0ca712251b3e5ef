// Package redisdb is what every package that speaks to Redis shares: how a
// client is built from a URL, and how keys are named.
package redisdb

import "sluice/internal/gateway"

// Key names a key of one account. All keys of an account carry its tag as
// their hash tag, so that one script can change them together, in a cluster
// too.
func Key(tag, name string) string { return "sl:{" + tag + "}:" + name }

// OwnerKey is the hash that names the worker which sends for the account:
// fields "worker" (empty: nobody), "epoch" (grows with every change of owner)
// and "next" (Unix milliseconds by Redis' clock before which the next owner
// must not send). It has no TTL.
func OwnerKey(id gateway.AccountID) string { return Key(id.Tag(), "owner") }

// WorkersKey names a key about the workers as a whole; they share one slot.
func WorkersKey(name string) string { return "sl:{workers}:" + name }

// DueKey is the sorted set of accounts by the Unix millisecond at which
// something of theirs is due at the latest.
const DueKey = "sl:due"
