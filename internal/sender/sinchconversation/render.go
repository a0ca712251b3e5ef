package sinchconversation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/internal/gateway"
)

// dialect is the provider's name as callers know it.
const dialect = string(gateway.SinchConversation)

// Limits narrower than the domain's, in code points. Beyond them Sinch turns
// what can be tapped into plain text without a word.
const (
	maxListBody = 1024
	maxPostback = 229
)

// markdown is what would turn a button's title into plain text.
var markdown = regexp.MustCompile("\\*[^*]+\\*|_[^_]+_|~[^~]+~|`[^`]+`")

// renderer builds the dialect's form of a message and notes on the way what
// the dialect can't express. One walk does both, so that Check and NewRequest
// agree and nothing is left out without a word.
type renderer struct {
	out      appMessage
	problems []gateway.FieldError
}

// render needs a message that is sound (gateway.Content.Validate). The form is
// good only if there are no problems.
func render(m *gateway.Message, reply gateway.ProviderMessageID) (*appMessage, []gateway.FieldError) {
	r := &renderer{}
	r.content(&m.Content)
	if reply != "" {
		r.out.ReplyTo = &replyTo{MessageID: reply}
		if r.out.Explicit != nil {
			r.refuse("reply_to", "what it sends in WhatsApp's own words (captions, previews, stickers, several or full contacts) can't quote")
		}
	}
	return &r.out, r.problems
}

// refuse notes that the dialect has no words for a field, and which are missing.
func (r *renderer) refuse(field, missing string) {
	r.note(field, "can't be expressed by %s: %s", dialect, missing)
}

func (r *renderer) note(field, format string, args ...any) {
	r.problems = append(r.problems, gateway.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (r *renderer) atMost(field, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		r.note(field, "must have at most %d characters for %s, has %d", limit, dialect, n)
	}
}

// explicitly adds the message in WhatsApp's own words. The generic one stays,
// for the API wants one.
func (r *renderer) explicitly(field string, m explicitMessage) {
	m.Product, m.RecipientType, m.To = "whatsapp", "individual", "{{to}}"
	text, err := encode(m)
	if err != nil {
		r.refuse(field, "it is no JSON")
		return
	}
	r.out.Explicit = map[string]string{channelWhatsApp: string(text)}
}

func (r *renderer) content(c *gateway.Content) {
	switch c.Type {
	case gateway.TypeText:
		r.out.Text = &textMessage{Text: c.Text.Body}
		if c.Text.PreviewURL {
			r.explicitly("text.preview_url", explicitMessage{Type: "text", Text: &explicitText{PreviewURL: true, Body: c.Text.Body}})
		}
	case gateway.TypeImage:
		r.out.Media = r.media("image", c.Image)
		if c.Image.Caption != "" {
			r.explicitly("image", explicitMessage{Type: "image", Image: explicitFile(c.Image)})
		}
	case gateway.TypeVideo:
		r.out.Media = r.media("video", c.Video)
		if c.Video.Caption != "" {
			r.explicitly("video", explicitMessage{Type: "video", Video: explicitFile(c.Video)})
		}
	case gateway.TypeAudio:
		r.out.Media = r.media("audio", c.Audio)
	case gateway.TypeDocument:
		r.out.Media = r.media("document", c.Document)
		if c.Document.Caption != "" {
			r.explicitly("document", explicitMessage{Type: "document", Document: explicitFile(c.Document)})
		}
	case gateway.TypeSticker: // or it would be a picture
		r.out.Media = r.media("sticker", c.Sticker)
		r.explicitly("sticker", explicitMessage{Type: "sticker", Sticker: explicitFile(c.Sticker)})
	case gateway.TypeLocation:
		r.location(c.Location)
	case gateway.TypeContacts:
		r.contacts(c.Contacts)
	case gateway.TypeReaction:
		r.refuse("reaction", "it has no reactions")
	case gateway.TypeInteractive:
		r.interactive(c.Interactive)
	case gateway.TypeTemplate:
		r.template(c.Template)
	default:
		r.refuse("type", "it has no such message")
	}
}

// media renders a file wherever the dialect takes one: by its link.
func (r *renderer) media(field string, m *gateway.Media) *mediaMessage {
	if m.ID != "" {
		r.refuse(field+".id", "it takes a link only")
	}
	if m.Provider != "" {
		r.refuse(field+".provider", "it knows no media providers")
	}
	if m.Voice {
		r.refuse(field+".voice", "it has no voice messages")
	}
	return &mediaMessage{URL: m.Link, Filename: m.Filename}
}

func explicitFile(m *gateway.Media) *explicitMedia {
	return &explicitMedia{Link: m.Link, Filename: m.Filename, Caption: m.Caption}
}

// location needs a title: the name, else the address, else the place itself.
func (r *renderer) location(l *gateway.Location) {
	out := locationMessage{
		Title: l.Name, Label: l.Address,
		Coordinates: coordinates{Latitude: l.Latitude, Longitude: l.Longitude},
	}
	if out.Title == "" {
		out.Title, out.Label = cmp.Or(l.Address, l.Latitude.String()+","+l.Longitude.String()), ""
	}
	r.out.Location = &out
}

// contacts goes as the dialect's own card if there is one and it holds all, and
// in WhatsApp's words beside it otherwise.
func (r *renderer) contacts(cards []gateway.Contact) {
	fits := len(cards) == 1
	for i := range cards {
		if !r.card(fmt.Sprintf("contacts[%d]", i), &cards[i]) {
			fits = false
		}
	}
	if len(cards) > 0 {
		r.out.ContactInfo = contactInfo(&cards[0])
	}
	if !fits {
		r.explicitly("contacts", explicitMessage{Type: "contacts", Contacts: cards})
	}
}

// card looks at one card: what the dialect requires of it, and whether its own
// card has a place for everything.
func (r *renderer) card(field string, c *gateway.Contact) (fits bool) {
	fits = true
	if len(c.Phones) == 0 {
		r.note(field+".phones", "must have at least 1 entry for %s", dialect)
	}
	for i, phone := range c.Phones {
		r.required(fmt.Sprintf("%s.phones[%d].phone", field, i), phone.Phone)
		fits = fits && phone.WaID == ""
	}
	for i, email := range c.Emails {
		r.required(fmt.Sprintf("%s.emails[%d].email", field, i), email.Email)
	}
	for i, link := range c.URLs {
		r.required(fmt.Sprintf("%s.urls[%d].url", field, i), link.URL)
	}
	for _, address := range c.Addresses {
		fits = fits && address.Street == ""
	}
	return fits
}

func (r *renderer) required(field, s string) {
	if s == "" {
		r.note(field, "is required by %s", dialect)
	}
}

func contactInfo(c *gateway.Contact) *contactInfoMessage {
	out := &contactInfoMessage{
		Name: contactName{
			FullName: c.Name.FormattedName, FirstName: c.Name.FirstName, LastName: c.Name.LastName,
			MiddleName: c.Name.MiddleName, Prefix: c.Name.Prefix, Suffix: c.Name.Suffix,
		},
		Birthday: c.Birthday,
	}
	for _, phone := range c.Phones {
		out.Phones = append(out.Phones, contactPhone{Number: phone.Phone, Type: phone.Type})
	}
	for _, email := range c.Emails {
		out.Emails = append(out.Emails, contactEmail{Address: email.Email, Type: email.Type})
	}
	for _, a := range c.Addresses {
		address := contactAddress{City: a.City, Country: a.Country, State: a.State, Zip: a.Zip, Type: a.Type, CountryCode: a.CountryCode}
		if address != (contactAddress{}) { // it may have been a street alone
			out.Addresses = append(out.Addresses, address)
		}
	}
	for _, link := range c.URLs {
		out.URLs = append(out.URLs, contactURL{URL: link.URL, Type: link.Type})
	}
	if c.Org != nil {
		out.Organization = &organization{Company: c.Org.Company, Department: c.Org.Department, Title: c.Org.Title}
	}
	return out
}

func (r *renderer) interactive(in *gateway.Interactive) {
	switch in.Type {
	case gateway.InteractiveButton:
		r.onlyNamed(&in.Action, "buttons")
		r.tappable(in, r.buttons(in.Action.Buttons))
	case gateway.InteractiveCTAURL:
		r.onlyNamed(&in.Action, "name", "parameters")
		if in.Header != nil {
			r.refuse("interactive.header", "it has no place for this above a link")
			return
		}
		r.tappable(in, []choice{r.link(in.Action.Parameters)})
	case gateway.InteractiveList:
		r.onlyNamed(&in.Action, "button", "sections")
		r.list(in)
	default:
		r.refuse("interactive.type", "it knows button, list and cta_url only")
	}
}

// onlyNamed refuses the members of an action that are set and not among the
// named ones: they would be left out without a word.
func (r *renderer) onlyNamed(a *gateway.InteractiveAction, named ...string) {
	for _, m := range []struct {
		name string
		set  bool
	}{
		{"button", a.Button != ""},
		{"buttons", len(a.Buttons) > 0},
		{"sections", len(a.Sections) > 0},
		{"name", a.Name != ""},
		{"parameters", len(a.Parameters) > 0},
		{"catalog_id", a.CatalogID != ""},
		{"product_retailer_id", a.ProductRetailerID != ""},
	} {
		if m.set && !slices.Contains(named, m.name) {
			r.refuse("interactive.action."+m.name, "it has no place for this beside "+strings.Join(named, " and "))
		}
	}
}

func (r *renderer) buttons(buttons []gateway.Button) []choice {
	var choices []choice
	for i, b := range buttons {
		field := fmt.Sprintf("interactive.action.buttons[%d].reply", i)
		r.atMost(field+".id", b.Reply.ID, maxPostback)
		if markdown.MatchString(b.Reply.Title) {
			r.refuse(field+".title", "a title with markdown would make plain text of the buttons")
		}
		choices = append(choices, choice{Text: &textMessage{Text: b.Reply.Title}, Postback: b.Reply.ID})
	}
	return choices
}

func (r *renderer) link(parameters json.RawMessage) choice {
	var p gateway.CTAURL
	d := json.NewDecoder(bytes.NewReader(parameters))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil && err != io.EOF {
		r.refuse("interactive.action.parameters", "it has a place for display_text and url only")
	}
	return choice{URL: &urlMessage{Title: p.DisplayText, URL: p.URL}}
}

// tappable goes as a choice, or as a card if it has a header. A card has no
// footer.
func (r *renderer) tappable(in *gateway.Interactive, choices []choice) {
	if in.Header == nil {
		out := &choiceMessage{Text: textMessage{Text: in.Body.Text}, Choices: choices}
		if in.Footer != nil {
			out.Properties = &choiceProperties{Footer: in.Footer.Text}
		}
		r.out.Choice = out
		return
	}
	if in.Footer != nil {
		r.refuse("interactive.footer", "it has no place for this beside a header")
	}
	out := &cardMessage{Title: in.Body.Text, Choices: choices}
	if m := in.Header.Media(); m != nil {
		out.Media = r.media("interactive.header."+in.Header.Type, m)
	} else {
		out.Properties = &cardProperties{Header: in.Header.Text}
	}
	r.out.Card = out
}

// list puts the body into the title and the footer into the description, where
// Sinch's own examples have them.
func (r *renderer) list(in *gateway.Interactive) {
	r.atMost("interactive.body.text", in.Body.Text, maxListBody)
	out := &listMessage{Title: in.Body.Text, Properties: listProperties{Menu: in.Action.Button}}
	if in.Footer != nil {
		out.Description = in.Footer.Text
	}
	if in.Header != nil {
		out.Properties.Header = in.Header.Text
	}
	for i, s := range in.Action.Sections {
		if len(s.ProductItems) > 0 {
			r.refuse(fmt.Sprintf("interactive.action.sections[%d].product_items", i), "it has no place for this beside rows")
		}
		section := listSection{Title: s.Title}
		for _, row := range s.Rows {
			section.Items = append(section.Items, listItem{
				Choice: listChoice{Title: row.Title, Description: row.Description, Postback: row.ID},
			})
		}
		out.Sections = append(out.Sections, section)
	}
	r.out.List = out
}
