package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of WhatsApp's own message objects, in characters (code points) unless
// said otherwise. Source: Cloud API reference, messages. Providers may allow
// less; their adapters say so.
const (
	MaxText            = 4096
	MaxCaption         = 1024
	MaxHeaderText      = 60
	MaxFooter          = 60
	MaxInteractiveBody = 1024
	MaxListBody        = 4096
	MaxButtons         = 3
	MaxButtonID        = 256
	MaxButtonTitle     = 20
	MaxSections        = 10
	MaxRows            = 10 // over all sections
	MaxSectionTitle    = 24
	MaxRowID           = 200
	MaxRowTitle        = 24
	MaxRowDescription  = 72
	MaxContacts        = 257
	MaxTemplateName    = 512
	MaxTemplateButtons = 10
	MaxCouponCode      = 15
	MaxFilename        = 240
	MaxLink            = 2048 // bytes
)

// Validate names every field at fault, by its path in the request; nil means
// the content is sound. It judges shape and limits, not what one provider can
// express.
func (c *Content) Validate() []FieldError {
	v := &validator{}
	set := map[ContentType]bool{
		TypeText: c.Text != nil, TypeImage: c.Image != nil, TypeVideo: c.Video != nil, TypeAudio: c.Audio != nil,
		TypeDocument: c.Document != nil, TypeSticker: c.Sticker != nil, TypeLocation: c.Location != nil,
		TypeContacts: c.Contacts != nil, TypeReaction: c.Reaction != nil, TypeInteractive: c.Interactive != nil,
		TypeTemplate: c.Template != nil,
	}
	known := false
	for _, t := range ContentTypes() {
		switch {
		case t == c.Type:
			known = true
			if !set[t] {
				v.add(string(t), "is required when type is %q", t)
			}
		case set[t]:
			v.add(string(t), "must be absent when type is %q", c.Type)
		}
	}
	switch {
	case c.Type == "":
		v.add("type", "is required")
	case !known:
		v.add("type", "must be one of text, image, video, audio, document, sticker, location, contacts, reaction, interactive, template")
	}
	if set[c.Type] {
		c.validateMember(v)
	}
	return v.errs
}

// validateMember looks at the member that the type names, which is set. The
// others must be absent, whatever they hold.
func (c *Content) validateMember(v *validator) {
	for _, f := range c.Files() {
		v.media(f)
	}
	switch c.Type {
	case TypeText:
		v.shown("text.body", c.Text.Body, MaxText)
	case TypeLocation:
		v.location("location", c.Location)
	case TypeContacts:
		v.contacts(c.Contacts)
	case TypeReaction:
		v.text("reaction.message_id", c.Reaction.MessageID, 1, 512)
		if !isReaction(c.Reaction.Emoji) {
			v.add("reaction.emoji", "must be one emoji, or empty to take the reaction back")
		}
	case TypeInteractive:
		v.interactive(c.Interactive)
	case TypeTemplate:
		v.template(c.Template)
	case TypeImage, TypeVideo, TypeAudio, TypeDocument, TypeSticker: // are files
	}
}

// CheckLink says what is wrong with a link to a file or a callback, or "".
func CheckLink(link string) string {
	u, err := url.Parse(link)
	switch {
	case len(link) > MaxLink:
		return fmt.Sprintf("must have at most %d bytes", MaxLink)
	case strings.ContainsFunc(link, unicode.IsSpace):
		return "must not hold a space or a line break"
	case err != nil:
		return "must be a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "must be an http or https URL"
	case u.Hostname() == "":
		return "must name a host"
	case !isPort(u.Port()):
		return "must have a port from 1 to 65535"
	case u.User != nil:
		return "must not carry a user name or password"
	}
	return ""
}

// isPort reports whether a URL may have the port; an empty one is the scheme's.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// An emoji is a flag, a keycap, or symbols joined into one picture, each with
// its variation, skin tone or tags (Unicode Technical Standard 51, section
// 1.4.9). The blocks are those that emoji lie in: which of their symbols are
// emoji changes every year.
const (
	emojiSymbol = `[\x{A9}\x{AE}\x{203C}\x{2049}\x{2122}\x{2139}\x{2190}-\x{21FF}\x{2300}-\x{23FF}\x{24C2}\x{25A0}-\x{27BF}` +
		`\x{2900}-\x{297F}\x{2B00}-\x{2BFF}\x{3030}\x{303D}\x{3297}\x{3299}\x{1F000}-\x{1F1E5}\x{1F200}-\x{1FAFF}]` +
		`[\x{FE0E}\x{FE0F}\x{1F3FB}-\x{1F3FF}]?(?:[\x{E0020}-\x{E007E}]+\x{E007F})?`
	emojiFlag   = `[\x{1F1E6}-\x{1F1FF}]{2}`
	emojiKeycap = `[0-9#*]\x{FE0F}?\x{20E3}`
)

var emoji = regexp.MustCompile(`^(?:` + emojiFlag + `|` + emojiKeycap + `|` + emojiSymbol + `(?:\x{200D}` + emojiSymbol + `)*)$`)

// isReaction reports whether s may be put on a message, or is empty and takes
// that back.
func isReaction(s string) bool {
	return s == "" || utf8.RuneCountInString(s) <= maxEmoji && emoji.MatchString(s)
}

// maxEmoji is more than the longest emoji has in code points, a kiss of two
// with skin tones at ten.
const maxEmoji = 16

type validator struct{ errs []FieldError }

func (v *validator) add(field, format string, args ...any) {
	v.errs = append(v.errs, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// text checks the length of s in code points; a low of 1 makes it required.
func (v *validator) text(field, s string, low, high int) {
	n := utf8.RuneCountInString(s)
	switch {
	case n < low && low == 1:
		v.add(field, "is required")
	case n < low:
		v.add(field, "must have at least %d characters", low)
	case n > high:
		v.add(field, "must have at most %d characters, has %d", high, n)
	}
}

// shown checks a text that readers are to see: it is required, and white space
// alone is nothing to see.
func (v *validator) shown(field, s string, high int) {
	if s != "" && strings.TrimSpace(s) == "" {
		v.add(field, "must not be blank")
		return
	}
	v.text(field, s, 1, high)
}

// member is one of several of which a type names one.
type member struct {
	name string
	set  bool
}

// absent refuses what is set beside the member that the type names. whose says
// which type that is.
func (v *validator) absent(field, whose, named string, members ...member) {
	for _, m := range members {
		if m.set && m.name != named {
			v.add(field+"."+m.name, "must be absent when %s is %q", whose, named)
		}
	}
}

func (v *validator) media(f File) {
	m := f.Media
	switch {
	case m.Link == "" && m.ID == "":
		v.add(f.Field, "needs link or id")
	case m.Link != "" && m.ID != "":
		v.add(f.Field, "must have link or id, not both")
	}
	if m.Link != "" {
		if problem := CheckLink(m.Link); problem != "" {
			v.add(f.Field+".link", "%s", problem)
		}
	}
	v.text(f.Field+".id", m.ID, 0, 512)
	v.text(f.Field+".caption", m.Caption, 0, MaxCaption)
	v.text(f.Field+".filename", m.Filename, 0, MaxFilename)
	v.text(f.Field+".provider", m.Provider, 0, 200)
	topLevel := !strings.Contains(f.Field, ".")
	if m.Caption != "" && (!topLevel || f.Kind == MediaAudio || f.Kind == MediaSticker) {
		v.add(f.Field+".caption", "is not possible here")
	}
	if m.Filename != "" && f.Kind != MediaDocument {
		v.add(f.Field+".filename", "is possible for a document only")
	}
	if m.Voice && (f.Kind != MediaAudio || !topLevel) {
		v.add(f.Field+".voice", "is possible for audio only")
	}
	if m.Provider != "" && m.Link == "" {
		v.add(f.Field+".provider", "is possible with link only")
	}
}

func (v *validator) location(field string, l *Location) {
	v.degrees(field+".latitude", l.Latitude, 90)
	v.degrees(field+".longitude", l.Longitude, 180)
	v.text(field+".name", l.Name, 0, 1000)
	v.text(field+".address", l.Address, 0, 1000)
}

func (v *validator) degrees(field string, d *Degrees, limit float64) {
	switch {
	case d == nil:
		v.add(field, "is required")
	case !(float64(*d) >= -limit && float64(*d) <= limit): // not a number fails too
		v.add(field, "must be between -%g and %g", limit, limit)
	}
}

func (v *validator) contacts(contacts []Contact) {
	if len(contacts) == 0 || len(contacts) > MaxContacts {
		v.add("contacts", "must have 1 to %d entries", MaxContacts)
		return
	}
	for i, c := range contacts {
		field := fmt.Sprintf("contacts[%d]", i)
		v.shown(field+".name.formatted_name", c.Name.FormattedName, 1024)
		if c.Birthday != "" {
			if _, err := time.Parse(time.DateOnly, c.Birthday); err != nil {
				v.add(field+".birthday", "must be a date as YYYY-MM-DD")
			}
		}
	}
}

func (v *validator) interactive(in *Interactive) {
	if in.Header != nil {
		v.header(in.Header)
	}
	if in.Footer != nil {
		v.shown("interactive.footer.text", in.Footer.Text, MaxFooter)
	}
	bodyLimit, bodyNeeded := MaxInteractiveBody, true
	switch in.Type {
	case InteractiveButton:
		v.buttons(in.Action.Buttons)
	case InteractiveList:
		bodyLimit = MaxListBody
		if in.Header != nil && in.Header.Type != "text" {
			v.add("interactive.header.type", "must be text above a list")
		}
		v.list(&in.Action)
	case InteractiveCTAURL:
		v.ctaURL(&in.Action)
	case InteractiveFlow:
		v.flow(&in.Action)
	case InteractiveLocationRequest:
		v.actionName(&in.Action, "send_location")
	case InteractiveProduct:
		bodyNeeded = false
		v.text("interactive.action.catalog_id", in.Action.CatalogID, 1, 256)
		v.text("interactive.action.product_retailer_id", in.Action.ProductRetailerID, 1, 256)
	case InteractiveProductList:
		v.products(&in.Action)
	case InteractiveCatalog:
		v.actionName(&in.Action, "catalog_message")
	case "":
		v.add("interactive.type", "is required")
	default:
		v.add("interactive.type", "must be one of button, list, cta_url, flow, location_request_message, product, product_list, catalog_message")
	}
	switch {
	case in.Body != nil:
		v.shown("interactive.body.text", in.Body.Text, bodyLimit)
	case bodyNeeded:
		v.add("interactive.body", "is required")
	}
}

func (v *validator) header(h *InteractiveHeader) {
	switch h.Type {
	case "text":
		v.shown("interactive.header.text", h.Text, MaxHeaderText)
	case "image", "video", "document":
		if h.Media() == nil {
			v.add("interactive.header."+h.Type, "is required when the header's type is %q", h.Type)
		}
	default:
		v.add("interactive.header.type", "must be one of text, image, video, document")
		return
	}
	v.absent("interactive.header", "the header's type", h.Type,
		member{"text", h.Text != ""}, member{"image", h.Image != nil}, member{"video", h.Video != nil}, member{"document", h.Document != nil})
}

func (v *validator) buttons(buttons []Button) {
	if len(buttons) == 0 || len(buttons) > MaxButtons {
		v.add("interactive.action.buttons", "must have 1 to %d entries", MaxButtons)
	}
	ids, titles := map[string]bool{}, map[string]bool{}
	for i, b := range buttons {
		field := fmt.Sprintf("interactive.action.buttons[%d]", i)
		if b.Type != "reply" {
			v.add(field+".type", "must be reply")
		}
		v.text(field+".reply.id", b.Reply.ID, 1, MaxButtonID)
		v.shown(field+".reply.title", b.Reply.Title, MaxButtonTitle)
		v.unique(field+".reply.id", ids, b.Reply.ID)
		v.unique(field+".reply.title", titles, b.Reply.Title)
	}
}

func (v *validator) list(a *InteractiveAction) {
	v.shown("interactive.action.button", a.Button, MaxButtonTitle)
	if len(a.Sections) == 0 || len(a.Sections) > MaxSections {
		v.add("interactive.action.sections", "must have 1 to %d entries", MaxSections)
	}
	rows, ids := 0, map[string]bool{}
	for i, s := range a.Sections {
		field := fmt.Sprintf("interactive.action.sections[%d]", i)
		low := 0
		if len(a.Sections) > 1 {
			low = 1 // one section may go without a title
		}
		v.text(field+".title", s.Title, low, MaxSectionTitle)
		if len(s.Rows) == 0 {
			v.add(field+".rows", "must have at least 1 entry")
		}
		rows += len(s.Rows)
		for j, r := range s.Rows {
			row := fmt.Sprintf("%s.rows[%d]", field, j)
			v.text(row+".id", r.ID, 1, MaxRowID)
			v.shown(row+".title", r.Title, MaxRowTitle)
			v.text(row+".description", r.Description, 0, MaxRowDescription)
			v.unique(row+".id", ids, r.ID)
		}
	}
	if rows > MaxRows {
		v.add("interactive.action.sections", "must have at most %d rows in total, has %d", MaxRows, rows)
	}
}

func (v *validator) products(a *InteractiveAction) {
	v.text("interactive.action.catalog_id", a.CatalogID, 1, 256)
	if len(a.Sections) == 0 || len(a.Sections) > MaxSections {
		v.add("interactive.action.sections", "must have 1 to %d entries", MaxSections)
	}
	for i, s := range a.Sections {
		field := fmt.Sprintf("interactive.action.sections[%d].product_items", i)
		if len(s.ProductItems) == 0 {
			v.add(field, "must have at least 1 entry")
		}
		for j, item := range s.ProductItems {
			v.text(fmt.Sprintf("%s[%d].product_retailer_id", field, j), item.ProductRetailerID, 1, 256)
		}
	}
}

func (v *validator) unique(field string, seen map[string]bool, value string) {
	if value != "" && seen[value] {
		v.add(field, "must be unique")
	}
	seen[value] = true
}

func (v *validator) actionName(a *InteractiveAction, name string) {
	if a.Name != name {
		v.add("interactive.action.name", "must be %s", name)
	}
}

func (v *validator) ctaURL(a *InteractiveAction) {
	v.actionName(a, InteractiveCTAURL)
	var p CTAURL
	if !v.parameters(a.Parameters, &p) {
		return
	}
	v.shown("interactive.action.parameters.display_text", p.DisplayText, 20)
	if problem := CheckLink(p.URL); problem != "" {
		v.add("interactive.action.parameters.url", "%s", problem)
	}
}

func (v *validator) flow(a *InteractiveAction) {
	v.actionName(a, InteractiveFlow)
	var p struct {
		ID   string `json:"flow_id"`
		Name string `json:"flow_name"`
		CTA  string `json:"flow_cta"`
	}
	if !v.parameters(a.Parameters, &p) {
		return
	}
	if (p.ID == "") == (p.Name == "") {
		v.add("interactive.action.parameters", "needs flow_id or flow_name, not both")
	}
	v.shown("interactive.action.parameters.flow_cta", p.CTA, 30)
}

func (v *validator) parameters(raw json.RawMessage, into any) bool {
	if isNull(raw) {
		v.add("interactive.action.parameters", "is required")
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		v.add("interactive.action.parameters", "must be an object with the members of its type")
		return false
	}
	return true
}

// isNull reports whether a value that nobody has read yet is left out; null
// counts so.
func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || string(bytes.TrimSpace(raw)) == "null"
}

var templateName = regexp.MustCompile(`^[a-z0-9_]+$`)

func (v *validator) template(t *Template) {
	v.text("template.name", t.Name, 1, MaxTemplateName)
	if t.Name != "" && !templateName.MatchString(t.Name) {
		v.add("template.name", "must hold only a-z, 0-9 and _")
	}
	v.text("template.language.code", t.Language.Code, 1, 20)
	buttons := 0
	kinds, indexes := map[string]bool{}, map[string]bool{}
	for i, c := range t.Components {
		field := fmt.Sprintf("template.components[%d]", i)
		switch c.Type {
		case "header", "body":
			v.unique(field+".type", kinds, c.Type)
			if c.SubType != "" || c.Index != nil {
				v.add(field, "may have sub_type and index only when its type is button")
			}
		case "button":
			buttons++
			v.text(field+".sub_type", c.SubType, 1, 40)
			if c.Index == nil || *c.Index < 0 || int(*c.Index) >= MaxTemplateButtons {
				v.add(field+".index", "must be 0 to %d", MaxTemplateButtons-1)
			} else {
				v.unique(field+".index", indexes, strconv.Itoa(int(*c.Index)))
			}
		default:
			v.add(field+".type", "must be one of header, body, button")
		}
		for j := range c.Parameters {
			v.templateParameter(fmt.Sprintf("%s.parameters[%d]", field, j), &c.Parameters[j])
		}
	}
	if buttons > MaxTemplateButtons {
		v.add("template.components", "must have at most %d buttons", MaxTemplateButtons)
	}
}

func (v *validator) templateParameter(field string, p *TemplateParameter) {
	missing := false
	switch p.Type {
	case "text": // may be blank: that is how a variable is left empty
		v.text(field+".text", p.Text, 1, MaxText)
	case "payload":
		v.text(field+".payload", p.Payload, 0, MaxButtonID)
	case "coupon_code":
		v.text(field+".coupon_code", p.CouponCode, 1, MaxCouponCode)
	case "currency":
		if missing = p.Currency == nil; !missing {
			v.text(field+".currency.fallback_value", p.Currency.FallbackValue, 1, MaxText)
			v.text(field+".currency.code", p.Currency.Code, 1, 3)
		}
	case "date_time":
		if missing = p.DateTime == nil; !missing {
			v.text(field+".date_time.fallback_value", p.DateTime.FallbackValue, 1, MaxText)
		}
	case "image", "video", "document":
		missing = p.Media() == nil
	case "location":
		if missing = p.Location == nil; !missing {
			v.location(field+".location", p.Location)
		}
	case "action":
		if missing = isNull(p.Action); !missing && !bytes.HasPrefix(bytes.TrimSpace(p.Action), []byte("{")) {
			v.add(field+".action", "must be an object")
		}
	case "":
		v.add(field+".type", "is required")
		return
	default:
		v.add(field+".type", "must be one of text, currency, date_time, image, video, document, location, payload, coupon_code, action")
		return
	}
	if missing {
		v.add(field+"."+p.Type, "is required when type is %q", p.Type)
	}
	v.absent(field, "type", p.Type,
		member{"text", p.Text != ""}, member{"payload", p.Payload != ""}, member{"coupon_code", p.CouponCode != ""},
		member{"currency", p.Currency != nil}, member{"date_time", p.DateTime != nil},
		member{"image", p.Image != nil}, member{"video", p.Video != nil}, member{"document", p.Document != nil},
		member{"location", p.Location != nil}, member{"action", !isNull(p.Action)})
}
