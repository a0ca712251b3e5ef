package sinchconversation

import (
	"fmt"
	"strings"

	"sluice/internal/gateway"
)

// policyDeterministic is how the dialect always chooses a translation: the one
// named, or none.
const policyDeterministic = "deterministic"

// template renders values by position, as members whose names say where they
// go: values from 1, buttons from 0. Amounts and moments the dialect can't
// format for the reader; their fallback_value, which is made for that case,
// stands in.
func (r *renderer) template(t *gateway.Template) {
	if p := t.Language.Policy; p != "" && p != policyDeterministic {
		r.refuse("template.language.policy", "it takes the very language named")
	}
	if strings.Contains(t.Language.Code, "-") {
		r.note("template.language.code", "must be in the form en_US for %s", dialect)
	}
	values := map[string]string{}
	for i := range t.Components {
		c, field := &t.Components[i], fmt.Sprintf("template.components[%d]", i)
		switch c.Type {
		case "header":
			r.templateHeader(field, c.Parameters, values)
		case "body":
			for j := range c.Parameters {
				values[fmt.Sprintf("body[%d]text", j+1)] = r.value(fmt.Sprintf("%s.parameters[%d]", field, j), &c.Parameters[j])
			}
		case "button":
			r.templateButton(field, c, values)
		}
	}
	r.out.Template = &templateMessage{Channel: map[string]channelTemplate{
		channelWhatsApp: {ID: t.Name, Language: t.Language.Code, Parameters: values},
	}}
}

func (r *renderer) templateHeader(field string, params []gateway.TemplateParameter, values map[string]string) {
	for i := range params {
		p, at := &params[i], fmt.Sprintf("%s.parameters[%d]", field, i)
		m := p.Media()
		switch {
		case m == nil:
			values[fmt.Sprintf("header[%d]text", i+1)] = r.value(at, p)
		case len(params) > 1:
			r.note(field+".parameters", "must have 1 entry beside a file for %s", dialect)
			return
		default:
			r.positional(at, p)
			file := r.media(at+"."+p.Type, m)
			values["header[1]"+p.Type+".link"] = file.URL
			if file.Filename != "" {
				values["header[1]"+p.Type+".filename"] = file.Filename
			}
		}
	}
}

// value is the text of one variable.
func (r *renderer) value(field string, p *gateway.TemplateParameter) string {
	r.positional(field, p)
	switch p.Type {
	case "text":
		return p.Text
	case "currency":
		return p.Currency.FallbackValue
	case "date_time":
		return p.DateTime.FallbackValue
	}
	r.refuse(field+".type", "it takes text here")
	return ""
}

func (r *renderer) positional(field string, p *gateway.TemplateParameter) {
	if p.ParameterName != "" {
		r.refuse(field+".parameter_name", "it knows values by position only")
	}
}

// templateButton renders one button. A quick reply's payload must be there,
// even if it is empty; a url without a value, and the dialect's own call, are
// fixed and need nothing.
func (r *renderer) templateButton(field string, c *gateway.TemplateComponent, values map[string]string) {
	wants, key := "", "" // the type of its one value, and where that goes
	switch c.SubType {
	case "quick_reply":
		wants, key = "payload", fmt.Sprintf("button[%d]quick_reply[1]payload", *c.Index)
		values[key] = ""
	case "url":
		wants, key = "text", fmt.Sprintf("button[%d]url[1]text", *c.Index)
	case "call":
	default:
		r.refuse(field+".sub_type", "it knows quick_reply, url and call only")
		return
	}
	for i := range c.Parameters {
		p, at := &c.Parameters[i], fmt.Sprintf("%s.parameters[%d]", field, i)
		if p.Type != wants || i > 0 {
			r.refuse(at, "a "+c.SubType+" button has no place for it")
			continue
		}
		r.positional(at, p)
		values[key] = p.Payload + p.Text // of which one is set
	}
}
