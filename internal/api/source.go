package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// errLong is of a message that is longer than one may be. The next one can be
// asked for.
var errLong = errors.New("longer than a message may be")

// source yields the messages of an upload, each valid until the next is asked
// for. io.EOF ends them; of any other error but errLong nothing follows.
type source interface {
	next() ([]byte, error)
}

// ndjson yields lines. Blank ones are passed over, and so is one that was cut
// off before its end.
type ndjson struct{ r *bufio.Reader }

// lineRoom holds the longest line with its end.
const lineRoom = maxBody + len("\r\n")

func (n ndjson) next() ([]byte, error) {
	for {
		line, err := n.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, n.pass()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		switch line = bytes.TrimSpace(line); {
		case len(line) > maxBody:
			return nil, errLong
		case len(line) > 0:
			return line, nil
		case err != nil:
			return nil, io.EOF
		}
	}
}

// pass reads up to the end of a line that is too long.
func (n ndjson) pass() error {
	for {
		_, err := n.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil, errors.Is(err, io.EOF):
			return errLong
		default:
			return err
		}
	}
}

// elements yields those of an array in a text that is known to be JSON.
type elements struct {
	text []byte
	at   int // behind the bracket or the element before
}

func (e *elements) next() ([]byte, error) {
	start := skipSpace(e.text, e.at)
	if e.text[start] == ',' {
		start = skipSpace(e.text, start+1)
	}
	if e.text[start] == ']' {
		return nil, io.EOF
	}
	e.at = valueEnd(e.text, start)
	if e.at-start > maxBody {
		return nil, errLong
	}
	return e.text[start:e.at], nil
}

// member finds the value of an object's first member of that name, in a text
// that is known to be JSON and an object.
func member(text []byte, name string) (start, end int, found bool) {
	at := skipSpace(text, 0)
	for {
		at = skipSpace(text, at+1) // behind the bracket or a comma
		if text[at] != '"' {
			return 0, 0, false
		}
		nameEnd := valueEnd(text, at)
		var given string
		_ = json.Unmarshal(text[at:nameEnd], &given) // can't fail
		start = skipSpace(text, skipSpace(text, nameEnd)+len(":"))
		end = valueEnd(text, start)
		if given == name {
			return start, end, true
		}
		if at = skipSpace(text, end); text[at] != ',' {
			return 0, 0, false
		}
	}
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && text[at] <= ' ' {
		at++
	}
	return at
}

// valueEnd is where the value ends that begins there, in a text that is known to
// be JSON.
func valueEnd(text []byte, at int) int {
	depth, quoted := 0, false
	for ; at < len(text); at++ {
		switch c := text[at]; {
		case quoted && c == '\\':
			at++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return at + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return at // of what stands around a literal
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case depth == 0 && (c == ',' || c == ':' || c <= ' '):
			return at
		}
	}
	return at
}
