package sinchwhatsapp

import "sluice/internal/gateway"

// The words of the dialect's requests. Source: Sinch WhatsApp API v1, "Send
// WhatsApp messages" (2021).
const (
	wireText        = "text"
	wireImage       = "image"
	wireVideo       = "video"
	wireAudio       = "audio"
	wireDocument    = "document"
	wireSticker     = "sticker"
	wireLocation    = "location"
	wireContacts    = "contacts"
	wireInteractive = "interactive"
	wireTemplate    = "template"

	wireButton     = "button"
	wireList       = "list"
	wireReply      = "reply"
	wireQuickReply = "quick_reply"
	wireURL        = "url"
	wireCall       = "call"
)

// sendRequest is the body of POST /whatsapp/v1/{bot-id}/messages.
type sendRequest struct {
	To       []string `json:"to"` // digits without '+'
	Message  any      `json:"message"`
	Callback string   `json:"callback,omitempty"`
}

type textMessage struct {
	Type       string `json:"type"`
	Text       string `json:"text"`
	PreviewURL bool   `json:"preview_url,omitempty"`
}

// mediaObject is a message of its own, a header, or a template's media.
type mediaObject struct {
	Type     string `json:"type"`
	URL      string `json:"url,omitempty"`
	ID       string `json:"id,omitempty"` // sticker only
	Filename string `json:"filename,omitempty"`
	Caption  string `json:"caption,omitempty"`
	Provider string `json:"provider,omitempty"`
}

type locationMessage struct {
	Type    string           `json:"type"`
	Lat     *gateway.Degrees `json:"lat"`
	Lng     *gateway.Degrees `json:"lng"`
	Name    string           `json:"name,omitempty"`
	Address string           `json:"address,omitempty"`
}

// contactsMessage holds cards in the domain's own shape: the dialect took it
// from the same source, but for the labels in upper case.
type contactsMessage struct {
	Type     string            `json:"type"`
	Contacts []gateway.Contact `json:"contacts"`
}

type interactiveMessage struct {
	Type    string      `json:"type"`
	Message interactive `json:"message"`
}

type interactive struct {
	Type   string                   `json:"type"`
	Header any                      `json:"header,omitempty"` // textHeader or mediaObject
	Body   *gateway.InteractiveText `json:"body"`
	Footer *gateway.InteractiveText `json:"footer,omitempty"`
	Action any                      `json:"action"` // buttonAction or listAction
}

type textHeader struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type buttonAction struct {
	Buttons []replyButton `json:"buttons"`
}

type replyButton struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Title string `json:"title"`
}

type listAction struct {
	Button   string    `json:"button"`
	Sections []section `json:"sections"`
}

type section struct {
	Title string        `json:"title,omitempty"`
	Rows  []gateway.Row `json:"rows"`
}

type templateMessage struct {
	Type         string           `json:"type"`
	TemplateName string           `json:"template_name"`
	Language     string           `json:"language"`
	HeaderParams []string         `json:"header_params,omitempty"`
	BodyParams   []string         `json:"body_params,omitempty"`
	Media        *mediaObject     `json:"media"` // always there: {"type":"text"} without a file
	Buttons      []templateButton `json:"buttons,omitempty"`
}

type templateButton struct {
	Type      string `json:"type"`
	Parameter string `json:"parameter,omitempty"` // url
	Payload   string `json:"payload,omitempty"`   // quick_reply
}
