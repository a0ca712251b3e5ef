package whatsapponprem

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// request is the body of POST /v1/messages. Where a member is a gateway type,
// the dialect has the Cloud API's own object.
type request struct {
	RecipientType string              `json:"recipient_type"`
	To            string              `json:"to"` // digits without '+'
	Type          gateway.ContentType `json:"type"`
	PreviewURL    bool                `json:"preview_url,omitempty"` // beside the text, not in it
	Context       *replyContext       `json:"context,omitempty"`
	Text          *text               `json:"text,omitempty"`
	Image         *media              `json:"image,omitempty"`
	Video         *media              `json:"video,omitempty"`
	Audio         *media              `json:"audio,omitempty"`
	Document      *media              `json:"document,omitempty"`
	Sticker       *media              `json:"sticker,omitempty"`
	Location      *location           `json:"location,omitempty"`
	Contacts      []gateway.Contact   `json:"contacts,omitempty"`
	Reaction      *gateway.Reaction   `json:"reaction,omitempty"`
	Interactive   *interactive        `json:"interactive,omitempty"`
	Template      *template           `json:"template,omitempty"`
}

type replyContext struct {
	MessageID gateway.ProviderMessageID `json:"message_id"`
}

type text struct {
	Body string `json:"body"`
}

type media struct {
	ID       string    `json:"id,omitempty"`
	Link     string    `json:"link,omitempty"`
	Provider *provider `json:"provider,omitempty"` // that the host fetches the link with
	Caption  string    `json:"caption,omitempty"`
	Filename string    `json:"filename,omitempty"`
}

type provider struct {
	Name string `json:"name"`
}

// location writes its degrees as numbers.
type location struct {
	Longitude *gateway.Degrees `json:"longitude"`
	Latitude  *gateway.Degrees `json:"latitude"`
	Name      string           `json:"name,omitempty"`
	Address   string           `json:"address,omitempty"`
}

type interactive struct {
	Type   string                    `json:"type"`
	Header *header                   `json:"header,omitempty"`
	Body   *gateway.InteractiveText  `json:"body,omitempty"`
	Footer *gateway.InteractiveText  `json:"footer,omitempty"`
	Action gateway.InteractiveAction `json:"action"`
}

type header struct {
	Type     string `json:"type"`
	Text     string `json:"text,omitempty"`
	Image    *media `json:"image,omitempty"`
	Video    *media `json:"video,omitempty"`
	Document *media `json:"document,omitempty"`
}

type template struct {
	Namespace  string      `json:"namespace"`
	Name       string      `json:"name"`
	Language   language    `json:"language"`
	Components []component `json:"components,omitempty"`
}

type language struct {
	Policy string `json:"policy"`
	Code   string `json:"code"`
}

// deterministic is the one policy: this translation, or none.
const deterministic = "deterministic"

type component struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type,omitempty"`
	Index      string      `json:"index,omitempty"` // "0" to "9"
	Parameters []parameter `json:"parameters,omitempty"`
}

type parameter struct {
	Type          string            `json:"type"`
	ParameterName string            `json:"parameter_name,omitempty"`
	Text          string            `json:"text,omitempty"`
	Payload       *string           `json:"payload,omitempty"` // may be empty
	CouponCode    string            `json:"coupon_code,omitempty"`
	Currency      *gateway.Currency `json:"currency,omitempty"`
	DateTime      *gateway.DateTime `json:"date_time,omitempty"`
	Image         *media            `json:"image,omitempty"`
	Video         *media            `json:"video,omitempty"`
	Document      *media            `json:"document,omitempty"`
	Location      *location         `json:"location,omitempty"`
	Action        json.RawMessage   `json:"action,omitempty"`
}

// maxListBody is less than the Cloud API's, in characters.
const maxListBody = 1024

// brokenText is what the text of a template's parameter must not hold.
var brokenText = regexp.MustCompile(`[\n\r\t]| {4}`)

// Check names what this dialect can't express.
func (p *Provider) Check(m *gateway.Message) []gateway.FieldError {
	var errs []gateway.FieldError
	add := func(field, message string) {
		errs = append(errs, gateway.FieldError{Field: field, Message: message})
	}
	c := &m.Content
	if m.ReplyTo != "" && c.Type == gateway.TypeReaction {
		add("reply_to", "is not possible with a reaction on "+dialect)
	}
	if c.Audio != nil && c.Audio.Voice {
		add("audio.voice", "is not known to "+dialect+", where every Ogg file is a voice message")
	}
	if in := c.Interactive; in != nil {
		switch in.Type {
		case gateway.InteractiveButton, gateway.InteractiveList, gateway.InteractiveProduct, gateway.InteractiveProductList:
		default:
			add("interactive.type", "must be one of button, list, product, product_list on "+dialect)
		}
		if in.Type == gateway.InteractiveList && in.Body != nil && utf8.RuneCountInString(in.Body.Text) > maxListBody {
			add("interactive.body.text", fmt.Sprintf("must have at most %d characters on %s", maxListBody, dialect))
		}
	}
	if t := c.Template; t != nil {
		if p.settings.Namespace == "" {
			add("template", "needs the account's namespace to be configured on "+dialect)
		}
		if t.Language.Policy != "" && t.Language.Policy != deterministic {
			add("template.language.policy", "must be "+deterministic+" on "+dialect)
		}
		for i := range t.Components {
			for j, param := range t.Components[i].Parameters {
				if brokenText.MatchString(param.Text) {
					add(fmt.Sprintf("template.components[%d].parameters[%d].text", i, j),
						"must not hold line breaks, tabs or four spaces in a row on "+dialect)
				}
			}
		}
	}
	return errs
}

func newRequest(c sender.Call, to, namespace string) *request {
	content := &c.Message.Content
	r := &request{
		RecipientType: "individual",
		To:            to,
		Type:          content.Type,
		Image:         newMedia(content.Image),
		Video:         newMedia(content.Video),
		Audio:         newMedia(content.Audio),
		Document:      newMedia(content.Document),
		Sticker:       newMedia(content.Sticker),
		Location:      newLocation(content.Location),
		Contacts:      content.Contacts,
		Reaction:      content.Reaction,
		Interactive:   newInteractive(content.Interactive),
		Template:      newTemplate(content.Template, namespace),
	}
	if t := content.Text; t != nil {
		r.Text, r.PreviewURL = &text{Body: t.Body}, t.PreviewURL
	}
	if c.ReplyTo != "" && content.Type != gateway.TypeReaction {
		r.Context = &replyContext{MessageID: c.ReplyTo}
	}
	return r
}

func newMedia(m *gateway.Media) *media {
	if m == nil {
		return nil
	}
	out := &media{ID: m.ID, Link: m.Link, Caption: m.Caption, Filename: m.Filename}
	if m.Provider != "" {
		out.Provider = &provider{Name: m.Provider}
	}
	return out
}

func newLocation(l *gateway.Location) *location {
	if l == nil {
		return nil
	}
	return &location{Longitude: l.Longitude, Latitude: l.Latitude, Name: l.Name, Address: l.Address}
}

func newInteractive(in *gateway.Interactive) *interactive {
	if in == nil {
		return nil
	}
	out := &interactive{Type: in.Type, Body: in.Body, Footer: in.Footer, Action: in.Action}
	out.Action.Parameters = present(in.Action.Parameters)
	if h := in.Header; h != nil {
		out.Header = &header{
			Type: h.Type, Text: h.Text, Image: newMedia(h.Image), Video: newMedia(h.Video), Document: newMedia(h.Document),
		}
	}
	return out
}

func newTemplate(t *gateway.Template, namespace string) *template {
	if t == nil {
		return nil
	}
	out := &template{Namespace: namespace, Name: t.Name, Language: language{Policy: deterministic, Code: t.Language.Code}}
	for _, c := range t.Components {
		part := component{Type: c.Type, SubType: c.SubType}
		if c.Index != nil {
			part.Index = strconv.Itoa(int(*c.Index))
		}
		for i := range c.Parameters {
			part.Parameters = append(part.Parameters, newParameter(&c.Parameters[i]))
		}
		out.Components = append(out.Components, part)
	}
	return out
}

func newParameter(p *gateway.TemplateParameter) parameter {
	out := parameter{
		Type: p.Type, ParameterName: p.ParameterName, Text: p.Text, CouponCode: p.CouponCode,
		Currency: p.Currency, DateTime: p.DateTime,
		Image: newMedia(p.Image), Video: newMedia(p.Video), Document: newMedia(p.Document),
		Location: newLocation(p.Location), Action: present(p.Action),
	}
	if p.Payload != "" || p.Type == "payload" {
		out.Payload = &p.Payload
	}
	return out
}

// present is raw, unless it says null: nothing is better said by absence.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}
