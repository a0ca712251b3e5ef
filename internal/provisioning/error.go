package provisioning

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error is the provider's refusal of a call, in its own words.
type Error struct {
	Act        string          // the request, such as "GET /whatsapp/senders/s-1"
	Status     int             // of HTTP
	Code       string          // the provider's errorCode, such as "sender_not_found"; empty if it gave none
	Message    string          // the provider's own
	Resolution string          // what the provider advises
	Details    json.RawMessage // additionalInformation: validation errors, Meta's own error; may be nil
	RetryAfter time.Duration   // 0: it didn't say
}

// Error is the provider's message, what it advises and what it lets know of
// the causes.
func (e *Error) Error() string {
	said := cmp.Or(e.Message, strings.ToLower(http.StatusText(e.Status)), "refused")
	if e.Code != "" {
		said = e.Code + ": " + said
	}
	parts := append([]string{said, e.Resolution}, causes(e.Details)...)
	var text strings.Builder
	for _, p := range parts {
		if p = plain(p); p == "" {
			continue
		}
		if text.Len() > 0 {
			if !strings.HasSuffix(text.String(), ".") {
				text.WriteByte('.')
			}
			text.WriteByte(' ')
		}
		text.WriteString(p)
	}
	return fmt.Sprintf("%s: %s (HTTP %d)", e.Act, text.String(), e.Status)
}

// busy reports whether the same call may succeed in a moment.
func (e *Error) busy() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// causes are the parts of additionalInformation that people can act on.
func causes(details json.RawMessage) []string {
	var d struct {
		ValidationErrors []json.RawMessage `json:"validationErrors"`
		SupportedCodes   json.RawMessage   `json:"supportedCodes"`
		MetaError        struct {
			Code        json.RawMessage `json:"code"`
			Subcode     json.RawMessage `json:"subcode"`
			Message     string          `json:"message"`
			Description string          `json:"description"`
			Reason      string          `json:"reason"`
		} `json:"metaError"`
	}
	if len(details) == 0 || lenient(details, &d) != nil {
		return nil
	}
	var said []string
	for _, v := range d.ValidationErrors {
		said = append(said, loose(v))
	}
	if len(d.SupportedCodes) > 0 {
		said = append(said, "Supported: "+loose(d.SupportedCodes))
	}
	m := d.MetaError
	words := strings.Join(strings.Fields(strings.Join([]string{m.Message, m.Description, m.Reason}, " ")), " ")
	if code := loose(m.Code); code != "" || words != "" {
		if sub := loose(m.Subcode); sub != "" {
			code += "/" + sub
		}
		said = append(said, strings.TrimSpace("Meta "+strings.TrimSpace(code+": "+words)))
	}
	return said
}

// loose is a JSON text without its quotes, and any other value as it is
// written.
func loose(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// plain is a text on one line, without anything that steers a terminal.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// readError makes an Error of an answer that isn't a success. What isn't of
// the API's own form, such as a proxy's page, is left out.
func readError(act string, resp *http.Response, secrets []string) error {
	e := &Error{Act: act, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorAnswer))
	if err != nil {
		return e // the status says more than the break
	}
	var said struct {
		Code       string          `json:"errorCode"`
		Message    string          `json:"message"`
		Resolution string          `json:"resolution"`
		Additional json.RawMessage `json:"additionalInformation"`
	}
	if lenient(redact(unescaped(body), secrets), &said) == nil {
		e.Code, e.Message, e.Resolution = said.Code, said.Message, said.Resolution
		if !bytes.Equal(said.Additional, []byte("null")) {
			e.Details = said.Additional
		}
	}
	return e
}

// unescaped is a JSON text as encode writes it, so that what is looked for in it
// has one spelling. What is no JSON stays as it is.
func unescaped(body []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return body
	}
	text, err := encode(v)
	if err != nil {
		return body
	}
	return text
}

// redact takes our own secrets out of what the provider quotes.
func redact(body []byte, secrets []string) []byte {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		body = bytes.ReplaceAll(body, []byte(s), []byte(mask))
		if quoted, err := encode(s); err == nil {
			body = bytes.ReplaceAll(body, quoted[1:len(quoted)-1], []byte(mask))
		}
	}
	return body
}

// retryAfter reads seconds or a date; 0 is for no sense, and for now.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(header), 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
