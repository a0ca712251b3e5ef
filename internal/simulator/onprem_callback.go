package simulator

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"time"
)

// The envelope of on-premises webhooks, which is flat.
type (
	onPremEnvelope struct {
		Contacts []cloudWriter  `json:"contacts,omitempty"`
		Messages []cloudInbound `json:"messages,omitempty"`
		Statuses []onPremStatus `json:"statuses,omitempty"`
	}
	onPremStatus struct {
		ID           string             `json:"id"`
		RecipientID  string             `json:"recipient_id"`
		Status       string             `json:"status"`
		Timestamp    string             `json:"timestamp"`
		Type         string             `json:"type"`
		Message      onPremTarget       `json:"message"`
		Conversation *cloudConversation `json:"conversation,omitempty"`
		Pricing      *cloudPricing      `json:"pricing,omitempty"`
		Errors       []onPremError      `json:"errors,omitempty"`
	}
	onPremTarget struct {
		RecipientID string `json:"recipient_id"`
	}
)

func (p *onPrem) batches() bool { return true }

func (p *onPrem) statuses(_ *account, reports []report) []byte {
	envelope := onPremEnvelope{Statuses: make([]onPremStatus, len(reports))}
	for i := range reports {
		r := &reports[i]
		st := onPremStatus{
			ID: r.id, RecipientID: r.recipient, Status: cloudState(r.state), Timestamp: unixText(r.at),
			Type: "message", Message: onPremTarget{r.recipient},
		}
		switch {
		case r.state == stateFailed:
			code := orDefault(r.code, onPremFailed)
			st.Errors = []onPremError{{
				Code: code, Title: orText(onPremErrors[code].title, "Simulated error"), Details: r.detail,
				Href: "https://developers.facebook.com/docs/whatsapp/api/errors/",
			}}
		case r.priced:
			h := fnv.New64a()
			_, _ = h.Write([]byte(r.recipient)) // never fails
			st.Conversation = &cloudConversation{ID: fmt.Sprintf("%016x", h.Sum64()), Origin: cloudOrigin{Type: "business_initiated"}}
			st.Pricing = &cloudPricing{Billable: true, Model: "CBP", Type: "regular", Category: "business_initiated"}
		}
		envelope.Statuses[i] = st
	}
	return mustJSON(envelope)
}

func (p *onPrem) inbound(_ *account, in Inbound, id string, at time.Time) []byte {
	return mustJSON(onPremEnvelope{
		Contacts: []cloudWriter{{Profile: cloudProfile{Name: orText(in.Name, "Recipient")}, WaID: in.From}},
		Messages: []cloudInbound{{From: in.From, ID: id, Timestamp: unixText(at), Type: "text", Text: cloudText{Body: in.Text}}},
	})
}

// sign does nothing: the client's callbacks carry no signature.
func (p *onPrem) sign(*account, string, []byte, http.Header) {}

func (p *onPrem) judge(status int) verdict {
	if status == http.StatusOK {
		return callbackTaken
	}
	return callbackAgain // every other answer
}

// longestOnPremWait is between two tries of a callback.
const longestOnPremWait = 15 * time.Minute

func (p *onPrem) wait(first time.Duration, tries int) time.Duration {
	return min(first*time.Duration(tries), longestOnPremWait)
}

// withToken is a callback URL with the token in its query.
func withToken(address, token string) string {
	u, err := url.Parse(address)
	if address == "" || token == "" || err != nil {
		return address
	}
	q := u.Query()
	q.Set("callback_token", token)
	u.RawQuery = q.Encode()
	return u.String()
}
