package simulator

import "slices"

// Template is a message template as sends name it.
type Template struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`           // en, en_US
	Category string   `json:"category,omitempty"` // empty: UTILITY
	State    string   `json:"state,omitempty"`    // APPROVED, PAUSED, DISABLED, PENDING or REJECTED; empty: APPROVED
	Header   string   `json:"header,omitempty"`   // kind of the header's parameter: text, image, video, document or location; empty: none
	Body     int      `json:"body,omitempty"`     // parameters of the body
	Buttons  []string `json:"buttons,omitempty"`  // kinds of the buttons in order: quick_reply, url (with a parameter), copy_code, flow; empty: one without a parameter
}

func (t *Template) state() string { return orText(t.State, "APPROVED") }

// templateUse is what a send says of a template.
type templateUse struct {
	name, language string
	header         []string       // kinds of the parameters
	body           int            // parameters
	buttons        map[int]string // kinds by index
}

// templateFit is how a use agrees with the templates there are.
type templateFit int

const (
	templateFits templateFit = iota
	templateUnknown
	templateNoLanguage
	templatePending // or rejected
	templatePaused
	templateDisabled
	templateMiscounted
	templateMismatched
)

// fit judges a use, nil if there is none, of a template of the account.
func (a *account) fit(u *templateUse) templateFit {
	templates := a.rules().templates()
	if templates == nil || u == nil {
		return templateFits
	}
	i := slices.IndexFunc(templates, func(t Template) bool { return t.Name == u.name && t.Language == u.language })
	if i < 0 {
		if slices.ContainsFunc(templates, func(t Template) bool { return t.Name == u.name }) {
			return templateNoLanguage
		}
		return templateUnknown
	}
	t := &templates[i]
	switch t.state() {
	case "PAUSED":
		return templatePaused
	case "DISABLED":
		return templateDisabled
	case "APPROVED":
		return t.fit(u)
	}
	return templatePending
}

func (t *Template) fit(u *templateUse) templateFit {
	header := 0
	if t.Header != "" {
		header = 1
	}
	if len(u.header) != header || u.body != t.Body {
		return templateMiscounted
	}
	if header == 1 && u.header[0] != t.Header {
		return templateMismatched
	}
	for i, kind := range u.buttons {
		if i >= len(t.Buttons) {
			return templateMiscounted
		}
		if t.Buttons[i] != kind {
			return templateMismatched
		}
	}
	for i, kind := range t.Buttons {
		if _, used := u.buttons[i]; !used && (kind == "url" || kind == "copy_code") {
			return templateMiscounted
		}
	}
	return templateFits
}
