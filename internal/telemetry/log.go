package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Format is how log lines are written.
type Format string

// The formats. The zero value means JSON.
const (
	JSON Format = "json"
	Text Format = "text"
)

// ParseFormat reads a format's name; empty is JSON.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "":
		return JSON, nil
	case JSON, Text:
		return f, nil
	default:
		return "", fmt.Errorf("must be %s or %s", JSON, Text)
	}
}

// NewLogger writes lines of the level and above to w, with times in UTC.
//
// Attributes whose names speak of secrets are masked. That is a net below
// those who log, not a licence: it sees names, not what a struct or a text
// holds. A nil level means slog.LevelInfo.
func NewLogger(w io.Writer, level slog.Leveler, format Format) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: replaceAttr}
	switch format {
	case Text:
		return slog.New(slog.NewTextHandler(w, o))
	case JSON:
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// masked stands where a secret would.
const masked = "[masked]"

func replaceAttr(groups []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC().Round(time.Millisecond))
		return a
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindGroup:
		return a // a count of tokens is no token
	case slog.KindString, slog.KindAny, slog.KindLogValuer:
	}
	if isSecretName(a.Key) || slices.ContainsFunc(groups, isSecretName) {
		a.Value = slog.StringValue(masked)
	}
	return a
}

// isSecretName reports whether a name speaks of a secret, however it is spelt:
// access_token, AccessToken, accesstoken.
func isSecretName(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range []string{
		"authorization", "bearer", "cookie", "credential", "passphrase", "passwd", "password", "secret", "signature", "token",
	} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	// "key" alone is part of innocent words.
	return slices.ContainsFunc(words(name), func(w string) bool {
		return w == "key" || w == "keys" || w == "apikey" || w == "mac" || w == "pass"
	})
}

// words splits a name at what isn't a letter or digit, and where a capital
// follows a small letter.
func words(name string) []string {
	var b strings.Builder
	var last rune
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(last):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return strings.Fields(b.String())
}
