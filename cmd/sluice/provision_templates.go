package main

import (
	"errors"

	"sluice/internal/provisioning"
)

type provisionTemplate struct {
	Ls  templatesLs  `cmd:"" default:"withargs" help:"List the templates."`
	Get templatesGet `cmd:"" help:"Show a template: all languages, or one."`
}

type templatesLs struct {
	Name     string   `placeholder:"PREFIX" help:"Only templates whose names begin so."`
	State    []string `placeholder:"STATE" help:"Only templates in these states, such as APPROVED."`
	Status   []string `placeholder:"STATUS" help:"Only templates whose changes are in these states, such as DRAFT."`
	PageSize int      `placeholder:"N" help:"Templates asked for at a time, 1 to 1000."`
}

// Validate keeps to what the provider takes.
func (c templatesLs) Validate() error {
	if c.PageSize < 0 || c.PageSize > 1000 {
		return errors.New("--page-size must be from 1 to 1000")
	}
	return nil
}

func templateRaw(t *provisioning.Template) provisioning.Document { return t.Raw }

func templateHead() row {
	return row{"NAME", "LANGUAGE", "CATEGORY", "STATE", "QUALITY", "CHANGES", "REJECTED FOR"}
}

func templateRow(t *provisioning.Template) row {
	return row{t.Name, t.Language, t.Category, t.State, t.QualityScore, t.Changes.Status, t.RejectionCode}
}

// Run lists the templates.
func (c templatesLs) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	all := client.Templates(s.ctx, provisioning.TemplateFilter{
		NamePrefix: c.Name, States: c.State, Statuses: c.Status, PageSize: c.PageSize,
	})
	return showAll(s, p, all, templateRaw, templateHead(), templateRow)
}

type templatesGet struct {
	Name     string `arg:"" help:"The template."`
	Language string `arg:"" optional:"" help:"The language, such as en_US; by default all."`
}

// Run shows the template.
func (c templatesGet) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if c.Language == "" {
		return showAll(s, p, client.TemplateLanguages(s.ctx, c.Name), templateRaw, templateHead(), templateRow)
	}
	t, err := client.Template(s.ctx, c.Name, c.Language)
	if err != nil {
		return err
	}
	return showOne(s, p, t.Raw, []row{templateHead(), templateRow(t)})
}
