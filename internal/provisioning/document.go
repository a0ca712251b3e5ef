package provisioning

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

const mask = "***"

// Secret is a text of the provider that is shown as "***" whichever way it is
// printed, logged or marshalled.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Format masks the text under every verb; nothing stays nothing.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.masked()) }

// LogValue masks the text in logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.masked()) }

// MarshalText masks the text in JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.masked()), nil }

func (s Secret) masked() string {
	if s == "" {
		return ""
	}
	return mask
}

// Document is a JSON object as the provider sent it. Printed, logged or
// marshalled, its secrets are masked and its members sorted.
type Document []byte

// Reveal is the whole text, secrets included.
func (d Document) Reveal() json.RawMessage { return json.RawMessage(d) }

// MarshalJSON masks the secrets.
func (d Document) MarshalJSON() ([]byte, error) {
	if len(d) == 0 {
		return []byte("null"), nil
	}
	dec := json.NewDecoder(bytes.NewReader(d))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("mask document: %w", err)
	}
	return encode(maskSecrets(v))
}

// Format masks the secrets under every verb.
func (d Document) Format(f fmt.State, _ rune) { fmt.Fprint(f, d.masked()) }

// LogValue masks the secrets in logs.
func (d Document) LogValue() slog.Value { return slog.StringValue(d.masked()) }

func (d Document) masked() string {
	text, err := d.MarshalJSON()
	if err != nil {
		return mask
	}
	return string(text)
}

func maskSecrets(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = maskSecrets(member)
			if secretName(name) && hides(member) {
				v[name] = mask
			}
		}
	case []any:
		for i := range v {
			v[i] = maskSecrets(v[i])
		}
	}
	return v
}

// hides reports whether a secret may be in the value. An object says by its own
// members' names what is secret.
func hides(v any) bool {
	switch v := v.(type) {
	case string:
		return v != ""
	case json.Number:
		return true
	case []any:
		return len(v) > 0
	}
	return false
}

// secretName reports whether a member of this name is a secret: the tokens,
// but for those that only turn pages, and what is exchanged for one.
func secretName(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "facebookcode", "authenticationcode", "password":
		return true
	}
	return strings.HasSuffix(name, "secret") || strings.HasSuffix(name, "token") && !strings.HasSuffix(name, "pagetoken")
}

// keep decodes an object into v and its text into raw.
func keep(text []byte, v any, raw *Document) error {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return errors.New("not a JSON object")
	}
	*raw = bytes.Clone(text)
	return lenient(text, v)
}

// lenient decodes what it can: members of an unexpected type stay as they
// were.
func lenient(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}

// Extra are members of a request that have no field of their own. A field that
// is set stands over the member of its name.
type Extra map[string]json.RawMessage

// withExtra writes the fields, in their order, or with extra members all of
// them sorted.
func withExtra(fields any, extra Extra) ([]byte, error) {
	text, err := encode(fields)
	if err != nil || len(extra) == 0 {
		return text, err
	}
	var set map[string]json.RawMessage
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	all := maps.Clone(extra)
	maps.Copy(all, set)
	return encode(all)
}

// secretsOf are the secrets in a request, which no error may repeat.
func secretsOf(extra Extra) (found []string) {
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if secretName(name) {
			found = append(found, loose(extra[name]))
		}
	}
	return found
}
