package api

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape reads the inside of a valid JSON string that has escapes. It is not
// whole if half of a surrogate pair stands alone in it: encoding/json would
// put another character in its place without a word.
func unescape(s string) (text string, whole bool) {
	out := make([]byte, 0, len(s))
	whole = true
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			out = append(out, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, s[i+1])])
			i += 2
			continue
		}
		r := hexRune(s[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if strings.HasPrefix(s[i:], `\u`) {
				pair = utf16.DecodeRune(r, hexRune(s[i+2:]))
			}
			if r = pair; r == utf8.RuneError {
				whole = false
			} else {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), whole
}

// hexRune reads the four digits of a \u escape, known to be there.
func hexRune(s string) rune {
	n, _ := strconv.ParseUint(s[:4], 16, 16)
	return rune(n)
}

// appendQuoted writes s, which is valid UTF-8, as a JSON string with as few
// escapes as JSON allows.
func appendQuoted(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
