// Package outbound tells callers what becomes of their messages: one signed
// POST for each change of a message's status, after the Standard Webhooks
// specification.
//
// # What a receiver sees
//
// The body is {"type":"message.status","timestamp","data":{…}}, the same bytes
// with every try. Header webhook-id names the notice for ever and is made for
// recognising a repetition: what was confirmed may come again if the
// confirmation got lost. Header webhook-timestamp is of the try, in Unix
// seconds. Header webhook-signature has a signature for each secret, so that
// receivers can change from one to the other at any time in between; without
// any secret there is no such header.
//
// Notices of one message come in order. 2xx confirms; 410 ends this notice;
// everything else, redirects too, has it told again with growing waits, for a
// day. Retry-After is honoured, up to an hour.
//
// # Who waits for whom
//
// A receiver (a host and port) that is slow, dead or has a backlog delays
// nobody else:
//
//   - It has at most Options.PerReceiver calls open at one time, and a few
//     notices that wait for those. Only if Parallel/PerReceiver receivers are
//     slow at one time can a notice to another wait for a call to end.
//   - After some calls in a row that brought no answer, or one that says the
//     receiver can't answer now (429, 502, 503, 504), it is shut: nothing calls
//     it but single probes, with growing waits between them, until one is
//     answered.
//   - What is claimed for it beyond that is put off, with no call made and no
//     try counted, each to a time of its own behind the others. So however much
//     waits for it, it comes back at a bounded pace and is never what the next
//     claims are full of.
package outbound
