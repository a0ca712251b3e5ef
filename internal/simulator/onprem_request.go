package simulator

import (
	"regexp"
	"slices"
	"strings"
)

// onPremFiles is what the client takes. A document may be anything.
var onPremFiles = mediaTable{
	"image":   {"jpg", "jpeg", "png"},
	"video":   {"mp4", "3gp", "3gpp"},
	"audio":   {"aac", "amr", "mp3", "m4a", "ogg"},
	"sticker": {"webp"},
}

// onPremParser reads one request. What is like the Cloud API's is read by its
// parser.
type onPremParser struct {
	cloudParser
	own int // the error code, if the kind of violation doesn't say it
}

// refuse refuses with a certain code.
func (p *onPremParser) refuse(code int, field, detail string) {
	if p.o.c.first == nil {
		p.own = code
		p.o.c.fail(fieldInvalid, field, "%s", detail)
	}
}

// parse judges a POST /v1/messages.
func (p *onPrem) parse(a *account, body []byte) (*message, *refusal) {
	check := &checker{}
	r := &onPremParser{cloudParser: cloudParser{o: check.decode(body), table: onPremFiles}}
	m := r.message(a)
	if check.first != nil {
		code := r.own
		if code == 0 && (r.code == codeNoTemplate || r.code == codeTemplateFormat) {
			code = map[int]int{codeNoTemplate: onPremNoTemplate, codeTemplateFormat: onPremFormat}[r.code]
		}
		problem := onPremRefusal(check.first, code)
		return nil, &problem
	}
	if p.s.missingFile(a, r.files) != "" {
		return nil, &refusal{reason: reasonInvalid, code: onPremNotFound, detail: "media not found"}
	}
	if code := onPremFit(a.fit(m.template)); code != 0 {
		return nil, &refusal{reason: reasonInvalid, code: code}
	}
	if to := m.recipients[0]; !p.s.opts.NoMagic && strings.HasSuffix(to, magicUnknown) && !a.isResolved(to) {
		return nil, &refusal{reason: reasonInvalid, code: onPremNotFound, detail: "unknown contact"}
	}
	return m, nil
}

// onPremRefusal is a violation in the client's words. Zero as code: the kind of
// violation and the field say it.
func onPremRefusal(v *violation, code int) refusal {
	if code == 0 {
		switch v.kind {
		case fieldMissing:
			code = onPremMissing
		case fieldInvalid:
			code = onPremInvalid
		case fieldUnknown:
			code = onPremNotRequired
		case bodyMalformed:
			code = onPremRequest
		}
		switch field := v.field; {
		case !strings.HasPrefix(field, "interactive."):
		case strings.HasPrefix(field, "interactive.header"):
			code = onPremHeader
		case strings.HasSuffix(field, ".rows"), strings.HasSuffix(v.detail, "rows in total"):
			code = onPremRows
		case strings.HasSuffix(field, ".sections"):
			code = onPremSections
		}
	}
	return refusal{reason: reasonInvalid, code: code, detail: strings.TrimSpace(v.field + " " + v.detail)}
}

// onPremFit is the error that tells how a template was misused, zero if it
// wasn't.
func onPremFit(f templateFit) int {
	switch f {
	case templateFits:
		return 0
	case templatePaused:
		return onPremPaused
	case templateDisabled:
		return onPremDisabled
	case templateMiscounted:
		return onPremCount
	case templateMismatched:
		return onPremFormat
	case templateUnknown, templateNoLanguage, templatePending:
	}
	return onPremNoTemplate
}

func (p *onPremParser) message(a *account) *message {
	o := p.o
	kind := o.text("type", 0, unlimited)
	if kind == "" {
		kind = "text" // the reference's default
	}
	if o.has("messaging_product") { // Cloud's
		p.refuse(onPremNotRequired, "messaging_product", "is not required")
	}
	if s := o.text("recipient_type", 0, unlimited); s != "" && s != "individual" {
		p.refuse(onPremRecipient, "recipient_type", "must be individual")
	}
	to := o.text("to", 1, 64)
	if to != "" && (len(to) < 7 || len(to) > 15 || strings.Trim(to, "0123456789") != "") {
		p.refuse(onPremInvalid, "to", "must be a WhatsApp id: digits only")
	}
	if to != "" && to == a.digits {
		p.refuse(onPremBadUser, "to", "is the sender")
	}
	m := &message{kind: kind, recipients: []string{to}, inputs: []string{to}}
	if context := o.object("context", false); context != nil {
		context.text("message_id", 1, 512)
		context.done()
	}
	p.content(a, kind)
	o.done()
	m.files, m.template = p.files, p.template
	if p.badMedia != "" {
		m.doom = &event{state: stateFailed, code: onPremInternal, detail: p.badMedia}
	}
	return m
}

func (p *onPremParser) content(a *account, kind string) {
	switch kind {
	case "contacts":
		p.o.contactCards("contacts", unlimited, true, cardKinds{ims: true})
		return
	case "text":
		p.o.flag("preview_url")
	case "image", "video", "audio", "document", "sticker", "location", "reaction", "interactive", "template":
	default:
		p.refuse(onPremInvalid, "type", "is none of the types")
		return
	}
	o := p.o.object(kind, true)
	if o == nil {
		return
	}
	switch kind {
	case "text":
		if n := len([]rune(o.text("body", 1, unlimited))); n > 4096 {
			p.refuse(onPremTooLong, "text.body", "must have at most 4096 characters")
		}
	case "location":
		p.location(o)
	case "reaction":
		o.text("message_id", 1, 512)
		if !o.has("emoji") {
			o.c.missing("reaction.emoji")
		}
		o.text("emoji", 0, 16)
	case "interactive":
		// The error table has a family for catalogues, so there are products.
		if t, _ := o.members["type"].(string); !slices.Contains([]string{"button", "list", "product", "product_list"}, t) {
			p.refuse(onPremInvalid, "interactive.type", "must be one of button, list, product, product_list")
		}
		p.interactive(o)
	case "template":
		p.templateOf(a, o)
	default:
		p.file(o, kind)
	}
	o.done()
}

func (p *onPremParser) file(o *object, kind string) {
	if provider := o.object("provider", false); provider != nil {
		provider.text("name", 1, 200)
		provider.done()
		if o.has("id") {
			p.refuse(onPremNotRequired, provider.path, "is possible only with link")
		}
	}
	p.media(o, kind)
	if kind != "audio" && kind != "sticker" {
		o.text("caption", 0, 1024)
	}
}

// onPremSpaces is what parameters of templates must not hold.
var onPremSpaces = regexp.MustCompile(`[\n\r\t]| {4}`)

func (p *onPremParser) templateOf(a *account, o *object) {
	given := o.has("namespace")
	namespace := o.text("namespace", 0, 512)
	switch {
	case !given:
		p.o.c.missing("template.namespace")
	case namespace == "":
		p.refuse(onPremNamespace, "template.namespace", "can not be empty")
	case a.Namespace != "" && namespace != a.Namespace:
		p.refuse(onPremInvalid, "template.namespace", "is not the namespace of the account's templates")
	}
	if language, ok := o.members["language"].(map[string]any); ok {
		if _, present := language["policy"]; !present {
			p.o.c.missing("template.language.policy")
		}
	}
	if texts := parameterTexts(o); onPremSpaces.MatchString(texts) {
		p.refuse(onPremSpace, "template.components", "must not have newlines, tabs or four blanks in a row in parameters")
	}
	p.templateMessage(o)
}

// parameterTexts is the texts put into a template, one behind another.
func parameterTexts(o *object) string {
	var all strings.Builder
	components, _ := o.members["components"].([]any)
	for _, c := range components {
		component, _ := c.(map[string]any)
		parameters, _ := component["parameters"].([]any)
		for _, param := range parameters {
			if members, ok := param.(map[string]any); ok {
				text, _ := members["text"].(string)
				all.WriteString(text + "|")
			}
		}
	}
	return all.String()
}
