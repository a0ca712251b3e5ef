package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// The envelope of the Conversation API's callbacks. It has one payload.
type (
	conversationEnvelope struct {
		AppID         string                    `json:"app_id"`
		ProjectID     string                    `json:"project_id"`
		AcceptedTime  string                    `json:"accepted_time"`
		EventTime     string                    `json:"event_time"`
		CorrelationID string                    `json:"correlation_id,omitempty"`
		Submit        *conversationNotification `json:"message_submit_notification,omitempty"`
		Report        *conversationNotification `json:"message_delivery_report,omitempty"`
		Message       *conversationInbound      `json:"message,omitempty"`
	}
	conversationNotification struct {
		MessageID       string               `json:"message_id"`
		ConversationID  string               `json:"conversation_id"`
		Status          string               `json:"status,omitempty"` // of a report
		ChannelIdentity conversationIdentity `json:"channel_identity"`
		ContactID       string               `json:"contact_id"`
		Reason          *conversationReason  `json:"reason,omitempty"`
		Submitted       json.RawMessage      `json:"submitted_message,omitempty"` // of a submission
		Metadata        string               `json:"metadata"`
		ProcessingMode  string               `json:"processing_mode"`
	}
	conversationReason struct {
		Code        string `json:"code"`
		Description string `json:"description"`
		SubCode     string `json:"sub_code"`
		ChannelCode string `json:"channel_code,omitempty"`
	}
	conversationInbound struct {
		ID              string               `json:"id"`
		Direction       string               `json:"direction"`
		ContactMessage  conversationContent  `json:"contact_message"`
		ChannelIdentity conversationIdentity `json:"channel_identity"`
		ConversationID  string               `json:"conversation_id"`
		ContactID       string               `json:"contact_id"`
		Metadata        string               `json:"metadata"`
		AcceptTime      string               `json:"accept_time"`
		SenderID        string               `json:"sender_id"`
		ProcessingMode  string               `json:"processing_mode"`
		Injected        bool                 `json:"injected"`
	}
	conversationContent struct {
		Text conversationText `json:"text_message"`
	}
	conversationText struct {
		Text string `json:"text"`
	}
)

// conversationReasons is what the API makes of the channel's codes.
var conversationReasons = map[int]string{
	codeSomethingWrong:   "CHANNEL_FAILURE",
	codeInvalid:          "BAD_REQUEST",
	codeMissing:          "BAD_REQUEST",
	codeParameter:        "BAD_REQUEST",
	codeRate:             "RATE_LIMITED",
	codePair:             "RATE_LIMITED",
	codeSpam:             "RATE_LIMITED",
	codeUndeliverable:    "RECIPIENT_NOT_REACHABLE",
	codeWindow:           "OUTSIDE_ALLOWED_SENDING_WINDOW",
	codeEcosystem:        "DELIVERY_REJECTED_DUE_TO_POLICY",
	codeStopped:          "RECIPIENT_NOT_OPTED_IN",
	codeMediaUpload:      "MEDIA_TYPE_UNSUPPORTED",
	codeTemplateCount:    "TEMPLATE_INSUFFICIENT_PARAMETERS",
	codeNoTemplate:       "TEMPLATE_NOT_FOUND",
	codeTemplatePaused:   "CHANNEL_REJECT",
	codeTemplateDisabled: "CHANNEL_REJECT",
	codeTemplateFormat:   "BAD_REQUEST",
}

func conversationReasonOf(r *report) *conversationReason {
	code := r.code
	if code == 0 && r.reason == "" {
		code = codeSomethingWrong
	}
	reason := conversationReason{Code: orText(r.reason, orText(conversationReasons[code], "UNKNOWN")), SubCode: "UNSPECIFIED_SUB_CODE"}
	reason.Description = orText(r.detail, reason.Code)
	if code != 0 {
		reason.ChannelCode = strconv.Itoa(code)
		reason.Description = orText(r.detail, orText(cloudErrors[code].title, reason.Code))
	}
	if reason.Code == "CHANNEL_BAD_CONFIGURATION" {
		reason.SubCode = "INACTIVE_SENDER"
	}
	return &reason
}

func (c *conversation) batches() bool { return false }

func (c *conversation) statuses(a *account, reports []report) []byte {
	r := &reports[0]
	n := &conversationNotification{
		MessageID: r.id, ChannelIdentity: conversationIdentity{Channel: "WHATSAPP", Identity: r.recipient},
		Metadata: r.correlation, ProcessingMode: "DISPATCH",
	}
	envelope := c.envelope(a, r.at)
	if a.Retention > 0 { // else it is forgotten at once
		envelope.CorrelationID = r.reference
	}
	switch r.state {
	case stateDispatched:
		n.Submitted = r.content
		envelope.Submit = n
		return mustJSON(envelope)
	case stateSent:
		n.Status = "QUEUED_ON_CHANNEL"
	case stateDelivered:
		n.Status = "DELIVERED"
	case stateRead:
		n.Status = "READ"
	default:
		n.Status, n.Reason = "FAILED", conversationReasonOf(r)
	}
	envelope.Report = n
	return mustJSON(envelope)
}

func (c *conversation) envelope(a *account, at time.Time) conversationEnvelope {
	return conversationEnvelope{
		AppID: a.AppID, ProjectID: a.ProjectID, AcceptedTime: conversationTime(at), EventTime: conversationTime(at),
	}
}

func (c *conversation) inbound(a *account, in Inbound, id string, at time.Time) []byte {
	envelope := c.envelope(a, at)
	envelope.Message = &conversationInbound{
		ID: id, Direction: "TO_APP", ContactMessage: conversationContent{conversationText{in.Text}},
		ChannelIdentity: conversationIdentity{Channel: "WHATSAPP", Identity: in.From},
		AcceptTime:      conversationTime(at), SenderID: a.SenderID, ProcessingMode: "DISPATCH",
	}
	return mustJSON(envelope)
}

// sign signs what goes to a request's own URL with the secret for those.
func (c *conversation) sign(a *account, target string, body []byte, h http.Header) {
	secret := a.WebhookSecret
	if target != a.CallbackURL {
		secret = orText(a.OverrideSecret, secret)
	}
	if secret == "" {
		return
	}
	nonce, timestamp := rand.Text(), unixText(c.s.opts.Now())
	h.Set("x-sinch-webhook-signature", conversationSignature(secret, body, nonce, timestamp))
	h.Set("x-sinch-webhook-signature-algorithm", "HmacSHA256")
	h.Set("x-sinch-webhook-signature-nonce", nonce)
	h.Set("x-sinch-webhook-signature-timestamp", timestamp)
}

func conversationSignature(secret string, body []byte, nonce, timestamp string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	mac.Write([]byte("." + nonce + "." + timestamp))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *conversation) judge(status int) verdict {
	if status >= 200 && status < 300 {
		return callbackTaken
	}
	return callbackAgain // every other answer
}
