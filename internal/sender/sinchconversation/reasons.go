package sinchconversation

import (
	"time"

	"sluice/internal/gateway"
)

// reason is what a code of a delivery report means.
type reason struct {
	class    gateway.Class
	title    string
	cooldown bool // the recipient rests for suppressFor
}

// suppressFor is how long a recipient rests whom WhatsApp can't reach. People
// join it, or come back, without a word to us: nothing here stops them for good.
const suppressFor = 24 * time.Hour

// subcodeInactiveSender holds whatever code it comes with.
const subcodeInactiveSender = "INACTIVE_SENDER"

// reasons holds every documented code; it is only read. Source: Conversation
// API 1.0 and Sinch's own libraries, delivery report reasons.
var reasons = map[string]reason{
	// What may work later, as a new message: Sinch has tried for an hour already.
	"RATE_LIMITED":        {class: gateway.ClassTransient, title: "The channel's limit was met for too long"},
	"CHANNEL_FAILURE":     {class: gateway.ClassTransient, title: "The channel failed"},
	"INTERNAL_ERROR":      {class: gateway.ClassTransient, title: "Sinch failed"},
	"MEDIA_NOT_REACHABLE": {class: gateway.ClassTransient, title: "The file couldn't be fetched"},

	// The recipient.
	"RECIPIENT_INVALID_CHANNEL_IDENTITY": {class: gateway.ClassRecipient, title: "The recipient has no WhatsApp", cooldown: true},
	"RECIPIENT_NOT_REACHABLE":            {class: gateway.ClassRecipient, title: "The recipient can't be reached", cooldown: true},
	"RECIPIENT_NOT_OPTED_IN":             {class: gateway.ClassRecipient, title: "The recipient is not opted in at Sinch", cooldown: true},
	"CONTACT_NOT_FOUND":                  {class: gateway.ClassRecipient, title: "Sinch has no such contact"},
	"NO_CHANNEL_IDENTITY_FOR_CONTACT":    {class: gateway.ClassRecipient, title: "The contact has no WhatsApp identity"},
	"NO_CHANNELS_LEFT":                   {class: gateway.ClassRecipient, title: "No channel is left to try"},

	// The message.
	"BAD_REQUEST":                               {class: gateway.ClassPermanent, title: "The message is invalid"},
	"MEDIA_TYPE_UNSUPPORTED":                    {class: gateway.ClassPermanent, title: "The file's type isn't supported"},
	"MEDIA_TOO_LARGE":                           {class: gateway.ClassPermanent, title: "The file is too large"},
	"TEMPLATE_INSUFFICIENT_PARAMETERS":          {class: gateway.ClassPermanent, title: "The template needs more parameters"},
	"UNSUPPORTED_OPERATION":                     {class: gateway.ClassPermanent, title: "The operation isn't supported"},
	"MESSAGE_SPLIT_REQUIRED":                    {class: gateway.ClassPermanent, title: "The message is too long for one"},
	"TEMPLATE_NOT_FOUND":                        {class: gateway.ClassPolicy, title: "There is no such template"},
	"TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION": {class: gateway.ClassPolicy, title: "The template has no such language"},

	// Rules of the channel.
	"OUTSIDE_ALLOWED_SENDING_WINDOW":  {class: gateway.ClassPolicy, title: "The recipient's window is closed; only a template may be sent"},
	"DELIVERY_REJECTED_DUE_TO_POLICY": {class: gateway.ClassPolicy, title: "Rejected due to a policy"},
	"CHANNEL_REJECT":                  {class: gateway.ClassPolicy, title: "Rejected by the channel"},

	// The sender and its configuration.
	"CHANNEL_BAD_CONFIGURATION":     {class: gateway.ClassSuspended, title: "The app's channel is configured badly"},
	"CHANNEL_CONFIGURATION_MISSING": {class: gateway.ClassSuspended, title: "The app's channel isn't configured"},
	"UNKNOWN_APP":                   {class: gateway.ClassSuspended, title: "Sinch has no such app"},
	"NO_PERMISSION":                 {class: gateway.ClassSuspended, title: "The app may not do this"},
	"NO_PROFILE_AVAILABLE":          {class: gateway.ClassSuspended, title: "The app has no profile"},
	"INACTIVE_CREDENTIAL":           {class: gateway.ClassSuspended, title: "The channel's credential is inactive"},

	"MESSAGE_EXPIRED":    {class: gateway.ClassExpired, title: "Expired at Sinch"},
	"DELIVERY_TIMED_OUT": {class: gateway.ClassExpired, title: "Expired in the channel"},

	// It may have arrived all the same; a later report says so.
	"DELIVERY_REPORT_TIME_OUT": {class: gateway.ClassUnknown, title: "The channel never reported"},
	"UNKNOWN":                  {class: gateway.ClassUnknown, title: "Failed at the provider, which names no reason"},
}

func reasonOf(code, subcode string) reason {
	if subcode == subcodeInactiveSender {
		return reason{class: gateway.ClassSuspended, title: "The sender is inactive"}
	}
	if r, ok := reasons[code]; ok {
		return r
	}
	return reason{class: gateway.ClassUnknown, title: "Failed for a reason that isn't documented"}
}
