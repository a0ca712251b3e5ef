package whatsappv2

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapp"
)

// maxRunes is how much is kept of a title or a detail.
const maxRunes = 300

// wireError is what the provider says of an error: its own members in an
// answer, those of the Cloud API in a webhook of that form.
type wireError struct {
	Code    whatsapp.Loose  `json:"code"`
	Title   whatsapp.Loose  `json:"title"`
	Message whatsapp.Loose  `json:"message"`
	Details whatsapp.Loose  `json:"details"`
	Data    json.RawMessage `json:"error_data"` // an object with details
}

// number is the code, if there is one.
func (e *wireError) number() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(e.Code)))
	return n, err == nil && n >= 0
}

func (e *wireError) title() string { return string(cmp.Or(e.Title, e.Message)) }

func (e *wireError) details() string {
	var data struct {
		Details whatsapp.Loose `json:"details"`
	}
	if e.Details == "" && whatsapp.Decode(e.Data, &data) == nil {
		return string(data.Details)
	}
	return string(e.Details)
}

// report is what answers, statuses and webhooks have in common: a status, and
// with a bad one an error, whose place is documented for answers only.
type report struct {
	Status    whatsapp.Loose  `json:"status"`
	Timestamp whatsapp.Loose  `json:"timestamp"`
	Error     json.RawMessage `json:"error"`  // of a status: an object like the envelope, or words
	Errors    []wireError     `json:"errors"` // of a status in the Cloud API's form
	wireError                 // of an answer: beside its status
}

// fault is the first error that has a code, else the first that has words.
func (r *report) fault() *wireError {
	var nested wireError
	if whatsapp.Decode(r.Error, &nested.Message) != nil || nested.Message == "" {
		_ = whatsapp.Decode(r.Error, &nested) // no error, or one of no shape we know, is one without words
	}
	all := []*wireError{&nested}
	for i := range r.Errors {
		all = append(all, &r.Errors[i])
	}
	all = append(all, &r.wireError)
	if i := slices.IndexFunc(all, func(e *wireError) bool { _, ok := e.number(); return ok }); i >= 0 {
		return all[i]
	}
	if i := slices.IndexFunc(all, func(e *wireError) bool { return e.title() != "" || e.details() != "" }); i >= 0 {
		return all[i]
	}
	return &r.wireError
}

// describe puts an error in the gateway's words, without its class. A code of
// the provider's is told as it is, an HTTP status that only came with the
// answer with a prefix.
func (p *Provider) describe(status int, refused bool, e *wireError) *gateway.Error {
	code, ok := e.number()
	if ok && (refused || code >= firstCode) {
		return &gateway.Error{
			Code: strconv.Itoa(code), Title: cmp.Or(p.clean(e.title()), "error without a title"), Detail: p.clean(e.details()),
		}
	}
	out := &gateway.Error{Code: "http_" + strconv.Itoa(status), Detail: p.clean(cmp.Or(e.title(), e.details()))}
	switch {
	case refused:
		out.Title, out.Detail = cmp.Or(p.clean(e.title()), "error without a code"), p.clean(e.details())
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
// it may quote, and short.
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
