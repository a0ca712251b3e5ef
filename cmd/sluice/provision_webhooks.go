package main

import (
	"errors"
	"strings"

	"sluice/internal/provisioning"
)

type provisionWebhooks struct {
	Ls     webhooksLs     `cmd:"" default:"1" help:"List the webhooks."`
	Get    webhooksGet    `cmd:"" help:"Show a webhook."`
	Create webhooksCreate `cmd:"" help:"Create a webhook."`
	Update webhooksUpdate `cmd:"" help:"Change a webhook."`
	Rm     webhooksRm     `cmd:"" help:"Delete a webhook."`
}

type webhooksLs struct{}

// Run lists the webhooks.
func (webhooksLs) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	return showAll(s, p, client.Webhooks(s.ctx), func(w *provisioning.Webhook) provisioning.Document { return w.Raw },
		row{"ID", "TARGET", "TRIGGERS"},
		func(w *provisioning.Webhook) row { return row{w.ID, w.Target, strings.Join(w.Triggers, ", ")} })
}

func showWebhook(s *session, p *provisionCommand, w *provisioning.Webhook) error {
	return showOne(s, p, w.Raw, []row{
		{"id", w.ID},
		{"target", w.Target},
		{"secret", p.reveal(w.Secret)},
		{"triggers", strings.Join(w.Triggers, ", ")},
	})
}

type webhooksGet struct {
	ID string `arg:"" help:"The webhook."`
}

// Run shows the webhook.
func (c webhooksGet) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	w, err := client.Webhook(s.ctx, c.ID)
	if err != nil {
		return err
	}
	return showWebhook(s, p, w)
}

type webhooksCreate struct {
	Target  string   `required:"" placeholder:"URL" help:"Where reports go: https, at most 742 characters."`
	Secret  string   `required:"" env:"SINCH_WEBHOOK_SECRET" placeholder:"SECRET" help:"What reports are signed with, at most 128 characters."`
	Trigger []string `required:"" placeholder:"TRIGGER" help:"What is reported, such as WHATSAPP_SENDER_QUALITY_RATING_CHANGED, or ALL."`
}

// Run creates the webhook.
func (c webhooksCreate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	w, err := client.CreateWebhook(s.ctx, provisioning.WebhookRequest{
		Target: c.Target, Secret: provisioning.Secret(c.Secret), Triggers: c.Trigger,
	})
	if err != nil {
		return err
	}
	return showWebhook(s, p, w)
}

// webhooksUpdate takes no secret from the environment: it would change it
// unasked.
type webhooksUpdate struct {
	ID      string   `arg:"" help:"The webhook."`
	Target  string   `placeholder:"URL" help:"Where reports go."`
	Secret  string   `placeholder:"SECRET" help:"What reports are signed with."`
	Trigger []string `placeholder:"TRIGGER" help:"What is reported, all of it."`
}

// Validate wants something to change.
func (c webhooksUpdate) Validate() error {
	if c.Target == "" && c.Secret == "" && len(c.Trigger) == 0 {
		return errors.New("nothing to change: give --target, --secret or --trigger")
	}
	return nil
}

// Run changes the webhook.
func (c webhooksUpdate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	w, err := client.UpdateWebhook(s.ctx, c.ID, provisioning.WebhookRequest{
		Target: c.Target, Secret: provisioning.Secret(c.Secret), Triggers: c.Trigger,
	})
	if err != nil {
		return err
	}
	return showWebhook(s, p, w)
}

type webhooksRm struct {
	ID string `arg:"" help:"The webhook."`
}

// Run deletes the webhook.
func (c webhooksRm) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := client.DeleteWebhook(s.ctx, c.ID); err != nil {
		return err
	}
	return done(s, p, map[string]string{"deleted": c.ID}, "webhook "+c.ID+" is deleted")
}
