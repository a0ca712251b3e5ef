package sinchconversation

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// NewLookup implements sender.Finder: it lists what the app sent to the recipient
// between two moments.
//
// Sinch keeps the messages of a dispatch app only if its retention says so, and
// lists them after a while nobody has documented: absence proves nothing.
func (p *Provider) NewLookup(ctx context.Context, c sender.Call, from, to time.Time, page string) (*http.Request, error) {
	query := url.Values{
		"app_id":           {p.settings.AppID},
		"channel":          {channelWhatsApp},
		"channel_identity": {c.Message.Recipient.Digits()},
		"direction":        {"TO_CONTACT"},
		"messages_source":  {"DISPATCH_SOURCE"},
		"start_time":       {from.UTC().Format(time.RFC3339)},
		"end_time":         {to.UTC().Format(time.RFC3339)},
		"page_size":        {"1000"},
		"view":             {"WITH_METADATA"},
	}
	if page != "" {
		query.Set("page_token", page)
	}
	token, err := p.tokens.get(ctx)
	if err != nil {
		return nil, p.loginError(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.endpoint+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make lookup of message %s: %w", c.Message.ID, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}

// InterpretLookup implements sender.Finder. Whichever attempt of the message is in
// the list counts.
func (p *Provider) InterpretLookup(c sender.Call, a sender.Answer) (id gateway.ProviderMessageID, page string, ok bool) {
	var list struct {
		Messages []struct {
			ID       text `json:"id"`
			Metadata text `json:"metadata"`
		} `json:"messages"`
		Next text `json:"next_page_token"`
	}
	if a.Status != http.StatusOK || len(a.Body) == 0 || a.Body[0] != '{' || decode(a.Body, &list) != nil {
		return "", "", false
	}
	for _, m := range list.Messages {
		ours, _, _ := strings.Cut(string(m.Metadata), attemptMark) // whichever attempt it was
		id := gateway.ParseProviderMessageID(string(m.ID))
		if ours != "" && ours == string(c.Message.ID) && id != "" {
			return id, "", true
		}
	}
	return "", string(list.Next), true
}
