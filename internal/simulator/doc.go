// Package simulator answers as the providers would: fake servers for their
// send endpoints, and callers of the gateway's callbacks. It is written from
// the providers' documents, not from the gateway's types, so that a mistake
// can't hide by being made twice. Each dialect has a file of its own; all
// share one pipeline, one ledger and one control endpoint.
//
// # Endpoints
//
//	POST /v23.0/{phone_number_id}/messages         Meta Cloud API: send, mark as read
//	GET  /v23.0/{phone_number_id}?fields=…         number health
//	POST /whatsapp/v1/{bot_id}/messages            Sinch WhatsApp API v1: send
//	GET  /whatsapp/v1/{bot_id}/capability          and POST
//	GET  /whatsapp/v1/{bot_id}/callbacks/status/{message_id}
//
//	GET    /_sim/messages?since=N&limit=   the ledger, the oldest first: a Page. It is searched
//	                          with account=, recipient=, message_id= and correlation=
//	GET    /_sim/stats        Stats
//	POST   /_sim/reset
//	GET    /_sim/faults
//	POST   /_sim/faults       one Fault
//	DELETE /_sim/faults?account=
//	POST   /_sim/inbound      one Inbound: {"account","from","text"}
//	POST   /_sim/challenge    {"account"}: the GET verification of the callback URL; a ChallengeResult
//	GET    /_sim/media/{name} photo.jpg photo.png clip.mp4 paper.pdf sticker.webp voice.ogg tune.mp3,
//	                          big.jpg?bytes=N, wrong.jpg (text said to be a picture), slow?ms=N
//
// A request is judged in this order: credentials, JSON, limits of the message
// objects, Content-Type, faults, rate, pair limit. The rate is a cap for any
// sliding second, measured at the moment a request has been read completely; a
// request beyond it is refused and doesn't count against it, while every other
// one with the right credentials does, whatever becomes of it.
//
// # Recipients that misbehave
//
// The last four digits of a recipient decide, unless Options.NoMagic is set.
// "Then" repeats from the beginning with the next message to the recipient.
//
//	ends in  Cloud                                      Sinch v1
//	0001     sent, delivered                            dispatched, sent, delivered
//	0002     sent, read; never delivered                dispatched, sent, read; never delivered
//	0003     failed 131026, undeliverable               no_capability
//	0004     failed 131047, outside the window          failed, outside the window
//	0005     failed 131049, marketing cap               failed, restrictions on how many messages
//	0006     failed 131050, and user_preferences stop   no_opt_in
//	0007     sent, nothing more                         dispatched, sent, nothing more
//	0008     sent, delivered, failed 131000             dispatched, sent, delivered, failed
//	0009     every status twice, the last first         likewise
//	0010     held for quality, then failed 132015       dispatched, deleted
//	0011     HTTP 500 code 131000 twice, then accepted  HTTP 503 twice, then accepted
//	0012     accepted, connection dropped, callbacks    likewise
//	0013     wa_id differs from the input               201 whose element says failure, no_capability
//	0014     statuses before the response               likewise
//	0015     130429 with Retry-After: 1, then accepted  429 with Retry-After: 1, then accepted
//	0016     131056 once, then accepted                 429 without Retry-After, then accepted
//
// # Faults
//
// A Fault says the same by request, for an account, a recipient or everyone.
// Of the faults that concern the exchange only the first that fits is applied
// to a request; those that concern callbacks add up.
//
//	throttle            130429 or 429; retry_after_s
//	pair_limit          131056 or 429
//	server_error        5xx in the provider's envelope; status, code
//	bare_error          5xx without one; status, body
//	error               any code; status, code, body
//	wrong_token         401
//	slow                accepted at once, answered after delay_ms
//	hang                not accepted, never answered
//	close_before        not accepted, connection closed
//	close_after         accepted, callbacks follow, connection closed without an answer
//	garbage             accepted, the body of the 200 or 201 is no JSON; body
//	id_missing          accepted, the 200 or 201 is as documented but names nobody and no id
//	callbacks_doubled   every status twice
//	callbacks_late      delay_ms later (default 5 s)
//	callbacks_reversed  the last status first
//	callbacks_early     before the response
//	callbacks_none      no status
//	callbacks_failed    failed with code (default 131000) instead of any other status
package simulator
