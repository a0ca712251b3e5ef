package whatsappv2

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"sluice/internal/gateway"
)

// dialect is the provider's name as callers know it.
const dialect = string(gateway.WhatsAppV2)

// maxTemplateButtons is how many buttons a template may have here.
const maxTemplateButtons = 3

// policyDeterministic is how a template's language is always chosen: the one
// named, or none.
const policyDeterministic = "deterministic"

// documentExtensions are the formats of documents. The file is known by its
// link only, and must say there what it is.
var documentExtensions = []string{".pdf", ".docx", ".xlsx", ".pptx", ".txt"}

// rendered is a message in the dialect's form: one of the three.
type rendered struct {
	text     *textBody
	media    *mediaBody
	template *templateBody
}

func (r *rendered) path() string {
	switch {
	case r.text != nil:
		return "/send-message"
	case r.media != nil:
		return "/send-media"
	}
	return "/messages"
}

func (r *rendered) body() any {
	switch {
	case r.text != nil:
		return r.text
	case r.media != nil:
		return r.media
	}
	return r.template
}

// textBody is the body of POST /send-message.
type textBody struct {
	PhoneNumber gateway.Recipient         `json:"phone_number"` // with its '+'
	Message     string                    `json:"message"`
	PreviewURL  bool                      `json:"preview_url,omitempty"`
	ReplyTo     gateway.ProviderMessageID `json:"reply_to,omitempty"`
}

// mediaBody is the body of POST /send-media.
type mediaBody struct {
	PhoneNumber gateway.Recipient   `json:"phone_number"` // with its '+'
	MediaType   gateway.ContentType `json:"media_type"`
	MediaURL    string              `json:"media_url"`
	Caption     string              `json:"caption,omitempty"`
}

// templateBody is the body of POST /messages, which is as the Cloud API's but
// for messaging_product.
type templateBody struct {
	To       string              `json:"to"` // without its '+'
	Type     gateway.ContentType `json:"type"`
	Template template            `json:"template"`
}

type template struct {
	Name       string      `json:"name"`
	Language   language    `json:"language"`
	Components []component `json:"components,omitempty"`
}

type language struct {
	Code string `json:"code"`
}

type component struct {
	Type       string               `json:"type"`
	SubType    string               `json:"sub_type,omitempty"`
	Index      *gateway.ButtonIndex `json:"index,omitempty"` // a number, unlike the Cloud API's
	Parameters []parameter          `json:"parameters,omitempty"`
}

type parameter struct {
	Type    string  `json:"type"`
	Text    string  `json:"text,omitempty"`
	Payload *string `json:"payload,omitempty"` // may be empty
}

// renderer builds the dialect's form of a message and notes on the way what
// the dialect can't express. One walk does both, so that Check and NewRequest
// agree and nothing is left out without a word.
type renderer struct{ refused []gateway.FieldError }

// render needs a message that is sound (gateway.Content.Validate). The form is
// good only if nothing is refused; it lacks the message replied to.
func render(m *gateway.Message) (rendered, []gateway.FieldError) {
	r := &renderer{}
	var out rendered
	switch c := &m.Content; c.Type {
	case gateway.TypeText:
		out.text = &textBody{PhoneNumber: m.Recipient, Message: c.Text.Body, PreviewURL: c.Text.PreviewURL}
	case gateway.TypeImage:
		out.media = r.media(m, c.Image)
	case gateway.TypeVideo:
		out.media = r.media(m, c.Video)
	case gateway.TypeAudio:
		out.media = r.media(m, c.Audio)
	case gateway.TypeDocument:
		out.media = r.media(m, c.Document)
	case gateway.TypeSticker:
		out.media = r.media(m, c.Sticker)
	case gateway.TypeTemplate:
		out.template = &templateBody{To: m.Recipient.Digits(), Type: c.Type, Template: r.template(c.Template)}
	case gateway.TypeLocation, gateway.TypeContacts, gateway.TypeReaction, gateway.TypeInteractive:
		r.refuse(string(c.Type), "it has no such message")
	default:
		r.refuse("type", "it has no such message")
	}
	if m.ReplyTo != "" && m.Content.Type != gateway.TypeText {
		r.refuse("reply_to", "only a text can answer an earlier message")
	}
	return out, r.refused
}

// refuse notes that the dialect has no words for a field, and why.
func (r *renderer) refuse(field, why string) {
	r.refused = append(r.refused, gateway.FieldError{Field: field, Message: "can't be expressed by " + dialect + ": " + why})
}

// media renders a file, which is always a link.
func (r *renderer) media(m *gateway.Message, f *gateway.Media) *mediaBody {
	kind := m.Content.Type
	field := string(kind)
	out := &mediaBody{PhoneNumber: m.Recipient, MediaType: kind, MediaURL: f.Link}
	if f.ID != "" {
		r.refuse(field+".id", "it takes a link only")
	}
	if f.Provider != "" {
		r.refuse(field+".provider", "it knows no media providers")
	}
	if f.Voice {
		r.refuse(field+".voice", "it has no voice messages")
	}
	if kind != gateway.TypeAudio && kind != gateway.TypeSticker { // which show none
		out.Caption = f.Caption
	}
	if f.Link == "" {
		return out
	}
	link, err := url.Parse(f.Link)
	if err != nil || link.Scheme != "https" {
		r.refuse(field+".link", "it must be an https link")
		return out
	}
	if kind == gateway.TypeDocument {
		r.document(path.Base(link.Path), f)
	}
	return out
}

// document checks what a document is called: its reader sees the end of the
// link, for there is no field for a name.
func (r *renderer) document(name string, f *gateway.Media) {
	if !slices.Contains(documentExtensions, strings.ToLower(path.Ext(name))) {
		r.refuse("document.link", "its path must end in "+strings.Join(documentExtensions, ", "))
	}
	if f.Filename != "" && f.Filename != name {
		r.refuse("document.filename", "a document is called as its link ends")
	}
}

// template renders the values of the body, by position, and the payloads of
// quick replies. Nothing else is documented for sending.
func (r *renderer) template(t *gateway.Template) template {
	out := template{Name: t.Name, Language: language{Code: t.Language.Code}}
	if p := t.Language.Policy; p != "" && p != policyDeterministic {
		r.refuse("template.language.policy", "it takes the very language named")
	}
	for i := range t.Components {
		c, field := &t.Components[i], fmt.Sprintf("template.components[%d]", i)
		switch c.Type {
		case "body":
			out.Components = append(out.Components, component{Type: c.Type, Parameters: r.parameters(field, c.Parameters, "text")})
		case "button":
			out.Components = append(out.Components, r.button(field, c))
		default:
			r.refuse(field+".type", "it fills a template's body and buttons only")
		}
	}
	return out
}

func (r *renderer) button(field string, c *gateway.TemplateComponent) component {
	out := component{Type: c.Type, SubType: c.SubType, Index: c.Index}
	if c.SubType != "quick_reply" {
		r.refuse(field+".sub_type", "it knows quick_reply only")
		return out
	}
	if *c.Index >= maxTemplateButtons {
		r.refuse(field+".index", fmt.Sprintf("a template has at most %d buttons", maxTemplateButtons))
	}
	if len(c.Parameters) > 1 {
		r.refuse(field+".parameters", "a quick reply has one payload")
	}
	out.Parameters = r.parameters(field, c.Parameters, "payload")
	return out
}

// parameters renders values that are all of one type.
func (r *renderer) parameters(field string, params []gateway.TemplateParameter, want string) []parameter {
	var out []parameter
	for i := range params {
		p, field := &params[i], fmt.Sprintf("%s.parameters[%d]", field, i)
		if p.ParameterName != "" {
			r.refuse(field+".parameter_name", "it knows values by position only")
		}
		if p.Type != want {
			r.refuse(field+".type", "it takes "+want+" here")
			continue
		}
		rendered := parameter{Type: want, Text: p.Text}
		if want == "payload" {
			rendered.Payload = &p.Payload
		}
		out = append(out, rendered)
	}
	return out
}
