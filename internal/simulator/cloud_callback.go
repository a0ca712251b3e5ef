package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"
)

// The envelope of the Cloud API's webhooks (webhooks reference, messages).
type (
	cloudEnvelope struct {
		Object string       `json:"object"`
		Entry  []cloudEntry `json:"entry"`
	}
	cloudEntry struct {
		ID      string        `json:"id"`
		Changes []cloudChange `json:"changes"`
	}
	cloudChange struct {
		Value cloudValue `json:"value"`
		Field string     `json:"field"`
	}
	cloudValue struct {
		MessagingProduct string                 `json:"messaging_product"`
		Metadata         cloudMetadata          `json:"metadata"`
		Contacts         []cloudWriter          `json:"contacts,omitempty"`
		Messages         []cloudInbound         `json:"messages,omitempty"`
		Statuses         []cloudStatus          `json:"statuses,omitempty"`
		UserPreferences  []cloudUserPreferences `json:"user_preferences,omitempty"`
	}
	cloudMetadata struct {
		DisplayPhoneNumber string `json:"display_phone_number"`
		PhoneNumberID      string `json:"phone_number_id"`
	}
	cloudStatus struct {
		ID           string             `json:"id"`
		Status       string             `json:"status"`
		Timestamp    string             `json:"timestamp"`
		RecipientID  string             `json:"recipient_id"`
		CallbackData string             `json:"biz_opaque_callback_data,omitempty"`
		Conversation *cloudConversation `json:"conversation,omitempty"`
		Pricing      *cloudPricing      `json:"pricing,omitempty"`
		Errors       []cloudStatusError `json:"errors,omitempty"`
	}
	cloudConversation struct {
		ID         string      `json:"id"`
		Expiration string      `json:"expiration_timestamp,omitempty"` // with "sent" only
		Origin     cloudOrigin `json:"origin"`
	}
	cloudOrigin struct {
		Type string `json:"type"`
	}
	cloudPricing struct {
		Billable bool   `json:"billable"`
		Model    string `json:"pricing_model"`
		Type     string `json:"type"`
		Category string `json:"category"`
	}
	cloudStatusError struct {
		Code      int            `json:"code"`
		Title     string         `json:"title"`
		Message   string         `json:"message"`
		ErrorData cloudErrorData `json:"error_data"`
		Href      string         `json:"href"`
	}
	cloudWriter struct {
		Profile cloudProfile `json:"profile"`
		WaID    string       `json:"wa_id"`
	}
	cloudProfile struct {
		Name string `json:"name"`
	}
	cloudInbound struct {
		From      string    `json:"from"`
		ID        string    `json:"id"`
		Timestamp string    `json:"timestamp"`
		Type      string    `json:"type"`
		Text      cloudText `json:"text"`
	}
	cloudText struct {
		Body string `json:"body"`
	}
	cloudUserPreferences struct {
		WaID      string `json:"wa_id"`
		Detail    string `json:"detail"`
		Category  string `json:"category"`
		Value     string `json:"value"`
		Timestamp int64  `json:"timestamp"` // a number, unlike all others
	}
)

const cloudErrorsPage = "/documentation/business-messaging/whatsapp/support/error-codes"

func (c *cloud) batches() bool { return true }

func (c *cloud) statuses(a *account, reports []report) []byte {
	messages := cloudChange{Field: "messages", Value: c.value(a)}
	var changes []cloudChange
	for i := range reports {
		r := &reports[i]
		if r.state == stateStopMarketing {
			change := cloudChange{Field: "user_preferences", Value: c.value(a)}
			change.Value.Contacts = []cloudWriter{{Profile: cloudProfile{Name: "Recipient"}, WaID: r.recipient}}
			change.Value.UserPreferences = []cloudUserPreferences{{
				WaID: r.recipient, Detail: "User requested to stop marketing messages", Category: "marketing_messages",
				Value: "stop", Timestamp: r.at.Unix(),
			}}
			changes = append(changes, change)
			continue
		}
		messages.Value.Statuses = append(messages.Value.Statuses, c.status(r))
	}
	if len(messages.Value.Statuses) > 0 {
		changes = append([]cloudChange{messages}, changes...)
	}
	return c.envelope(a, changes...)
}

func (c *cloud) status(r *report) cloudStatus {
	st := cloudStatus{
		ID: r.id, Status: cloudState(r.state), Timestamp: unixText(r.at), RecipientID: r.recipient, CallbackData: r.correlation,
	}
	category, billable, pricing := "service", false, "free_customer_service"
	if r.kind == "template" {
		category, billable, pricing = "utility", true, "regular"
	}
	switch r.state {
	case stateSent, stateDelivered, stateRead:
		if r.priced {
			h := fnv.New64a()
			_, _ = h.Write([]byte(r.recipient)) // never fails
			st.Conversation = &cloudConversation{ID: fmt.Sprintf("%016x", h.Sum64()), Origin: cloudOrigin{Type: category}}
			st.Pricing = &cloudPricing{Billable: billable, Model: "PMP", Type: pricing, Category: category}
			if r.state == stateSent {
				st.Conversation.Expiration = unixText(r.at.Add(24 * time.Hour))
			}
		}
	case stateFailed:
		code := orDefault(r.code, codeSomethingWrong)
		title := orText(cloudErrors[code].title, "Simulated error")
		st.Errors = []cloudStatusError{{
			Code: code, Title: title, Message: title,
			ErrorData: cloudErrorData{Details: orText(r.detail, title)}, Href: cloudErrorsPage,
		}}
	case stateDispatched, stateDeleted, stateNoCapability, stateNoOptIn, stateStopMarketing:
	}
	return st
}

func cloudState(s state) string {
	switch s {
	case stateSent:
		return "sent"
	case stateDelivered:
		return "delivered"
	case stateRead:
		return "read"
	case stateDeleted:
		return "deleted"
	case stateFailed, stateDispatched, stateNoCapability, stateNoOptIn, stateStopMarketing:
	}
	return "failed"
}

func (c *cloud) inbound(a *account, in Inbound, id string, at time.Time) []byte {
	change := cloudChange{Field: "messages", Value: c.value(a)}
	change.Value.Contacts = []cloudWriter{{Profile: cloudProfile{Name: orText(in.Name, "Recipient")}, WaID: in.From}}
	change.Value.Messages = []cloudInbound{{From: in.From, ID: id, Timestamp: unixText(at), Type: "text", Text: cloudText{Body: in.Text}}}
	return c.envelope(a, change)
}

func (c *cloud) value(a *account) cloudValue {
	return cloudValue{
		MessagingProduct: "whatsapp",
		Metadata:         cloudMetadata{DisplayPhoneNumber: a.digits, PhoneNumberID: a.SenderID},
	}
}

func (c *cloud) envelope(a *account, changes ...cloudChange) []byte {
	return metaJSON(cloudEnvelope{Object: "whatsapp_business_account", Entry: []cloudEntry{{ID: a.BusinessID, Changes: changes}}})
}

func unixText(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// metaJSON marshals as Meta does, everything beyond ASCII as \uXXXX and '/' as
// '\/', so that a receiver that signs what it marshalled anew can't pass.
func metaJSON(v any) []byte {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("simulator: marshal %T: %v", v, err)) // values of ours always marshal
	}
	in := bytes.TrimSuffix(plain.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(in)+len(in)/8)
	for len(in) > 0 {
		switch b := in[0]; {
		case b == '/':
			out = append(out, '\\', '/')
			in = in[1:]
		case b < utf8.RuneSelf:
			out = append(out, b)
			in = in[1:]
		default:
			r, n := utf8.DecodeRune(in)
			if r > 0xffff {
				r -= 0x10000
				out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			in = in[n:]
		}
	}
	return out
}

func (c *cloud) sign(a *account, _ string, body []byte, h http.Header) {
	if a.Secret == "" {
		return
	}
	mac := hmac.New(sha256.New, []byte(a.Secret))
	mac.Write(body)
	h.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// challenge is the GET that Meta makes when a callback URL is entered.
func (c *cloud) challenge(a *account) (address, want string, err error) {
	if a.CallbackURL == "" {
		return "", "", errors.New("the account has no callback URL")
	}
	u, err := url.Parse(a.CallbackURL)
	if err != nil {
		return "", "", fmt.Errorf("callback URL: %w", err)
	}
	want = strconv.FormatUint(1_000_000_000+c.s.run%1_000_000_000+c.s.nextID(), 10)
	q := u.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", want)
	q.Set("hub.verify_token", a.VerifyToken)
	u.RawQuery = q.Encode()
	return u.String(), want, nil
}
