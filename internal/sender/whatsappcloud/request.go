package whatsappcloud

import (
	"encoding/json"
	"strconv"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// request is the body of POST /{phone number id}/messages. Where a member is a
// gateway type, callers write the same shape by contract: contacts, reactions
// and what can be tapped follow the Cloud API's own objects.
type request struct {
	MessagingProduct string              `json:"messaging_product"`
	RecipientType    string              `json:"recipient_type"`
	To               gateway.Recipient   `json:"to"` // with its '+': Meta may take a number without for a national one
	Context          *replyContext       `json:"context,omitempty"`
	Type             gateway.ContentType `json:"type"`
	Text             *text               `json:"text,omitempty"`
	Image            *media              `json:"image,omitempty"`
	Video            *media              `json:"video,omitempty"`
	Audio            *media              `json:"audio,omitempty"`
	Document         *media              `json:"document,omitempty"`
	Sticker          *media              `json:"sticker,omitempty"`
	Location         *location           `json:"location,omitempty"`
	Contacts         []gateway.Contact   `json:"contacts,omitempty"`
	Reaction         *gateway.Reaction   `json:"reaction,omitempty"`
	Interactive      *interactive        `json:"interactive,omitempty"`
	Template         *template           `json:"template,omitempty"`
	CallbackData     string              `json:"biz_opaque_callback_data,omitempty"`
}

type replyContext struct {
	MessageID gateway.ProviderMessageID `json:"message_id"`
}

type text struct {
	PreviewURL bool   `json:"preview_url"`
	Body       string `json:"body"`
}

type media struct {
	ID       string `json:"id,omitempty"`
	Link     string `json:"link,omitempty"`
	Caption  string `json:"caption,omitempty"`
	Filename string `json:"filename,omitempty"`
	Voice    bool   `json:"voice,omitempty"`
}

// location writes its numbers as strings, as Meta's pages do.
type location struct {
	Latitude  string `json:"latitude"`
	Longitude string `json:"longitude"`
	Name      string `json:"name,omitempty"`
	Address   string `json:"address,omitempty"`
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
	Name       string                   `json:"name"`
	Language   gateway.TemplateLanguage `json:"language"`
	Components []component              `json:"components,omitempty"`
}

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

func newRequest(c sender.Call) *request {
	content := &c.Message.Content
	r := &request{
		MessagingProduct: "whatsapp",
		RecipientType:    "individual",
		To:               c.Message.Recipient,
		Type:             content.Type,
		Image:            newMedia(content.Image),
		Video:            newMedia(content.Video),
		Audio:            newMedia(content.Audio),
		Document:         newMedia(content.Document),
		Sticker:          newMedia(content.Sticker),
		Location:         newLocation(content.Location),
		Contacts:         content.Contacts,
		Reaction:         content.Reaction,
		Interactive:      newInteractive(content.Interactive),
		Template:         newTemplate(content.Template),
		CallbackData:     callbackData(c.Message.ID, c.Attempt),
	}
	if t := content.Text; t != nil {
		r.Text = &text{PreviewURL: t.PreviewURL, Body: t.Body}
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
	return &media{ID: m.ID, Link: m.Link, Caption: m.Caption, Filename: m.Filename, Voice: m.Voice}
}

func newLocation(l *gateway.Location) *location {
	if l == nil {
		return nil
	}
	out := &location{Name: l.Name, Address: l.Address}
	if l.Latitude != nil {
		out.Latitude = l.Latitude.String()
	}
	if l.Longitude != nil {
		out.Longitude = l.Longitude.String()
	}
	return out
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

func newTemplate(t *gateway.Template) *template {
	if t == nil {
		return nil
	}
	out := &template{Name: t.Name, Language: t.Language}
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
