// Package callback is where providers report back. Ingress takes their
// callbacks in over HTTP: it authenticates the raw bytes, has what they carry
// stored durably, and only then answers 200. Links makes the URLs by which a
// provider without correlation data names the attempt it reports on.
//
// # What a provider is answered
//
// Every provider repeats what isn't answered with 200 for a bounded time: Meta
// for up to 7 days, the on-premises client for about 24 hours, Sinch for about
// 23 hours and, as far as is known, only after a 5xx or 429 (Cloud API
// reference, webhooks; on-premises reference, webhooks; Sinch WhatsApp
// reference, callbacks). So an answer says whether a repetition can help:
//
//   - 200: stored, or nothing in it concerns us (unknown keys).
//   - 400: authentic, but not JSON. There is nothing in it to lose, and no
//     later version of ours could read it.
//   - 401: not authentic, for whatever reason; the caller isn't told which.
//   - 403: a verification challenge with another token.
//   - 413: longer than MaxBody.
//   - 503: our own fault. The store didn't confirm, the body didn't arrive in
//     time, or it is authentic JSON of a shape we can't read. The last is
//     answered so because a version that can read it, deployed while the
//     provider still repeats it, loses nothing; what could be read of it is
//     stored at once.
package callback
