// Package sender takes one message at a time through its stages: load, check,
// allow, begin, call, record. It knows when an attempt may begin and what its
// outcome means; what a provider's requests and answers look like is the
// business of the packages below it, one for each system.
//
// A Desk is the sending side of one account on the worker that owns it.
package sender
