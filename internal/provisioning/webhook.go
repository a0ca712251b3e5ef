package provisioning

import (
	"context"
	"iter"
	"net/http"
)

// Webhook is where the provider reports changes of the project.
type Webhook struct {
	ID       string   `json:"id"`
	Target   string   `json:"target"`
	Secret   Secret   `json:"secret"`
	Triggers []string `json:"triggers"`
	Raw      Document `json:"-"`
}

// UnmarshalJSON keeps the whole object in Raw.
func (w *Webhook) UnmarshalJSON(text []byte) error {
	type fields Webhook
	return keep(text, (*fields)(w), &w.Raw)
}

// WebhookRequest creates or changes a webhook. To create one takes all three;
// a change leaves alone what isn't set.
type WebhookRequest struct {
	Target   string   // https, at most 742 characters, unique in the project
	Secret   Secret   // that reports are signed with, 1 to 128 characters
	Triggers []string // such as WHATSAPP_SENDER_QUALITY_RATING_CHANGED, or ALL alone
}

func (r WebhookRequest) call(method, path string) call {
	return call{method: method, path: path, secrets: []string{r.Secret.Reveal()}, body: struct {
		Target   string   `json:"target,omitempty"`
		Secret   string   `json:"secret,omitempty"`
		Triggers []string `json:"triggers,omitempty"`
	}{r.Target, r.Secret.Reveal(), r.Triggers}}
}

// Webhooks goes through the project's webhooks, 15 at most. An error is the
// last thing it yields.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[*Webhook, error] {
	return list[Webhook](ctx, c, "/webhooks", "webhooks", nil, 0)
}

// Webhook returns one webhook.
func (c *Client) Webhook(ctx context.Context, id string) (*Webhook, error) {
	step, err := segment("webhook", id)
	if err != nil {
		return nil, err
	}
	return read[Webhook](ctx, c, call{method: http.MethodGet, path: "/webhooks" + step})
}

// CreateWebhook makes a webhook.
func (c *Client) CreateWebhook(ctx context.Context, r WebhookRequest) (*Webhook, error) {
	return read[Webhook](ctx, c, r.call(http.MethodPost, "/webhooks"))
}

// UpdateWebhook changes what is set in the request.
func (c *Client) UpdateWebhook(ctx context.Context, id string, r WebhookRequest) (*Webhook, error) {
	step, err := segment("webhook", id)
	if err != nil {
		return nil, err
	}
	return read[Webhook](ctx, c, r.call(http.MethodPatch, "/webhooks"+step))
}

// DeleteWebhook ends the reports to a webhook.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	step, err := segment("webhook", id)
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodDelete, path: "/webhooks" + step})
}
