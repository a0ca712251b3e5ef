package simulator

import (
	"net/url"
	"path"
	"strings"
)

// v2Files is the endings of the formats the reference lists.
var v2Files = mediaTable{
	"image":    {"jpg", "jpeg", "png"},
	"video":    {"mp4", "3gp", "3gpp"},
	"document": {"pdf", "docx", "xlsx", "pptx", "txt"},
	"audio":    {"mp3", "ogg"},
	"sticker":  {"webp"},
}

// parseText judges a POST /send-message.
func (v *v2) parseText(_ *account, body []byte) (*message, *refusal) {
	check := &checker{}
	o := check.decode(body)
	m := &message{kind: "text"}
	problem := v2Recipient(o, m, "phone_number")
	o.text("message", 1, 4096)
	o.flag("preview_url")
	o.text("reply_to", 0, 512)
	o.done()
	return v2Message(m, check, problem)
}

// parseMedia judges a POST /send-media.
func (v *v2) parseMedia(_ *account, body []byte) (*message, *refusal) {
	check := &checker{}
	o := check.decode(body)
	m := &message{}
	problem := v2Recipient(o, m, "phone_number")
	m.kind = o.one("media_type", "image", "video", "document", "audio", "sticker")
	link := o.link("media_url", true)
	if link != "" && !strings.HasPrefix(strings.ToLower(link), "https://") {
		check.fail(fieldInvalid, "media_url", "must be an https URL")
	}
	switch m.kind {
	case "image", "video", "document":
		o.text("caption", 0, 1024)
	default:
		o.refuse("caption", "is possible only with image, video and document")
	}
	if u, err := url.Parse(link); err == nil && m.kind == "document" && path.Ext(u.Path) == "" {
		check.fail(fieldInvalid, "media_url", "must include the document's extension")
	}
	o.done()
	if bad := wrongFile(v2Files, m.kind, link); bad != "" {
		m.doom = &event{state: stateFailed, code: 400, detail: bad}
	}
	return v2Message(m, check, problem)
}

// parseTemplate judges a POST /messages. It sends nothing but templates, and
// wants the recipient without '+'.
func (v *v2) parseTemplate(a *account, body []byte) (*message, *refusal) {
	check := &checker{}
	o := check.decode(body)
	m := &message{}
	to := o.text("to", 1, 64)
	if strings.Trim(to, "0123456789") != "" || to != "" && (len(to) < 7 || len(to) > 15) {
		check.fail(fieldInvalid, "to", "must be a number of 7 to 15 digits, without +")
	}
	m.recipients, m.inputs = []string{to}, []string{to}
	m.kind = o.one("type", "template")
	p := &cloudParser{o: o, table: v2Files}
	if t := o.object("template", true); t != nil {
		p.templateMessage(t)
		t.done()
		m.template = p.template
		if len(m.template.buttons) > 3 {
			check.fail(fieldInvalid, "template.components", "must have at most 3 buttons")
		}
	}
	o.done()
	if p.code == codeNoTemplate {
		return nil, &refusal{reason: reasonInvalid, code: v2Template}
	}
	if p.badMedia != "" {
		m.doom = &event{state: stateFailed, code: 400, detail: p.badMedia}
	}
	if len(p.files) > 0 {
		check.fail(fieldInvalid, "template.components", "must have links, for there are no media ids")
	}
	m, problem := v2Message(m, check, nil)
	if problem != nil {
		return nil, problem
	}
	switch _, detail := cloudFit(a.fit(m.template)); a.fit(m.template) {
	case templateFits:
	case templateMiscounted, templateMismatched:
		return nil, &refusal{reason: reasonInvalid, detail: detail}
	default:
		return nil, &refusal{reason: reasonInvalid, code: v2Template}
	}
	return m, nil
}

// v2Recipient reads a number in international format. The reference's example
// of an error is the one about a missing country code.
func v2Recipient(o *object, m *message, name string) *refusal {
	number := o.text(name, 1, 64)
	digits, international := strings.CutPrefix(number, "+")
	m.recipients, m.inputs = []string{digits}, []string{number}
	switch {
	case number == "" || o.c.first != nil:
	case !international:
		return &refusal{reason: reasonInvalid, detail: v2NoCountry}
	case len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "":
		return &refusal{reason: reasonInvalid, code: v2Number}
	}
	return nil
}

// v2Message is the message, or the first problem with it: that with the
// recipient comes first.
func v2Message(m *message, check *checker, recipient *refusal) (*message, *refusal) {
	if recipient != nil {
		return nil, recipient
	}
	if check.first != nil {
		return nil, &refusal{reason: reasonInvalid, detail: strings.TrimSpace(check.first.field + " " + check.first.detail)}
	}
	return m, nil
}
