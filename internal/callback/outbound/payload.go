package outbound

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// The header names of the specification.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

const secretPrefix = "whsec_"

// ErrSecret says that a text is no secret. It doesn't repeat it.
var ErrSecret = errors.New("a callback secret must be whsec_ and base64")

// ParseSecret decodes a secret as it is written: "whsec_" and base64.
func ParseSecret(s string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(s, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) == 0 {
		return nil, ErrSecret
	}
	return key, nil
}

// noticeID is the notice's webhook-id. It has no full stop, which separates
// what is signed.
func noticeID(n *gateway.Notice) string {
	return string(n.Message) + "_" + strconv.Itoa(n.Number)
}

// setHeaders writes the specification's headers. There is no library behind it:
// the official one has a single release, 0.0.1, with another interface than its
// development now.
func setHeaders(h http.Header, id string, at time.Time, body []byte, secrets [][]byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	if len(secrets) == 0 {
		return
	}
	signatures := make([]string, 0, len(secrets))
	for _, key := range secrets {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set(headerSignature, strings.Join(signatures, " "))
}

type payload struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

type data struct {
	ID                gateway.MessageID          `json:"id"`
	Account           gateway.AccountID          `json:"account"`
	Status            gateway.Status             `json:"status"`
	Previous          *gateway.Status            `json:"previous"`
	Reference         *string                    `json:"reference"`
	Batch             *gateway.BatchID           `json:"batch"`
	ProviderMessageID *gateway.ProviderMessageID `json:"provider_message_id"`
	Error             *problem                   `json:"error"`
	Metadata          map[string]string          `json:"metadata"`
}

type problem struct {
	Class  gateway.Class `json:"class"`
	Code   *string       `json:"code"`
	Title  *string       `json:"title"`
	Detail *string       `json:"detail"`
}

// encode makes the notice's body: the same bytes for the same notice.
func encode(n *gateway.Notice) ([]byte, error) {
	p := payload{
		Type:      "message.status",
		Timestamp: n.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		Data: data{
			ID: n.Message, Account: n.Account, Status: n.Status, Previous: orNull(n.Previous),
			Reference: orNull(n.Reference), Batch: orNull(n.Batch), ProviderMessageID: orNull(n.ProviderMessageID),
			Metadata: n.Metadata,
		},
	}
	if e := n.Error; e != nil {
		p.Data.Error = &problem{Class: e.Class, Code: orNull(e.Code), Title: orNull(e.Title), Detail: orNull(e.Detail)}
	}
	if p.Data.Metadata == nil {
		p.Data.Metadata = map[string]string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func orNull[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}
