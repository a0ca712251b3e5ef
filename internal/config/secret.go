package config

import (
	"fmt"
	"log/slog"
)

// Secret is a text that is never shown: whichever way it is printed, logged or
// marshalled, "***" comes out. Reveal gives it to the code that needs it.
type Secret string

const mask = "***"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String masks the text.
func (s Secret) String() string { return mask }

// Format masks the text under every verb; String alone would leave %#v, and
// those that don't fit a string, such as %d.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, mask) }

// LogValue masks the text in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText masks the text in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }
