// Package simulator answers as the providers would: fake servers for their
// send endpoints, and callers of the gateway's callbacks. It is written from
// the providers' documents, not from the gateway's types, so that a mistake
// can't hide by being made twice. Each dialect has files of its own; all share
// one pipeline, one ledger and one control endpoint. The Provisioning API sends
// nothing, and stands beside them.
//
// # Endpoints
//
//	POST /v23.0/{phone_number_id}/messages         Meta Cloud API: send, mark as read
//	POST /v23.0/{phone_number_id}/media            upload; GET and DELETE /v23.0/{media_id}
//	GET  /v23.0/{phone_number_id}?fields=…         number health
//	POST /whatsapp/v1/{bot_id}/messages            Sinch WhatsApp API v1: send
//	GET  /whatsapp/v1/{bot_id}/capability          and POST
//	GET  /whatsapp/v1/{bot_id}/callbacks/status/{message_id}
//	POST /whatsapp/v1/{bot_id}/provision/optin     and DELETE
//	POST /v2/send-message, /v2/send-media          WhatsApp Business API v2: send
//	POST /v2/messages                              send a template
//	GET  /v2/message-status?message_id=…
//	POST /v1/messages                              WhatsApp on-premises: send
//	PUT  /v1/messages/{id}                         mark as read
//	POST /v1/users/login, /v1/users/logout
//	POST /v1/contacts
//	POST /v1/media                                 GET and DELETE /v1/media/{id}
//	GET  /v1/health, /v1/stats, /v1/stats/app, /v1/stats/db, /metrics
//	POST /oauth2/token                             of the two below
//	POST /v1/projects/{project_id}/messages:send   Sinch Conversation API: send
//	GET  /v1/projects/{project_id}/messages        what was sent, if the account has a Retention
//	GET  /v1/projects/{project_id}/apps/{app_id}
//	     /v1/projects/{project_id}/whatsapp        Sinch Provisioning API: GET, POST, PATCH of the account, and under it
//	                                               enableTemplateAnalytics, longLivedAccessToken, wabaDetails,
//	                                               senders (list, get, create, update, delete, register, verify), templates (list, get)
//	     /v1/projects/{project_id}/webhooks        and /{id}: list, get, create, update, delete
//
//	GET    /_sim/messages?since=N&limit=   the ledger, the oldest first: a Page. It is searched
//	                          with account=, recipient=, message_id= and correlation=
//	GET    /_sim/stamps?since=N   the ledger as NDJSON, for who wants all of it: a Stamp a line
//	GET    /_sim/stats        Stats
//	GET    /_sim/accounts     {"accounts":[Rules]}: rate, pair limit, window, opt-in and templates in force
//	POST   /_sim/accounts     Rules, of which only what is there is set
//	POST   /_sim/reset
//	GET    /_sim/faults
//	POST   /_sim/faults       one Fault
//	DELETE /_sim/faults?account=
//	POST   /_sim/inbound      one Inbound: {"account","from","text"}
//	POST   /_sim/challenge    {"account"}: the GET verification of the callback URL; a ChallengeResult
//	POST   /_sim/provisioning one ProvisioningChange: what Sinch or Meta would do; webhooks are told
//	GET    /_sim/media/{name} photo.jpg photo.png clip.mp4 paper.pdf sticker.webp voice.ogg tune.mp3,
//	                          big.jpg?bytes=N, wrong.jpg (text said to be a picture), slow?ms=N
//
// A request is judged in this order: credentials (Conversation: and the
// project's rate), JSON, limits of the message objects, uploaded files,
// templates, Content-Type, faults, rate, pair limit. The rate is a cap for any
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
//	ends in  v2                             on-premises                    Conversation, after MESSAGE_SUBMIT
//	0001     sent, delivered                likewise                       QUEUED_ON_CHANNEL, DELIVERED
//	0002     sent, read                     likewise                       QUEUED_ON_CHANNEL, READ
//	0003     failed 132000                  failed 1013                    FAILED RECIPIENT_NOT_REACHABLE
//	0004     failed 400                     failed 470                     FAILED OUTSIDE_ALLOWED_SENDING_WINDOW
//	0005     failed 400                     failed 472                     FAILED DELIVERY_REJECTED_DUE_TO_POLICY
//	0006     failed 400                     failed 480                     FAILED RECIPIENT_NOT_OPTED_IN
//	0007     sent, nothing more             likewise                       QUEUED_ON_CHANNEL, nothing more
//	0008     sent, delivered, failed 500    likewise                       QUEUED_ON_CHANNEL, DELIVERED, FAILED CHANNEL_FAILURE
//	0009     every status twice, the last first                            likewise
//	0010     failed 134000                  failed 2061                    FAILED CHANNEL_REJECT
//	0011     HTTP 500 code 500 twice        HTTP 500 code 1000 twice       HTTP 503 twice
//	0012     accepted, connection dropped, callbacks                       likewise
//	0013     recipient differs              wa_id differs, in contacts too identity differs in callbacks
//	0014     statuses before the response                                  likewise
//	0015     HTTP 429 with Retry-After: 1: code 133000, 1015, RESOURCE_EXHAUSTED; then accepted
//	0016     the same without Retry-After
//	0017                                    1006 unknown contact, until contacts was asked
//
// On-premises "sent" is told only to accounts with SentCallbacks. A file of a
// type the provider doesn't take, judged by its ending, is accepted and fails
// later; so does, with Conversation, everything about content and templates,
// and with Sinch v1 a template that doesn't fit. The others refuse templates.
//
// # Faults
//
// A Fault says the same by request, for an account, a recipient (or all whose
// digits begin so: "4673*") or everyone.
// Of the faults that concern the exchange only the first that fits is applied
// to a request; those that concern callbacks add up.
//
//	throttle            429 in the provider's words: 130429, 133000, 1015; retry_after_s
//	pair_limit          131056, else as throttle
//	server_error        5xx in the provider's envelope; status, code
//	bare_error          5xx without one; status, body
//	error               any code; status, code, body. Conversation and Sinch v1 take the HTTP status as code
//	wrong_token         401
//	expire_tokens       at once, and once: tokens that on-premises logins and OAuth2 issued are stale; account
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
//	callbacks_none      no status is called back; v2, Sinch v1 tell it when asked
//	callbacks_failed    failed instead of any other status; code (default 131000, 500), Conversation: or reason
package simulator
