package whatsapp

import (
	"slices"
	"strings"

	"sluice/internal/gateway"
)

// Message is what somebody wrote to us.
type Message struct {
	ID        Loose `json:"id"`
	From      Loose `json:"from"`     // digits; absent if the user goes by a name
	GroupID   Loose `json:"group_id"` // written to a group
	Timestamp Loose `json:"timestamp"`
	Type      Loose `json:"type"`
	Text      struct {
		Body Loose `json:"body"`
	} `json:"text"`
	Button struct {
		Payload Loose `json:"payload"`
		Text    Loose `json:"text"`
	} `json:"button"`
	System struct {
		Type Loose `json:"type"`
		WAID Loose `json:"wa_id"` // the new one
	} `json:"system"`
	Interactive struct {
		ButtonReply choice `json:"button_reply"`
		ListReply   choice `json:"list_reply"`
	} `json:"interactive"`
}

type choice struct {
	ID    Loose `json:"id"`
	Title Loose `json:"title"`
}

// Number is the recipient whom an id of WhatsApp's names; an error if it is
// no number.
func Number(id Loose) (gateway.Recipient, error) {
	return gateway.ParseRecipient("+" + strings.TrimPrefix(string(id), "+"))
}

// Inbound is what the message means to sending. A tapped choice gives an entry
// for its id and one for its label, for either may be an opt-out word. Notices
// tell of a change of number and nothing else. The silent types (reactions,
// corrections) give none, for it isn't documented that they open the service
// window.
func (m *Message) Inbound(silent ...Loose) []gateway.Inbound {
	from, err := Number(m.From)
	if err != nil {
		return nil
	}
	if m.Type == "system" {
		moved, err := Number(m.System.WAID)
		if err != nil || m.System.Type != "user_changed_number" || moved == from {
			return nil
		}
		return []gateway.Inbound{{From: from, At: m.Timestamp.Instant(), Aside: true, Moved: moved}}
	}
	if slices.Contains(silent, m.Type) {
		return nil
	}
	words := []Loose{""}
	switch m.Type {
	case "text":
		words = []Loose{m.Text.Body}
	case "button":
		words = []Loose{m.Button.Payload, m.Button.Text}
	case "interactive":
		button, row := m.Interactive.ButtonReply, m.Interactive.ListReply
		words = []Loose{button.ID, button.Title, row.ID, row.Title}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > 1 && words[0] == "" {
		words = words[1:]
	}
	var out []gateway.Inbound
	for _, w := range words {
		out = append(out, gateway.Inbound{From: from, At: m.Timestamp.Instant(), Text: string(w)})
	}
	return out
}
