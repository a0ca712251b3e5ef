package whatsapponprem

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// loose is a scalar that hosts write in more than one way: a string, a number
// or a boolean, as text. null and what is no scalar read as "": one odd member
// must not spoil the rest.
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

// number is the scalar as a whole number, if it is one.
func (l loose) number() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(l)))
	return n, err == nil
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
