package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"
)

// The envelope of Sinch's callbacks, and of its answer to a send.
type (
	sinchEnvelope struct {
		Type          string              `json:"type"`
		Statuses      []sinchStatus       `json:"statuses,omitzero"` // absent if nil, present if empty
		Contacts      []cloudWriter       `json:"contacts,omitempty"`
		Notifications []sinchNotification `json:"notifications,omitempty"`
	}
	sinchStatus struct {
		MessageID string `json:"message_id"`
		Recipient string `json:"recipient"`
		Status    string `json:"status"`
		State     string `json:"state"`
		Timestamp string `json:"timestamp,omitempty"`
		Details   string `json:"details,omitempty"`
	}
	sinchNotification struct {
		From      string    `json:"from"`
		To        string    `json:"to"`
		MessageID string    `json:"message_id"`
		Timestamp string    `json:"timestamp"`
		Message   sinchText `json:"message"`
	}
	sinchText struct {
		Type string `json:"type"`
		Body string `json:"body"`
	}
)

func (v *sinchV1) batches() bool { return true }

func (v *sinchV1) statuses(_ *account, reports []report) []byte {
	envelope := sinchEnvelope{Type: "whatsapp", Statuses: make([]sinchStatus, len(reports))}
	for i := range reports {
		envelope.Statuses[i] = sinchStatusOf(&reports[i])
	}
	return mustJSON(envelope)
}

func sinchStatusOf(r *report) sinchStatus {
	st := sinchStatus{
		MessageID: r.id, Recipient: "+" + r.recipient, Status: "success", State: sinchState(r.state), Timestamp: sinchTime(r.at),
	}
	switch r.state {
	case stateFailed:
		st.Status, st.Details = "failure", orText(r.detail, sinchFailure)
	case stateNoCapability:
		st.Status, st.Details = "failure", "The recipient has no WhatsApp"
	case stateNoOptIn:
		st.Status, st.Details = "failure", "The recipient has not opted in"
	case stateDispatched, stateSent, stateDelivered, stateRead, stateDeleted, stateStopMarketing:
	}
	return st
}

func sinchState(s state) string {
	switch s {
	case stateDispatched:
		return "dispatched"
	case stateSent:
		return "sent"
	case stateDelivered:
		return "delivered"
	case stateRead:
		return "read"
	case stateDeleted:
		return "deleted"
	case stateNoCapability:
		return "no_capability"
	case stateNoOptIn:
		return "no_opt_in"
	case stateFailed, stateStopMarketing:
	}
	return "failed"
}

// sinchTime is UTC to the second.
func sinchTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (v *sinchV1) inbound(a *account, in Inbound, id string, at time.Time) []byte {
	return mustJSON(sinchEnvelope{
		Type:     "whatsapp",
		Contacts: []cloudWriter{{Profile: cloudProfile{Name: orText(in.Name, "Recipient")}, WaID: in.From}},
		Notifications: []sinchNotification{{
			From: in.From, To: a.SenderID, MessageID: id, Timestamp: sinchTime(at), Message: sinchText{Type: "text", Body: in.Text},
		}},
	})
}

func (v *sinchV1) sign(a *account, _ string, body []byte, h http.Header) {
	if a.Secret == "" {
		return
	}
	nonce := rand.Text()
	mac := hmac.New(sha256.New, []byte(a.Secret))
	mac.Write(body)
	mac.Write([]byte("." + nonce))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if v.s.opts.HexSignatures {
		signature = hex.EncodeToString(mac.Sum(nil))
	}
	h.Set("sinch-whatsapp-callback-signature", signature)
	h.Set("sinch-whatsapp-callback-signature-algorithm", "HMAC_SHA_256")
	h.Set("sinch-whatsapp-callback-signature-nonce", nonce)
}
