package whatsappcloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sluice/internal/gateway"
)

// Check names what the Cloud API can't express.
func (p *Provider) Check(m *gateway.Message) []gateway.FieldError {
	r := &refusals{}
	if m.ReplyTo != "" && m.Content.Type == gateway.TypeReaction {
		r.add("reply_to", "is not possible with a reaction")
	}
	for _, f := range m.Content.Files() {
		if f.Media.Provider != "" {
			r.add(f.Field+".provider", "is not known")
		}
	}
	if in := m.Content.Interactive; in != nil {
		r.interactive(in)
	}
	if t := m.Content.Template; t != nil {
		r.template(t)
	}
	return r.errs
}

// refusals collects what can't be expressed.
type refusals struct{ errs []gateway.FieldError }

// add refuses a field with a phrase that continues its name.
func (r *refusals) add(field, format string, args ...any) {
	r.errs = append(r.errs, gateway.FieldError{Field: field, Message: fmt.Sprintf(format, args...) + " on whatsapp-cloud"})
}

// actionMembers is what the action of each interactive type holds. Graph
// refuses a message for one member it doesn't know.
var actionMembers = map[string][]string{
	gateway.InteractiveButton:          {"buttons"},
	gateway.InteractiveList:            {"button", "sections"},
	gateway.InteractiveCTAURL:          {"name", "parameters"},
	gateway.InteractiveFlow:            {"name", "parameters"},
	gateway.InteractiveLocationRequest: {"name"},
	gateway.InteractiveProduct:         {"catalog_id", "product_retailer_id"},
	gateway.InteractiveProductList:     {"catalog_id", "sections"},
	gateway.InteractiveCatalog:         {"name", "parameters"},
}

func (r *refusals) interactive(in *gateway.Interactive) {
	a := &in.Action
	held := []string{}
	for name, set := range map[string]bool{
		"button": a.Button != "", "buttons": a.Buttons != nil, "sections": a.Sections != nil, "name": a.Name != "",
		"parameters": present(a.Parameters) != nil, "catalog_id": a.CatalogID != "", "product_retailer_id": a.ProductRetailerID != "",
	} {
		if set {
			held = append(held, name)
		}
	}
	slices.Sort(held)
	for _, name := range held {
		if !slices.Contains(actionMembers[in.Type], name) {
			r.add("interactive.action."+name, "is not possible with %s", in.Type)
		}
	}
	for i, s := range a.Sections {
		field := fmt.Sprintf("interactive.action.sections[%d].", i)
		switch {
		case in.Type == gateway.InteractiveList && s.ProductItems != nil:
			r.add(field+"product_items", "is not possible with list")
		case in.Type == gateway.InteractiveProductList && s.Rows != nil:
			r.add(field+"rows", "is not possible with product_list")
		}
	}
	switch in.Type {
	case gateway.InteractiveCTAURL:
		r.members("interactive.action.parameters", a.Parameters, "display_text", "url")
	case gateway.InteractiveFlow:
		r.flow("interactive.action.parameters", a.Parameters)
	case gateway.InteractiveLocationRequest:
		if in.Header != nil {
			r.add("interactive.header", "is not possible with location_request_message")
		}
		if in.Footer != nil {
			r.add("interactive.footer", "is not possible with location_request_message")
		}
	}
}

// flow judges what goes to Graph as the caller wrote it.
func (r *refusals) flow(field string, raw json.RawMessage) {
	params := r.members(field, raw,
		"flow_message_version", "flow_id", "flow_name", "flow_cta", "flow_token", "mode", "flow_action", "flow_action_payload")
	if version, ok := asText(params["flow_message_version"]); !ok || version != "3" {
		r.add(field+".flow_message_version", `must be "3"`)
	}
	if _, ok := asText(params["flow_token"]); !ok && params["flow_token"] != nil {
		r.add(field+".flow_token", "must be a text")
	}
	r.oneOf(field+".mode", params["mode"], "draft", "published")
	r.oneOf(field+".flow_action", params["flow_action"], "navigate", "data_exchange")
	if params["flow_action_payload"] == nil {
		return
	}
	field += ".flow_action_payload"
	payload := r.members(field, params["flow_action_payload"], "screen", "data")
	if screen, ok := asText(payload["screen"]); !ok || screen == "" {
		r.add(field+".screen", "is required, as a text,")
	}
	if data := payload["data"]; data != nil && len(asObject(data)) == 0 {
		r.add(field+".data", "must be an object with members")
	}
}

func (r *refusals) oneOf(field string, raw json.RawMessage, values ...string) {
	if value, ok := asText(raw); raw != nil && (!ok || !slices.Contains(values, value)) {
		r.add(field, "must be %s", strings.Join(values, " or "))
	}
}

// members reads an object and refuses the names it may not hold. Case matters:
// the object goes to Graph as it is.
func (r *refusals) members(field string, raw json.RawMessage, known ...string) map[string]json.RawMessage {
	found := asObject(raw)
	if found == nil {
		r.add(field, "must be an object")
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(known, name) {
			r.add(field+"."+name, "is not known")
		}
	}
	return found
}

// asObject is what a JSON object holds; nil if it is none.
func asObject(raw json.RawMessage) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	return members
}

// asText is what a JSON string holds, if it is one.
func asText(raw json.RawMessage) (s string, ok bool) {
	ok = bytes.HasPrefix(bytes.TrimSpace(raw), []byte(`"`)) && json.Unmarshal(raw, &s) == nil
	return s, ok
}

// What may stand for the variables of a template's parts. A voice_call button's
// aren't documented.
var (
	headerKinds = []string{"text", "image", "video", "document", "location"}
	bodyKinds   = []string{"text", "currency", "date_time"}
	buttonKinds = map[string][]string{
		"quick_reply": {"payload"}, "url": {"text"}, "copy_code": {"coupon_code"},
		"flow": {"action"}, "catalog": {"action"}, "mpm": {"action"}, "voice_call": nil,
	}
	coupon = regexp.MustCompile(`^[A-Za-z0-9]*$`)
)

func (r *refusals) template(t *gateway.Template) {
	if policy := t.Language.Policy; policy != "" && policy != "deterministic" {
		r.add("template.language.policy", "must be deterministic")
	}
	for i := range t.Components {
		c := &t.Components[i]
		field := fmt.Sprintf("template.components[%d]", i)
		switch c.Type {
		case "header":
			r.parameters(field, c.Parameters, 1, headerKinds)
		case "body":
			r.parameters(field, c.Parameters, len(c.Parameters), bodyKinds)
		case "button":
			kinds, ok := buttonKinds[strings.ToLower(c.SubType)] // Meta's pages write some in capitals
			if !ok {
				r.add(field+".sub_type", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(buttonKinds)), ", "))
				continue
			}
			r.parameters(field, c.Parameters, 1, kinds)
		}
	}
}

// parameters judges what fills one component: so many at most, of these kinds,
// all with a name or none.
func (r *refusals) parameters(component string, params []gateway.TemplateParameter, most int, kinds []string) {
	if len(params) > most {
		r.add(component+".parameters", "must have at most %d entry", most)
	}
	named := 0
	for j := range params {
		p := &params[j]
		field := fmt.Sprintf("%s.parameters[%d]", component, j)
		if p.ParameterName != "" {
			named++
		}
		switch {
		case kinds != nil && !slices.Contains(kinds, p.Type):
			r.add(field+".type", "must be %s here", strings.Join(kinds, ", "))
		case p.Type == "coupon_code" && !coupon.MatchString(p.CouponCode):
			r.add(field+".coupon_code", "must hold only letters and digits")
		case p.Type == "currency" && p.Currency != nil && len(p.Currency.Code) != 3:
			r.add(field+".currency.code", "must have 3 letters")
		}
	}
	if named > 0 && named < len(params) {
		r.add(component+".parameters", "must have parameter_name on all or on none")
	}
}
