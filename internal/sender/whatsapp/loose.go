// Package whatsapp is what the WhatsApp systems' callbacks have in common: how
// scalars are written, what people write, and how Meta signs.
package whatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// Loose is a scalar that is written in more than one way: a string, a number or
// a boolean, as text. null and what is no scalar read as "": one odd member
// must not spoil the rest.
type Loose string

// UnmarshalJSON never fails.
func (l *Loose) UnmarshalJSON(b []byte) error {
	*l = ""
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case '"':
		var s string
		if json.Unmarshal(b, &s) == nil {
			*l = Loose(s)
		}
	case '{', '[', 'n':
	default:
		*l = Loose(b)
	}
	return nil
}

// Number is the scalar as a whole number, if it is one.
func (l Loose) Number() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(l)))
	return n, err == nil
}

// Instant reads a Unix time in seconds, or in milliseconds as some hosts write.
// What is no time of this era is zero.
func (l Loose) Instant() time.Time {
	const milliseconds = 1e11 // seconds beyond it would lie in the year 5138
	n, err := strconv.ParseInt(string(l), 10, 64)
	switch {
	case err != nil:
		return time.Time{}
	case n > milliseconds:
		return gateway.Instant(time.UnixMilli(n))
	}
	return gateway.Instant(time.Unix(n, 0))
}

// Decode reads JSON and leaves out what has another shape than expected. Its
// error means that b is no JSON.
func Decode(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if _, shape := errors.AsType[*json.UnmarshalTypeError](err); shape {
		return nil // the rest has been read
	}
	return err
}
