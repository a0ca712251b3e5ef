package providertest

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// FuzzedRequest is the body of a fuzz target for requests: a sound message is
// refused by Check and NewRequest alike, or becomes JSON; neither changes it.
// Content that is no sound message is passed over.
func FuzzedRequest(t *testing.T, p sender.Provider, content []byte, replyTo string) {
	t.Helper()
	m := gateway.Message{Recipient: To, ReplyTo: replyTo}
	if json.Unmarshal(content, &m.Content) != nil || m.Content.Validate() != nil {
		return
	}
	before, _ := json.Marshal(m)
	refused := p.Check(&m)
	req, err := p.NewRequest(t.Context(), sender.Call{Message: &m, ReplyTo: gateway.ProviderMessageID(replyTo), Attempt: 1})
	after, _ := json.Marshal(m)
	if string(before) != string(after) {
		t.Errorf("the message was changed from %s to %s", before, after)
	}
	if len(refused) > 0 {
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassPermanent {
			t.Errorf("Check refuses %v, NewRequest says %v", refused, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	if body, err := io.ReadAll(req.Body); err != nil || !json.Valid(body) {
		t.Errorf("body %q, %v", body, err)
	}
}
