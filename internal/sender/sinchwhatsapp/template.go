package sinchwhatsapp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sluice/internal/gateway"
)

// policyDeterministic is how the dialect always chooses a translation: the one
// named, or none.
const policyDeterministic = "deterministic"

// placedButton is a button with its place in the template and in the request.
type placedButton struct {
	index int
	field string
	templateButton
}

// template renders values by position: the dialect knows no names for them.
// Amounts and moments it can't format for the reader; their fallback_value,
// which is made for that case, stands in.
func (r *renderer) template(t *gateway.Template) templateMessage {
	out := templateMessage{
		Type: wireTemplate, TemplateName: t.Name, Language: t.Language.Code,
		Media: &mediaObject{Type: wireText},
	}
	if p := t.Language.Policy; p != "" && p != policyDeterministic {
		r.refuse("template.language.policy", "it takes the very language named")
	}
	if strings.Contains(t.Language.Code, "-") {
		r.note("template.language.code", "must be in the form en_US for %s", dialect)
	}
	var buttons []placedButton
	seen := map[string]bool{}
	for i := range t.Components {
		c, field := &t.Components[i], fmt.Sprintf("template.components[%d]", i)
		if c.Type != wireButton && seen[c.Type] {
			r.note(field+".type", "must not be there twice")
		}
		seen[c.Type] = true
		switch c.Type {
		case "header":
			r.templateHeader(field, c.Parameters, &out)
		case "body":
			out.BodyParams = r.values(field, c.Parameters, maxBodyValues)
		case wireButton:
			buttons = append(buttons, r.templateButton(field, c))
		}
	}
	out.Buttons = r.inOrder(buttons)
	return out
}

func (r *renderer) templateHeader(field string, params []gateway.TemplateParameter, out *templateMessage) {
	if len(params) == 0 {
		return
	}
	m := params[0].Media()
	if m == nil {
		out.HeaderParams = r.values(field, params, maxHeaderValue)
		return
	}
	if len(params) > 1 {
		r.note(field+".parameters", "must have 1 entry beside a file for %s", dialect)
	}
	param := field + ".parameters[0]"
	r.positional(param, &params[0])
	out.Media = r.media(param+"."+params[0].Type, params[0].Type, m)
}

// values renders the texts of a header or body.
func (r *renderer) values(field string, params []gateway.TemplateParameter, limit int) []string {
	var texts []string
	length := 0
	for i := range params {
		text := r.value(fmt.Sprintf("%s.parameters[%d]", field, i), &params[i])
		texts = append(texts, text)
		length += utf8.RuneCountInString(text)
	}
	if length > limit {
		r.note(field+".parameters", "must have at most %d characters together for %s, have %d", limit, dialect, length)
	}
	return texts
}

func (r *renderer) value(field string, p *gateway.TemplateParameter) string {
	r.positional(field, p)
	switch p.Type {
	case "text":
		return p.Text
	case "currency":
		return r.fallback(field+".currency", p.Currency.FallbackValue)
	case "date_time":
		return r.fallback(field+".date_time", p.DateTime.FallbackValue)
	}
	r.refuse(field+".type", "it takes text here")
	return ""
}

func (r *renderer) fallback(field, value string) string {
	if value == "" {
		r.refuse(field, "it takes text here, and there is no fallback_value")
	}
	return value
}

// positional refuses a name, and members that the type doesn't name.
func (r *renderer) positional(field string, p *gateway.TemplateParameter) {
	if p.ParameterName != "" {
		r.refuse(field+".parameter_name", "it knows values by position only")
	}
	r.onlyNamed(field, parameterMembers(p), p.Type)
}

func parameterMembers(p *gateway.TemplateParameter) []member {
	return []member{
		{"text", p.Text != ""},
		{"payload", p.Payload != ""},
		{"coupon_code", p.CouponCode != ""},
		{"currency", p.Currency != nil},
		{"date_time", p.DateTime != nil},
		{"image", p.Image != nil},
		{"video", p.Video != nil},
		{"document", p.Document != nil},
		{"location", p.Location != nil},
		{"action", isSet(p.Action)},
	}
}

func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// templateButton renders one button. Beside the Cloud API's quick_reply and url
// it takes the dialect's own call, and url without a value for a fixed one: a
// template with such buttons can't be described without them, see inOrder.
func (r *renderer) templateButton(field string, c *gateway.TemplateComponent) placedButton {
	b := placedButton{index: int(*c.Index), field: field}
	wants := "" // the type of its one value, if it may have one
	switch c.SubType {
	case wireQuickReply:
		wants = "payload"
	case wireURL:
		wants = "text"
	case wireCall:
	default:
		r.refuse(field+".sub_type", "it knows quick_reply, url and call only")
		return b
	}
	b.Type = c.SubType
	for i := range c.Parameters {
		p, param := &c.Parameters[i], fmt.Sprintf("%s.parameters[%d]", field, i)
		switch {
		case p.Type != wants || i > 0:
			r.refuse(param, "a "+c.SubType+" button has no place for it")
		case p.Type == "payload":
			r.positional(param, p)
			b.Payload = p.Payload
		default:
			r.positional(param, p)
			b.Parameter = p.Text
		}
	}
	return b
}

// inOrder puts the buttons where the template has them. The dialect counts
// them by place, and what stands in a gap can't be known from here.
func (r *renderer) inOrder(placed []placedButton) []templateButton {
	slices.SortStableFunc(placed, func(a, b placedButton) int { return cmp.Compare(a.index, b.index) })
	var buttons []templateButton
	for i, b := range placed {
		if b.index != i {
			r.refuse(b.field+".index", fmt.Sprintf("it counts buttons from 0 without a gap, and this must be %d; "+
				"name fixed buttons too, as call, url or quick_reply without parameters", i))
			break
		}
		buttons = append(buttons, b.templateButton)
	}
	return buttons
}
