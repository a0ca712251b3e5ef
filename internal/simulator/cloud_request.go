package simulator

import (
	"regexp"
	"strconv"
	"strings"
)

// cloudMarkRead is the kind of a request that sends nothing.
const cloudMarkRead = "status"

var cloudTypes = []string{
	"text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "interactive", "template",
}

// parse judges a request by the Cloud API reference, messages.
func (c *cloud) parse(a *account, body []byte) (*message, *refusal) {
	check := &checker{}
	p := &cloudParser{o: check.decode(body)}
	m := p.message(a)
	if check.first != nil {
		return nil, p.refusal(check.first)
	}
	if id := c.s.missingFile(a, m.files); id != "" {
		return nil, &refusal{reason: reasonInvalid, code: codeInvalid, detail: "there is no file with the media id " + id}
	}
	if code, detail := cloudFit(a.fit(m.template)); code != 0 {
		return nil, &refusal{reason: reasonInvalid, code: code, detail: detail}
	}
	return m, nil
}

// cloudFit is the error that tells how a template was misused, zero if it
// wasn't.
func cloudFit(f templateFit) (code int, detail string) {
	switch f {
	case templateFits:
		return 0, ""
	case templateUnknown:
		return codeNoTemplate, "the template does not exist"
	case templateNoLanguage:
		return codeNoTemplate, "the template does not exist in the language"
	case templatePending:
		return codeNoTemplate, "the template is not approved"
	case templatePaused:
		return codeTemplatePaused, "the template is paused"
	case templateDisabled:
		return codeTemplateDisabled, "the template is disabled"
	case templateMiscounted:
		return codeTemplateCount, "the number of parameters is not the one expected"
	case templateMismatched:
		return codeTemplateFormat, "a parameter is not of the kind expected"
	}
	return codeNoTemplate, ""
}

// cloudParser reads one request. Of what is wrong with it only the first thing
// counts; code is the error code if the kind of violation doesn't say it.
type cloudParser struct {
	o        *object
	table    mediaTable // nil: cloudFiles
	code     int
	badMedia string
	files    []string // ids
	template *templateUse
}

// fail refuses with a certain code.
func (p *cloudParser) fail(code int, field, detail string) {
	if p.o.c.first == nil {
		p.code = code
		p.o.c.fail(fieldInvalid, field, "%s", detail)
	}
}

func (p *cloudParser) refusal(v *violation) *refusal {
	code := p.code
	if code == 0 {
		switch v.kind {
		case fieldMissing:
			code = codeMissing
		case fieldInvalid:
			code = codeInvalid
		case fieldUnknown, bodyMalformed:
			code = codeParameter
		}
	}
	return &refusal{reason: reasonInvalid, code: code, detail: strings.TrimSpace(v.field + " " + v.detail)}
}

func (p *cloudParser) message(a *account) *message {
	o := p.o
	if !o.has("messaging_product") {
		p.fail(codeParameter, "messaging_product", "is required")
	}
	o.one("messaging_product", "whatsapp")
	if o.has("status") {
		return p.markRead()
	}
	o.one("recipient_type", "individual", "")
	input := o.text("to", 1, 64)
	to := cloudNumber(input)
	if input != "" && to == "" {
		p.fail(codeInvalid, "to", "is not a phone number")
	}
	if to != "" && to == a.digits {
		p.fail(codeOwnNumber, "to", "is the sender")
	}
	kind := o.text("type", 0, unlimited)
	if kind == "" {
		kind = "text" // the reference's default
	}
	m := &message{kind: kind, recipients: []string{to}, inputs: []string{input}}
	m.correlation = o.text("biz_opaque_callback_data", 0, 512)
	o.text("recipient_identity_key_hash", 0, unlimited)
	if context := o.object("context", false); context != nil {
		context.text("message_id", 1, 512)
		context.done()
		if kind == "reaction" {
			p.fail(codeInvalid, "context", "is not possible with a reaction")
		}
	}
	p.content(kind)
	o.done()
	m.files, m.template = p.files, p.template
	if p.badMedia != "" {
		m.doom = &event{state: stateFailed, code: codeMediaUpload, detail: p.badMedia}
	}
	return m
}

// markRead reads a request that says an inbound message was read.
func (p *cloudParser) markRead() *message {
	p.o.one("status", "read")
	p.o.text("message_id", 1, 512)
	if typing := p.o.object("typing_indicator", false); typing != nil {
		typing.one("type", "text")
		typing.done()
	}
	p.o.done()
	return &message{kind: cloudMarkRead}
}

// cloudNumber is the digits of a phone number as the API tolerates it, or "".
func cloudNumber(s string) string {
	digits := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(s)
	digits = strings.TrimPrefix(digits, "+")
	if len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return digits
}

func (p *cloudParser) content(kind string) {
	switch kind {
	case "contacts":
		p.o.contactCards("contacts", 257, true, cardKinds{})
		return
	case "text", "image", "video", "audio", "document", "sticker", "location", "reaction", "interactive", "template":
	default:
		p.fail(codeMessageType, "type", "must be one of "+strings.Join(cloudTypes, ", "))
		return
	}
	o := p.o.object(kind, true)
	if o == nil {
		return
	}
	switch kind {
	case "text":
		o.text("body", 1, 4096)
		o.flag("preview_url")
	case "location":
		p.location(o)
	case "reaction":
		o.text("message_id", 1, 512)
		if !o.has("emoji") { // empty is how one is removed
			o.c.missing("reaction.emoji")
		}
		o.text("emoji", 0, 16)
	case "interactive":
		p.interactive(o)
	case "template":
		p.templateMessage(o)
	default:
		p.media(o, kind)
		if kind == "image" || kind == "video" || kind == "document" {
			o.text("caption", 0, 1024)
		}
		if kind == "audio" {
			o.flag("voice")
		}
	}
	o.done()
}

// media reads what every file has: an id or a link.
func (p *cloudParser) media(o *object, kind string) {
	id, link := o.text("id", 0, 512), o.link("link", false)
	switch {
	case id == "" && link == "":
		o.c.missing(o.field("id or link"))
	case id != "" && link != "":
		p.fail(codeInvalid, o.path, "must have id or link, not both")
	}
	if id != "" {
		p.files = append(p.files, id)
	}
	if kind == "document" {
		o.text("filename", 0, 240)
	}
	table := p.table
	if table == nil {
		table = cloudFiles
	}
	if bad := wrongFile(table, kind, link); bad != "" && p.badMedia == "" {
		p.badMedia = bad
	}
}

func (p *cloudParser) location(o *object) {
	o.number("latitude", -90, 90, true)
	o.number("longitude", -180, 180, true)
	o.text("name", 0, 1000)
	o.text("address", 0, 1000)
}

func (p *cloudParser) interactive(o *object) {
	kind := o.text("type", 1, 64)
	header := o.object("header", false)
	if header != nil {
		p.header(header, kind)
	}
	bodyLow, bodyHigh := 1, 1024
	switch kind {
	case "list":
		bodyHigh = 4096
	case "product":
		bodyLow = 0
	}
	body := o.object("body", bodyLow > 0)
	body.text("text", 1, bodyHigh)
	body.done()
	footer := o.object("footer", false)
	footer.text("text", 1, 60)
	footer.done()
	action := o.object("action", true)
	if action == nil {
		return
	}
	switch kind {
	case "button":
		p.buttons(action)
	case "list":
		p.list(action)
	case "cta_url":
		action.one("name", "cta_url")
		if params := action.object("parameters", true); params != nil {
			params.text("display_text", 1, 20)
			params.link("url", true)
			params.done()
		}
	case "flow":
		p.flow(action)
	case "location_request_message":
		action.one("name", "send_location")
		if header != nil || footer != nil {
			p.fail(codeInvalid, o.path, "must have a body only when its type is location_request_message")
		}
	case "product", "product_list", "catalog_message", "address_message", "call_permission_request", "order_details", "order_status", "carousel":
		return // commerce and calling: not judged here
	default:
		p.fail(codeInvalid, o.field("type"), "is none of the interactive types")
	}
	action.done()
}

func (p *cloudParser) header(h *object, interactive string) {
	kind := h.one("type", "text", "image", "video", "document")
	if interactive == "list" && kind != "text" {
		p.fail(codeInvalid, h.field("type"), "must be text above a list")
	}
	if kind == "text" {
		h.text("text", 1, 60)
	} else if file := h.object(kind, true); file != nil {
		p.media(file, kind)
		file.done()
	}
	h.done()
}

func (p *cloudParser) buttons(action *object) {
	ids, titles := map[string]bool{}, map[string]bool{}
	action.objects("buttons", 1, 3, func(b *object) {
		b.one("type", "reply")
		if reply := b.object("reply", true); reply != nil {
			reply.unique("id", reply.text("id", 1, 256), ids)
			reply.unique("title", reply.text("title", 1, 20), titles)
			reply.done()
		}
	})
}

func (p *cloudParser) list(action *object) {
	action.text("button", 1, 20)
	rows, untitled, ids := 0, 0, map[string]bool{}
	sections := action.objects("sections", 1, 10, func(s *object) {
		if s.text("title", 0, 24) == "" {
			untitled++
		}
		rows += s.objects("rows", 1, 10, func(row *object) {
			row.unique("id", row.text("id", 1, 200), ids)
			row.text("title", 1, 24)
			row.text("description", 0, 72)
		})
	})
	if sections > 1 && untitled > 0 { // one section may go without, in production
		action.c.missing(action.field("sections.title"))
	}
	if rows > 10 {
		p.fail(codeInvalid, action.field("sections"), "must have at most 10 rows in total")
	}
}

func (p *cloudParser) flow(action *object) {
	action.one("name", "flow")
	params := action.object("parameters", true)
	if params == nil {
		return
	}
	params.one("flow_message_version", "3")
	id, name := params.text("flow_id", 0, unlimited), params.text("flow_name", 0, unlimited)
	if (id == "") == (name == "") {
		p.fail(codeInvalid, params.path, "must have flow_id or flow_name")
	}
	params.text("flow_cta", 1, 30)
	params.text("flow_token", 0, unlimited)
	params.one("mode", "draft", "published", "")
	params.one("flow_action", "navigate", "data_exchange", "")
	if payload := params.object("flow_action_payload", false); payload != nil {
		payload.text("screen", 1, unlimited)
		if data := payload.object("data", false); data != nil && len(data.members) == 0 {
			p.fail(codeInvalid, data.path, "must not be an empty object")
		}
		payload.done()
	}
	params.done()
}

var (
	cloudTemplateName = regexp.MustCompile(`^[a-z0-9_]+$`)
	cloudLocale       = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?$`)
	cloudCoupon       = regexp.MustCompile(`^[A-Za-z0-9]*$`)
)

func (p *cloudParser) templateMessage(o *object) {
	use := &templateUse{name: o.text("name", 1, 512), buttons: make(map[int]string)}
	p.template = use
	if use.name != "" && !cloudTemplateName.MatchString(use.name) {
		p.fail(codeInvalid, o.field("name"), "must hold only a-z, 0-9 and _")
	}
	if language := o.object("language", true); language != nil {
		use.language = language.text("code", 1, 20)
		if use.language != "" && !cloudLocale.MatchString(use.language) {
			p.fail(codeNoTemplate, language.field("code"), "names no translation of the template")
		}
		language.one("policy", "deterministic", "")
		language.done()
	}
	buttons := 0
	o.objects("components", 0, 12, func(component *object) {
		switch kind := component.one("type", "header", "body", "button"); kind {
		case "header":
			use.header = append(use.header, p.parameters(component, 1, "text", "image", "video", "document", "location")...)
		case "body":
			use.body += len(p.parameters(component, unlimited, "text", "currency", "date_time"))
		case "button":
			buttons++
			p.templateButton(component)
		}
	})
	if buttons > 10 {
		p.fail(codeInvalid, o.field("components"), "must have at most 10 buttons")
	}
}

func (p *cloudParser) templateButton(b *object) {
	i := p.buttonIndex(b)
	kind := strings.ToLower(b.text("sub_type", 1, 40))
	p.template.buttons[i] = kind
	switch kind {
	case "quick_reply":
		p.parameters(b, 1, "payload")
	case "url":
		p.parameters(b, 1, "text")
	case "copy_code":
		p.parameters(b, 1, "coupon_code")
	case "flow", "catalog", "mpm":
		p.parameters(b, 1, "action")
	case "voice_call":
		p.parameters(b, 1, "payload", "text")
	default:
		p.fail(codeInvalid, b.field("sub_type"), "is none of the button types")
	}
}

// buttonIndex reads 0 to 9, as a number or as a string.
func (p *cloudParser) buttonIndex(b *object) int {
	v, ok := b.take("index")
	if !ok {
		b.c.missing(b.field("index"))
		return 0
	}
	n, isNumber := v.(float64)
	if s, isString := v.(string); isString {
		i, err := strconv.Atoi(s)
		n, isNumber = float64(i), err == nil
	}
	if !isNumber || n != float64(int(n)) || n < 0 || n > 9 {
		p.fail(codeInvalid, b.field("index"), "must be 0 to 9")
		return 0
	}
	return int(n)
}

// parameters reads what is put into a component, and says of which kinds it is.
func (p *cloudParser) parameters(component *object, high int, kinds ...string) (found []string) {
	named := 0
	count := component.objects("parameters", 0, high, func(param *object) {
		if param.text("parameter_name", 0, 512) != "" {
			named++
		}
		kind := param.one("type", kinds...)
		found = append(found, kind)
		switch kind {
		case "text":
			param.text("text", 1, 4096)
		case "payload":
			param.text("payload", 0, 256)
		case "coupon_code":
			if !cloudCoupon.MatchString(param.text("coupon_code", 1, 15)) {
				p.fail(codeInvalid, param.field("coupon_code"), "must be alphanumeric")
			}
		case "image", "video", "document":
			if file := param.object(kind, true); file != nil {
				p.media(file, kind)
				file.done()
			}
		case "location":
			if place := param.object(kind, true); place != nil {
				p.location(place)
				place.done()
			}
		case "currency":
			amount := param.object(kind, true)
			amount.text("fallback_value", 1, 1024)
			amount.text("code", 3, 3)
			amount.number("amount_1000", -1e15, 1e15, false)
			amount.done()
		case "date_time":
			moment := param.object(kind, true)
			moment.text("fallback_value", 1, 1024)
			moment.done()
		case "action":
			param.object(kind, true) // its members depend on the flow
		}
	})
	if named > 0 && named < count {
		p.fail(codeTemplateFormat, component.field("parameters"), "must be all named or all positional")
	}
	return found
}
