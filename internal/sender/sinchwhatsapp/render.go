package sinchwhatsapp

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/internal/gateway"
)

// dialect is the provider's name as callers know it.
const dialect = string(gateway.SinchWhatsApp)

// Limits narrower than the domain's, in code points. A button's id may have
// 230 by this dialect's documents and 229 by those of the API behind it.
const (
	maxListBody    = 1024
	maxButtonID    = 229
	maxRowID       = 174
	maxRowTitle    = 20
	maxHeaderValue = 60   // a template's header values together, fixed text not counted
	maxBodyValues  = 1024 // a template's body values together, fixed text not counted
)

// renderer builds the dialect's form of a message and notes on the way what
// the dialect can't express. One walk does both, so that Check and NewRequest
// agree and nothing is left out without a word.
type renderer struct{ problems []gateway.FieldError }

// render needs a message that is sound (gateway.Content.Validate). The form is
// good only if there are no problems.
func render(m *gateway.Message) (any, []gateway.FieldError) {
	r := &renderer{}
	if m.ReplyTo != "" {
		r.refuse("reply_to", "it can't quote an earlier message")
	}
	message := r.content(&m.Content)
	return message, r.problems
}

// refuse notes that the dialect has no words for a field, and which are missing.
func (r *renderer) refuse(field, missing string) {
	r.note(field, "can't be expressed by %s: %s", dialect, missing)
}

func (r *renderer) note(field, format string, args ...any) {
	r.problems = append(r.problems, gateway.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (r *renderer) atMost(field, s string, limit int) string {
	if n := utf8.RuneCountInString(s); n > limit {
		r.note(field, "must have at most %d characters for %s, has %d", limit, dialect, n)
	}
	return s
}

// member is a field that must be absent unless its neighbours make sense of it.
type member struct {
	name string
	set  bool
}

// onlyNamed refuses the members that are set and not among the named ones:
// they would be left out without a word.
func (r *renderer) onlyNamed(field string, members []member, named ...string) {
	for _, m := range members {
		if m.set && !slices.Contains(named, m.name) {
			r.refuse(field+"."+m.name, "it has no place for this beside "+strings.Join(named, " and "))
		}
	}
}

func (r *renderer) content(c *gateway.Content) any {
	switch c.Type {
	case gateway.TypeText:
		return textMessage{Type: wireText, Text: c.Text.Body, PreviewURL: c.Text.PreviewURL}
	case gateway.TypeImage:
		return r.media("image", wireImage, c.Image)
	case gateway.TypeVideo:
		return r.media("video", wireVideo, c.Video)
	case gateway.TypeAudio:
		return r.media("audio", wireAudio, c.Audio)
	case gateway.TypeDocument:
		return r.media("document", wireDocument, c.Document)
	case gateway.TypeSticker:
		return r.media("sticker", wireSticker, c.Sticker)
	case gateway.TypeLocation:
		l := c.Location
		return locationMessage{Type: wireLocation, Lat: l.Latitude, Lng: l.Longitude, Name: l.Name, Address: l.Address}
	case gateway.TypeContacts:
		return contactsMessage{Type: wireContacts, Contacts: r.contacts(c.Contacts)}
	case gateway.TypeReaction:
		r.refuse("reaction", "it has no reactions")
		return nil
	case gateway.TypeInteractive:
		return r.interactive(c.Interactive)
	case gateway.TypeTemplate:
		return r.template(c.Template)
	}
	r.refuse("type", "it has no such message")
	return nil
}

// media renders a file wherever the dialect takes one.
func (r *renderer) media(field, kind string, m *gateway.Media) *mediaObject {
	if m.ID != "" && kind != wireSticker {
		r.refuse(field+".id", "it takes a link only")
	}
	if m.Voice {
		r.refuse(field+".voice", "it has no voice messages")
	}
	if !validProviderName(m.Provider) {
		r.note(field+".provider", "must hold only letters, digits, '-' and '_' for %s", dialect)
	}
	return &mediaObject{
		Type: kind, URL: m.Link, ID: m.ID,
		Filename: m.Filename, Caption: m.Caption, Provider: m.Provider,
	}
}

func validProviderName(name string) bool {
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func (r *renderer) contacts(cards []gateway.Contact) []gateway.Contact {
	cards = slices.Clone(cards) // the labels below are ours to change
	for i := range cards {
		c, field := &cards[i], fmt.Sprintf("contacts[%d]", i)
		c.Phones, c.Emails = slices.Clone(c.Phones), slices.Clone(c.Emails)
		c.Addresses, c.URLs = slices.Clone(c.Addresses), slices.Clone(c.URLs)
		for j := range c.Phones {
			r.label(fmt.Sprintf("%s.phones[%d].type", field, j), &c.Phones[j].Type, "HOME", "WORK", "CELL", "MAIN", "IPHONE")
		}
		for j := range c.Emails {
			r.label(fmt.Sprintf("%s.emails[%d].type", field, j), &c.Emails[j].Type, "HOME", "WORK")
		}
		for j := range c.Addresses {
			r.label(fmt.Sprintf("%s.addresses[%d].type", field, j), &c.Addresses[j].Type, "HOME", "WORK")
		}
		for j := range c.URLs {
			r.label(fmt.Sprintf("%s.urls[%d].type", field, j), &c.URLs[j].Type, "HOME", "WORK")
		}
	}
	return cards
}

func (r *renderer) label(field string, label *string, allowed ...string) {
	*label = strings.ToUpper(*label)
	if *label != "" && !slices.Contains(allowed, *label) {
		r.note(field, "must be one of %s for %s", strings.Join(allowed, ", "), dialect)
	}
}

func (r *renderer) interactive(in *gateway.Interactive) any {
	out := interactive{Type: in.Type, Body: in.Body, Footer: in.Footer}
	switch in.Type {
	case gateway.InteractiveButton:
		out.Action = r.buttons(&in.Action)
	case gateway.InteractiveList:
		r.atMost("interactive.body.text", in.Body.Text, maxListBody)
		out.Action = r.list(&in.Action)
	default:
		r.refuse("interactive.type", "it knows button and list only")
		return nil
	}
	if in.Header != nil {
		out.Header = r.header(in.Header)
	}
	return interactiveMessage{Type: wireInteractive, Message: out}
}

func (r *renderer) header(h *gateway.InteractiveHeader) any {
	const field = "interactive.header"
	r.onlyNamed(field, []member{
		{"text", h.Text != ""}, {"image", h.Image != nil}, {"video", h.Video != nil}, {"document", h.Document != nil},
	}, h.Type)
	if m := h.Media(); m != nil {
		return r.media(field+"."+h.Type, h.Type, m)
	}
	return textHeader{Type: wireText, Text: h.Text}
}

func actionMembers(a *gateway.InteractiveAction) []member {
	return []member{
		{"button", a.Button != ""},
		{"buttons", len(a.Buttons) > 0},
		{"sections", len(a.Sections) > 0},
		{"name", a.Name != ""},
		{"parameters", len(a.Parameters) > 0},
		{"catalog_id", a.CatalogID != ""},
		{"product_retailer_id", a.ProductRetailerID != ""},
	}
}

func (r *renderer) buttons(a *gateway.InteractiveAction) buttonAction {
	r.onlyNamed("interactive.action", actionMembers(a), "buttons")
	var out buttonAction
	for i, b := range a.Buttons {
		field := fmt.Sprintf("interactive.action.buttons[%d].reply", i)
		out.Buttons = append(out.Buttons, replyButton{
			Type: wireReply, ID: r.atMost(field+".id", b.Reply.ID, maxButtonID), Title: b.Reply.Title,
		})
	}
	return out
}

func (r *renderer) list(a *gateway.InteractiveAction) listAction {
	r.onlyNamed("interactive.action", actionMembers(a), "button", "sections")
	out := listAction{Button: a.Button}
	for i, s := range a.Sections {
		field := fmt.Sprintf("interactive.action.sections[%d]", i)
		r.onlyNamed(field, []member{{"product_items", len(s.ProductItems) > 0}}, "rows")
		for j, row := range s.Rows {
			r.atMost(fmt.Sprintf("%s.rows[%d].id", field, j), row.ID, maxRowID)
			r.atMost(fmt.Sprintf("%s.rows[%d].title", field, j), row.Title, maxRowTitle)
		}
		out.Sections = append(out.Sections, section{Title: s.Title, Rows: s.Rows})
	}
	return out
}
