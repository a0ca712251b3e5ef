package whatsappv2

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// loose is a scalar that may be written in more than one way: a string, a
// number or a boolean, as text. null and what is no scalar read as "": one odd
// member must not spoil the rest.
type loose string

// UnmarshalJSON never fails.
func (l *loose) UnmarshalJSON(b []byte) error {
	*l = ""
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case '"':
		var s string
		if json.Unmarshal(b, &s) == nil {
			*l = loose(s)
		}
	case '{', '[', 'n':
	default:
		*l = loose(b)
	}
	return nil
}

// decode reads JSON and leaves out what has another shape than expected. Its
// error means that b is no JSON.
func decode(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if _, shape := errors.AsType[*json.UnmarshalTypeError](err); shape {
		return nil // the rest has been read
	}
	return err
}

// instant reads the two ways in which the provider tells a time: RFC 3339, or
// Unix seconds as in the Cloud API's envelope, tolerating milliseconds. What is
// no time of this era is zero.
func instant(l loose) time.Time {
	const (
		milliseconds = 1e11         // seconds beyond it would lie in the year 5138
		end          = 253402300800 // the year 10000, which JSON times can't say
		endMilli     = end * 1000   // the same in milliseconds
	)
	if at, err := time.Parse(time.RFC3339, string(l)); err == nil {
		if s := at.Unix(); s <= 0 || s >= end {
			return time.Time{}
		}
		return at.UTC()
	}
	n, err := strconv.ParseInt(string(l), 10, 64)
	switch {
	case err != nil, n <= 0, n >= endMilli:
		return time.Time{}
	case n > milliseconds:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}
