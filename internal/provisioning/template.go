package provisioning

import (
	"context"
	"iter"
	"net/http"
	"strings"
)

// Template is one language of a template. Templates belong to the project, not
// to a sender.
type Template struct {
	Name          string `json:"name"`
	Language      string `json:"language"` // in upper case, EN_US, where messages say en_US
	Category      string `json:"category"` // AUTHENTICATION, MARKETING, UTILITY
	State         string `json:"state"`    // APPROVED, DISABLED, PAUSED, PENDING, REJECTED, or newer
	RejectionCode string `json:"rejectionCode"`
	QualityScore  string `json:"qualityScore"`
	Changes       struct {
		Status string `json:"status"` // DRAFT, IN_PROGRESS, REJECTED
	} `json:"changes"`
	Raw Document `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw.
func (t *Template) UnmarshalJSON(text []byte) error {
	type fields Template
	return keep(text, (*fields)(t), &t.Raw)
}

// TemplateFilter chooses among the project's templates. Zero: all of them.
type TemplateFilter struct {
	NamePrefix string
	States     []string
	Statuses   []string // of their changes
	PageSize   int      // 1 to 1,000; 0: the provider's choice
}

// Templates goes through the project's templates. An error is the last thing
// it yields.
func (c *Client) Templates(ctx context.Context, f TemplateFilter) iter.Seq2[*Template, error] {
	q := filters(f.States, f.Statuses)
	if f.NamePrefix != "" {
		q.Set("templateName", f.NamePrefix)
	}
	return list[Template](ctx, c, "/whatsapp/templates", "templates", q, f.PageSize)
}

// TemplateLanguages goes through all languages of one template.
func (c *Client) TemplateLanguages(ctx context.Context, name string) iter.Seq2[*Template, error] {
	step, err := segment("template", name)
	if err != nil {
		return func(yield func(*Template, error) bool) { yield(nil, err) }
	}
	return list[Template](ctx, c, "/whatsapp/templates"+step, "templates", nil, 0)
}

// Template returns one language of a template. The language may be given as
// messages say it: en_US.
func (c *Client) Template(ctx context.Context, name, language string) (*Template, error) {
	step, err := segment("template", name)
	if err != nil {
		return nil, err
	}
	tongue, err := segment("language", strings.ToUpper(language))
	if err != nil {
		return nil, err
	}
	return read[Template](ctx, c, call{method: http.MethodGet, path: "/whatsapp/templates" + step + "/languages" + tongue})
}
