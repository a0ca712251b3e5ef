package whatsappcloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapp"
)

// wireError is Graph's error, in an answer's envelope or in a webhook's
// errors. The two differ in their titles only.
type wireError struct {
	Code      whatsapp.Loose  `json:"code"`
	Subcode   whatsapp.Loose  `json:"error_subcode"`
	Title     whatsapp.Loose  `json:"title"`
	Message   whatsapp.Loose  `json:"message"`
	Data      json.RawMessage `json:"error_data"` // an object with details, or a string
	UserMsg   whatsapp.Loose  `json:"error_user_msg"`
	Transient whatsapp.Loose  `json:"is_transient"`
	TraceID   whatsapp.Loose  `json:"fbtrace_id"`
}

// readError is the error of an answer that holds one.
func readError(body []byte) (e wireError, ok bool) {
	var envelope struct {
		Error json.RawMessage `json:"error"`
	}
	ok = whatsapp.Decode(body, &envelope) == nil && len(envelope.Error) > 0 && whatsapp.Decode(envelope.Error, &e) == nil
	return e, ok
}

// number is the code, if there is one.
func (e *wireError) number() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(e.Code)))
	return n, err == nil && n >= 0
}

func (e *wireError) transient() bool { return e.Transient == "true" || e.Transient == "1" }

// details is what the provider says to people.
func (e *wireError) details() string {
	var object struct {
		Details whatsapp.Loose `json:"details"`
	}
	if whatsapp.Decode(e.Data, &object) == nil && object.Details != "" {
		return string(object.Details)
	}
	var s string
	if whatsapp.Decode(e.Data, &s) == nil && s != "" {
		return s
	}
	return string(e.UserMsg)
}

var objectID = regexp.MustCompile(`object with id '?([0-9]+)`)

// noSuchSender reports whether an invalid parameter is the id in the path: the
// number is gone, or the token may not use it. A message that names another
// object (a media id, say) is at fault itself.
func (p *Provider) noSuchSender(e *wireError) bool {
	says := strings.ToLower(string(e.Message))
	if m := objectID.FindStringSubmatch(says); m != nil {
		return m[1] == p.settings.PhoneNumberID
	}
	return e.Subcode == subcodeNoSuchObject || strings.Contains(says, "unsupported post request") ||
		strings.Contains(says, "object does not exist")
}

// linkFailed reports whether a file was refused because its link couldn't be
// read, which may pass, and not for its type or size, which won't.
func linkFailed(e *wireError) bool {
	says := strings.ToLower(e.details())
	for _, sign := range []string{"download", "fetch", "unreachable", "weblink", "timeout", "timed out", "http error"} {
		if strings.Contains(says, sign) {
			return true
		}
	}
	return false
}

// describe puts the error in the gateway's words, without its class.
func (p *Provider) describe(code int, e *wireError) *gateway.Error {
	out := &gateway.Error{Code: strconv.Itoa(code)}
	title := e.Title
	if title == "" {
		title = e.Message
	}
	out.Title = p.clean(string(title))
	if out.Title == "" {
		out.Title = "error without a title"
	}
	out.Detail = p.clean(e.details())
	if trace := p.clean(string(e.TraceID)); trace != "" {
		out.Detail = strings.TrimSpace(out.Detail + " (fbtrace_id " + trace + ")")
	}
	return out
}

// describeStatus describes an answer without a code of the provider's. Ours
// carry a prefix, for Graph has codes between 200 and 599 too.
func (p *Provider) describeStatus(status int, e *wireError) *gateway.Error {
	out := &gateway.Error{Code: "http_" + strconv.Itoa(status), Detail: p.clean(string(e.Message))}
	switch {
	case status >= 200 && status <= 299:
		out.Title = "answer without a message id"
	case status >= 300 && status <= 399:
		out.Title = "redirect refused"
	default:
		out.Title = strings.TrimSpace(fmt.Sprintf("HTTP %d without an error code: %s", status, http.StatusText(status)))
	}
	return out
}

// clean makes a text of the provider's fit to keep: without our secrets, which
// Graph may quote, and short.
func (p *Provider) clean(s string) string {
	s = strings.TrimSpace(p.redactor.Replace(s))
	n := 0
	for i := range s {
		if n == maxRunes {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
