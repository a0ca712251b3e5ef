package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	conversationApp = regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{32})$`)
	conversationTTL = regexp.MustCompile(`^[0-9]{1,12}s$`)
)

// conversationMessages is the kinds of message, of which a request has one.
var conversationMessages = []string{
	"text_message", "media_message", "card_message", "choice_message", "carousel_message", "list_message",
	"location_message", "template_message", "contact_info_message",
}

// conversationParser reads one request. What the API only finds out after it
// has answered is told by doom.
type conversationParser struct {
	account *account
	o       *object
	to      string
	doom    *event
	use     *templateUse
}

// fail dooms the message, if nothing has yet.
func (p *conversationParser) fail(reason string, code int, detail string) {
	if p.doom == nil {
		p.doom = &event{state: stateFailed, reason: reason, code: code, detail: detail}
	}
}

// parse judges a POST /messages:send: only its form, as the API itself does
// before it answers.
func (c *conversation) parse(a *account, body []byte) (*message, *refusal) {
	check := &checker{}
	p := &conversationParser{account: a, o: check.decode(body)}
	o := p.o
	app := o.text("app_id", 1, 64)
	m := &message{}
	p.recipient(m)
	if content := o.object("message", true); content != nil {
		m.content = mustJSON(content.members)
		m.kind = p.content(content)
		content.done()
	}
	for _, channel := range o.strings("channel_priority_order", 0, unlimited, unlimited) {
		if channel != "WHATSAPP" {
			check.fail(fieldInvalid, "channel_priority_order", "has a channel the app isn't configured for")
		}
	}
	if properties := o.object("channel_properties", false); properties != nil {
		for name := range properties.members {
			properties.text(name, 0, 1024)
		}
	}
	m.correlation = o.text("message_metadata", 0, 1024)
	m.reference = o.text("correlation_id", 0, 128)
	if metadata := o.object("conversation_metadata", false); metadata != nil && len(mustJSON(metadata.members)) > 2048 {
		check.fail(fieldInvalid, "conversation_metadata", "must have at most 2048 characters")
	}
	o.one("conversation_metadata_update_strategy", "REPLACE", "MERGE_PATCH", "")
	m.callback = o.link("callback_url", false)
	o.one("queue", "NORMAL_PRIORITY", "HIGH_PRIORITY", "")
	if ttl := o.text("ttl", 0, 16); ttl != "" {
		n, _ := strconv.ParseInt(strings.TrimSuffix(ttl, "s"), 10, 64)
		if !conversationTTL.MatchString(ttl) || n < 3 || n > 315576000000 {
			check.fail(fieldInvalid, "ttl", "must be 3s to 315576000000s")
		}
	}
	o.one("processing_strategy", "DEFAULT", "DISPATCH_ONLY", "")
	o.one("message_content_type", "CONTENT_UNKNOWN", "CONTENT_MARKETING", "CONTENT_NOTIFICATION", "")
	o.done()
	if app != "" && app != a.AppID {
		if !conversationApp.MatchString(app) {
			check.fail(fieldInvalid, "app_id", "is malformed")
		} else if check.first == nil {
			return nil, &refusal{reason: reasonInvalid, status: http.StatusNotFound}
		}
	}
	if check.first != nil {
		return nil, &refusal{reason: reasonInvalid, detail: strings.TrimSpace(check.first.field + " " + check.first.detail)}
	}
	m.template = p.use
	p.judgeTemplate()
	m.doom = p.doom
	return m, nil
}

func (p *conversationParser) recipient(m *message) {
	o := p.o.object("recipient", true)
	m.recipients, m.inputs = []string{""}, []string{""}
	o.refuse("contact_id", "is not possible with an app in DISPATCH mode")
	if by := o.object("identified_by", true); by != nil {
		by.objects("channel_identities", 1, 1, func(identity *object) {
			identity.one("channel", "WHATSAPP")
			m.inputs[0] = identity.text("identity", 1, 64)
			identity.text("app_id", 0, 64)
		})
		by.done()
	}
	o.done()
	p.to = strings.TrimPrefix(m.inputs[0], "+")
	m.recipients[0] = p.to
	if m.inputs[0] != "" && (len(p.to) < 7 || len(p.to) > 15 || strings.Trim(p.to, "0123456789") != "") {
		p.o.c.fail(fieldInvalid, "recipient.identified_by.channel_identities[0].identity", "must be a number of 7 to 15 digits")
	}
}

// content reads the one message there is, and what goes along with it.
func (p *conversationParser) content(o *object) string {
	kind, n := "", 0
	for _, name := range conversationMessages {
		if o.has(name) {
			kind, n = name, n+1
		}
	}
	if n > 1 {
		o.c.fail(fieldInvalid, o.path, "must have one kind of message, has %d", n)
	}
	if kind != "" {
		p.generic(kind, o.object(kind, true))
	}
	if explicit := o.object("explicit_channel_message", false); explicit != nil {
		if text := explicit.text("WHATSAPP", 1, unlimited); text != "" {
			if own := p.explicit(explicit, text); kind == "" {
				kind = own
			}
		}
		explicit.done()
	}
	if special := o.object("channel_specific_message", false); special != nil && kind == "" {
		kind = "channel_specific_message" // not judged here
	}
	o.object("explicit_channel_omni_message", false)
	if agent := o.object("agent", false); agent != nil {
		agent.text("display_name", 0, unlimited)
		agent.text("type", 0, unlimited)
		agent.link("picture_url", false)
		agent.done()
	}
	if reply := o.object("reply_to", false); reply != nil {
		reply.text("message_id", 1, 512)
		reply.done()
	}
	if kind == "" {
		o.c.fail(fieldMissing, o.path, "must have a kind of message")
	}
	return kind
}

func (p *conversationParser) generic(kind string, o *object) {
	if o == nil {
		return
	}
	switch kind {
	case "text_message":
		p.text(o)
	case "media_message":
		p.media(o)
	case "location_message":
		p.location(o)
	case "contact_info_message":
		p.contact(o)
	case "choice_message":
		if text := o.object("text_message", false); text != nil {
			p.text(text)
			text.done()
		}
		p.choices(o, 1)
		p.properties(o, "whatsapp_footer")
	case "card_message":
		o.text("title", 0, unlimited)
		o.text("description", 0, unlimited)
		if media := o.object("media_message", false); media != nil {
			p.media(media)
			media.done()
		}
		p.choices(o, 0)
		o.one("height", "UNSPECIFIED_HEIGHT", "SHORT", "MEDIUM", "TALL", "")
		p.properties(o, "whatsapp_header")
	case "list_message":
		p.list(o)
	case "template_message":
		p.template(o)
	case "carousel_message":
		return // flattened to text: not judged here
	}
	o.done()
}

func (p *conversationParser) text(o *object) {
	if n := utf8.RuneCountInString(o.text("text", 1, unlimited)); n > 4096 {
		p.fail("BAD_REQUEST", codeInvalid, fmt.Sprintf("a text must have at most 4096 characters, has %d", n))
	}
}

func (p *conversationParser) media(o *object) {
	link := o.link("url", true)
	o.link("thumbnail_url", false)
	o.text("filename_override", 0, unlimited)
	if bad := wrongFile(sinchFiles, "document", link); bad != "" { // a document may be of every other kind too
		p.fail("MEDIA_TYPE_UNSUPPORTED", codeMediaUpload, bad)
	}
}

func (p *conversationParser) location(o *object) {
	o.text("title", 1, unlimited)
	o.text("label", 0, unlimited)
	if at := o.object("coordinates", true); at != nil {
		at.number("latitude", -90, 90, false)
		at.number("longitude", -180, 180, false)
		at.done()
	}
}

func (p *conversationParser) contact(o *object) {
	texts := func(e *object, names ...string) {
		for _, name := range names {
			e.text(name, 0, unlimited)
		}
	}
	if name := o.object("name", true); name != nil {
		name.text("full_name", 1, unlimited)
		texts(name, "first_name", "last_name", "middle_name", "prefix", "suffix")
		name.done()
	}
	o.objects("phone_numbers", 1, unlimited, func(e *object) { e.text("phone_number", 1, unlimited); texts(e, "type") })
	o.objects("addresses", 0, unlimited, func(e *object) { texts(e, "city", "country", "state", "zip", "type", "country_code") })
	o.objects("email_addresses", 0, unlimited, func(e *object) { e.text("email_address", 1, unlimited); texts(e, "type") })
	o.objects("urls", 0, unlimited, func(e *object) { e.text("url", 1, unlimited); texts(e, "type") })
	if org := o.object("organization", false); org != nil {
		texts(org, "company", "department", "title")
		org.done()
	}
	o.date("birthday")
}

// choices reads choices of any kind. What WhatsApp can't show as buttons is
// flattened to text, and no failure.
func (p *conversationParser) choices(o *object, low int) {
	o.objects("choices", low, 10, func(choice *object) {
		n := 0
		for name, read := range map[string]func(*object){
			"text_message":     p.text,
			"url_message":      func(e *object) { e.text("title", 1, unlimited); e.link("url", true) },
			"call_message":     func(e *object) { e.text("title", 1, unlimited); e.text("phone_number", 1, unlimited) },
			"location_message": p.location,
			"calendar_message": func(e *object) {
				for _, part := range []string{"title", "event_start", "event_end", "event_title", "event_description", "fallback_url"} {
					e.text(part, 0, unlimited)
				}
			},
			"share_location_message": func(e *object) { e.text("title", 0, unlimited); e.link("fallback_url", false) },
		} {
			if e := choice.object(name, false); e != nil {
				n++
				read(e)
				e.done()
			}
		}
		if n != 1 {
			o.c.fail(fieldInvalid, choice.path, "must be one kind of choice")
		}
		choice.text("postback_data", 0, unlimited)
	})
}

func (p *conversationParser) properties(o *object, names ...string) {
	if properties := o.object("message_properties", false); properties != nil {
		for _, name := range names {
			properties.text(name, 0, unlimited)
		}
		properties.done()
	}
}

func (p *conversationParser) list(o *object) {
	o.text("title", 1, unlimited)
	o.text("description", 0, unlimited)
	if media := o.object("media", false); media != nil {
		p.media(media)
		media.done()
	}
	items := 0
	o.objects("sections", 1, unlimited, func(section *object) {
		section.text("title", 0, unlimited)
		items += section.objects("items", 1, unlimited, func(item *object) {
			choice, product := item.object("choice", false), item.object("product", false)
			if (choice == nil) == (product == nil) {
				o.c.fail(fieldInvalid, item.path, "must be a choice or a product")
			}
			choice.text("title", 1, unlimited)
			choice.text("description", 0, unlimited)
			choice.text("postback_data", 0, unlimited)
			if media := choice.object("media", false); media != nil {
				p.media(media)
				media.done()
			}
			choice.done()
			product.text("id", 1, unlimited)
			product.text("marketplace", 1, unlimited)
		})
	})
	if items > 10 {
		p.fail("BAD_REQUEST", codeInvalid, fmt.Sprintf("a list must have at most 10 choices, has %d", items))
	}
	p.properties(o, "menu", "whatsapp_header", "catalog_id")
}

func (p *conversationParser) template(o *object) {
	channels, omni := o.object("channel_template", false), o.object("omni_template", false)
	if channels == nil && omni == nil {
		o.c.missing(o.field("channel_template"))
		return
	}
	if omni != nil { // of the API's own store, whose contents nobody here knows
		omni.text("template_id", 1, unlimited)
		omni.text("version", 1, unlimited)
		omni.text("language_code", 0, 20)
		omni.object("parameters", false)
		omni.done()
	}
	template := channels.object("WHATSAPP", omni == nil)
	channels.done()
	if template == nil {
		p.use = &templateUse{}
		return
	}
	p.use = &templateUse{name: template.text("template_id", 1, unlimited), language: template.text("language_code", 0, 20), buttons: make(map[int]string)}
	if !cloudLocale.MatchString(p.use.language) {
		p.fail("TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION", codeNoTemplate, "language_code must be as in en_US")
	}
	if parameters := template.object("parameters", false); parameters != nil {
		names := make([]string, 0, len(parameters.members))
		for name := range parameters.members {
			names = append(names, name)
		}
		for _, name := range names {
			parameters.text(name, 0, unlimited)
			p.parameter(name)
		}
	}
	template.done()
}

// The names of template parameters: components and parameters count from one,
// buttons from zero.
var (
	conversationHeaderKey = regexp.MustCompile(`^header\[1\](text|(image|video|document)\.link)$`)
	conversationExtraKey  = regexp.MustCompile(`^header\[1\](document\.filename|(image|video|document)\.provider\.name)$`)
	conversationBodyKey   = regexp.MustCompile(`^body\[[1-9][0-9]*\]text$`)
	conversationButtonKey = regexp.MustCompile(`^button\[([0-9])\](quick_reply\[1\]payload|url\[1\]text)$`)
)

func (p *conversationParser) parameter(name string) {
	if m := conversationHeaderKey.FindStringSubmatch(name); m != nil {
		kind, _, _ := strings.Cut(m[1], ".")
		p.use.header = append(p.use.header, kind)
		return
	}
	if conversationBodyKey.MatchString(name) {
		p.use.body++
		return
	}
	if m := conversationButtonKey.FindStringSubmatch(name); m != nil {
		i, _ := strconv.Atoi(m[1])
		kind, _, _ := strings.Cut(m[2], "[")
		p.use.buttons[i] = kind
		return
	}
	if !conversationExtraKey.MatchString(name) {
		p.fail("BAD_REQUEST", codeTemplateFormat, name+" is no parameter of a template")
	}
}

// judgeTemplate finds out whether the template can be sent. Here payloads of
// quick replies may not be left out.
func (p *conversationParser) judgeTemplate() {
	if p.use == nil || p.use.name == "" {
		return
	}
	fit := p.account.fit(p.use)
	templates := p.account.rules().templates()
	for i := range templates {
		t := &templates[i]
		if fit != templateFits || t.Name != p.use.name || t.Language != p.use.language {
			continue
		}
		for n, kind := range t.Buttons {
			if _, used := p.use.buttons[n]; kind == "quick_reply" && !used {
				fit = templateMiscounted
			}
		}
	}
	code, detail := cloudFit(fit)
	switch fit {
	case templateFits:
	case templateNoLanguage:
		p.fail("TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION", code, detail)
	case templateUnknown, templatePending, templatePaused, templateDisabled, templateMiscounted, templateMismatched:
		p.fail("", code, detail) // the code tells the reason
	}
}

// explicit reads a message in the channel's own words, with the recipient left
// open. It has to be JSON; what else is wrong the channel says later.
func (p *conversationParser) explicit(o *object, text string) string {
	var members map[string]any
	if json.Unmarshal([]byte(text), &members) != nil {
		o.c.fail(fieldInvalid, o.field("WHATSAPP"), "must be a JSON object in a string")
		return "explicit_channel_message"
	}
	if members["biz_opaque_callback_data"] == nil {
		delete(members, "biz_opaque_callback_data")
	}
	if members["to"] == "{{to}}" {
		members["to"] = p.to
	} else {
		p.fail("BAD_REQUEST", codeInvalid, "to must be {{to}}")
	}
	check := &checker{}
	own := &cloudParser{o: &object{c: check, members: members}, table: sinchFiles}
	m := own.message(p.account)
	if check.first != nil {
		problem := own.refusal(check.first)
		p.fail("BAD_REQUEST", problem.code, problem.detail)
		return "explicit_channel_message"
	}
	if own.badMedia != "" {
		p.fail("MEDIA_TYPE_UNSUPPORTED", codeMediaUpload, own.badMedia)
	}
	if own.template != nil {
		p.use = own.template
	}
	if m.kind == cloudMarkRead {
		p.fail("BAD_REQUEST", codeInvalid, "the message sends nothing")
	}
	return m.kind
}
