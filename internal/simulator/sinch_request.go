package simulator

import (
	"regexp"
	"strings"
)

// parse judges a request by the documents of the WhatsApp API v1. They don't
// say what becomes of fields nobody knows; here they are refused, so that a
// misspelt one is noticed.
func (v *sinchV1) parse(a *account, body []byte) (*message, *refusal) {
	check := &checker{}
	o := check.decode(body)
	p := &sinchParser{}
	numbers := sinchNumbers(o, "to")
	m := &message{recipients: numbers, inputs: numbers}
	if content := o.object("message", true); content != nil {
		m.kind = p.content(content)
		content.done()
	}
	m.callback = o.link("callback", false)
	m.correlation = m.callback
	o.done()
	if check.first != nil {
		problem := sinchRefusal(check.first)
		return nil, &problem
	}
	m.template = p.use
	switch fit := a.fit(p.use); {
	case p.badMedia != "":
		m.doom = &event{state: stateFailed, detail: p.badMedia}
	case fit != templateFits: // the documents have no error for it
		_, detail := cloudFit(fit)
		m.doom = &event{state: stateFailed, detail: detail}
	}
	return m, nil
}

// sinchRefusal says what is wrong in the documents' words.
func sinchRefusal(v *violation) refusal {
	detail := "Field [" + v.field + "] " + v.detail + "."
	if v.kind == bodyMalformed {
		detail = strings.ToUpper(v.detail[:1]) + v.detail[1:] + "."
	}
	return refusal{reason: reasonInvalid, detail: detail}
}

// sinchParser reads one message object.
type sinchParser struct {
	badMedia string
	use      *templateUse
}

var (
	sinchLanguage = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?$`)
	sinchProvider = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
	sinchCards    = cardKinds{
		phone: []string{"HOME", "WORK", "CELL", "MAIN", "IPHONE", ""}, other: []string{"HOME", "WORK", ""}, ims: true,
	}
)

func (p *sinchParser) content(o *object) string {
	kind := o.one("type", "text", "image", "video", "document", "audio", "sticker", "location", "contacts", "interactive", "template")
	switch kind {
	case "text":
		o.text("text", 1, 4096)
		o.flag("preview_url")
	case "image", "video", "document", "audio":
		p.media(o, kind)
		if kind != "audio" {
			o.text("caption", 0, unlimited)
		}
	case "sticker":
		p.sticker(o)
	case "location":
		o.number("lat", -90, 90, false)
		o.number("lng", -180, 180, false)
		o.text("name", 0, unlimited)
		o.text("address", 0, unlimited)
	case "contacts":
		o.contactCards("contacts", unlimited, true, sinchCards)
	case "interactive":
		if inner := o.object("message", true); inner != nil {
			p.interactive(inner)
			inner.done()
		}
	case "template":
		p.template(o)
	}
	return kind
}

// media reads what every file has.
func (p *sinchParser) media(o *object, kind string) {
	p.file(kind, o.link("url", true))
	p.provider(o)
	if kind == "document" {
		o.text("filename", 0, unlimited)
	}
}

func (p *sinchParser) sticker(o *object) {
	id, link := o.text("id", 0, unlimited), o.link("url", false)
	switch {
	case id == "" && link == "":
		o.c.missing(o.field("url"))
	case id != "" && link != "":
		o.c.fail(fieldInvalid, o.field("id"), "is not possible together with url")
	case id != "":
		o.refuse("provider", "is possible only with url")
	}
	p.file("sticker", link)
	p.provider(o)
}

func (p *sinchParser) file(kind, link string) {
	if bad := wrongFile(sinchFiles, kind, link); bad != "" && p.badMedia == "" {
		p.badMedia = bad
	}
}

// provider reads the name of the credentials a file is fetched with.
func (p *sinchParser) provider(o *object) {
	if name := o.text("provider", 0, 200); !sinchProvider.MatchString(name) {
		o.c.fail(fieldInvalid, o.field("provider"), "must hold only letters, digits, - and _")
	}
}

func (p *sinchParser) interactive(o *object) {
	kind := o.one("type", "button", "list")
	if header := o.object("header", false); header != nil {
		p.header(header, kind)
		header.done()
	}
	body := o.object("body", true)
	body.text("text", 1, 1024)
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
		action.objects("buttons", 1, 3, func(b *object) {
			b.one("type", "reply")
			b.text("id", 1, 230)
			b.text("title", 1, 20)
		})
	case "list":
		p.list(action)
	}
	action.done()
}

func (p *sinchParser) header(h *object, interactive string) {
	kinds := []string{"text", "image", "video", "document"}
	if interactive == "list" {
		kinds = kinds[:1]
	}
	switch kind := h.one("type", kinds...); kind {
	case "text":
		h.text("text", 1, 60)
	case "image", "video", "document":
		p.media(h, kind)
	}
}

func (p *sinchParser) list(action *object) {
	action.text("button", 1, 20)
	rows, ids := 0, map[string]bool{}
	action.objects("sections", 1, 10, func(s *object) {
		s.text("title", 0, 24)
		rows += s.objects("rows", 1, 10, func(row *object) {
			row.unique("id", row.text("id", 1, 174), ids)
			row.text("title", 1, 20)
			row.text("description", 0, 72)
		})
	})
	if rows > 10 {
		action.c.fail(fieldInvalid, action.field("sections"), "must have at most 10 rows in total")
	}
}

func (p *sinchParser) template(o *object) {
	p.use = &templateUse{name: o.text("template_name", 1, unlimited), language: o.text("language", 0, 20), buttons: make(map[int]string)}
	if p.use.language != "" && !sinchLanguage.MatchString(p.use.language) {
		o.c.fail(fieldInvalid, o.field("language"), "must be a language code")
	}
	p.use.language = orText(p.use.language, "en")
	for range o.strings("header_params", 0, unlimited, 60) {
		p.use.header = append(p.use.header, "text")
	}
	p.use.body = len(o.strings("body_params", 0, unlimited, 1024))
	if media := o.object("media", true); media != nil { // even if the template has none
		switch kind := media.one("type", "text", "image", "video", "document"); kind {
		case "image", "video", "document":
			p.use.header = append(p.use.header, kind)
			p.media(media, kind) // without a caption
		}
		media.done()
	}
	index := 0
	o.objects("buttons", 0, unlimited, func(b *object) {
		switch kind := b.one("type", "call", "url", "quick_reply"); kind {
		case "url":
			if b.text("parameter", 0, unlimited) != "" {
				p.use.buttons[index] = kind
			}
		case "quick_reply":
			b.text("payload", 0, unlimited)
			p.use.buttons[index] = kind
		}
		index++
	})
	o.take("ttl") // ignored since 2021
}
