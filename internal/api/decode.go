package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/internal/gateway"
)

// Bounds of a request that no honest one comes near.
const (
	maxDepth   = 32   // arrays and objects within one another
	maxEntries = 1000 // of one array or one free-form object
	maxErrors  = 100  // named in one answer
)

// malformed says why a body can't be read as JSON at all.
type malformed string

func (m malformed) Error() string { return string(m) }

// decoder reads JSON objects into a T, strictly:
//
//   - what isn't one JSON value in UTF-8 or nests deeper than maxDepth is
//     malformed;
//   - unknown members, members given twice, values of another kind and strings
//     with control characters are errors of their fields, all of them named;
//   - a member that is null counts as left out.
//
// Safe for concurrent use.
type decoder[T any] struct{ shape *shape }

func newDecoder[T any]() (decoder[T], error) {
	s, err := shapeOf(reflect.TypeFor[T]())
	if err == nil && s.kind != shapeObject {
		err = fmt.Errorf("%s is no struct", reflect.TypeFor[T]())
	}
	return decoder[T]{shape: s}, err
}

// decode reads what it can, whatever the errors of fields. Nothing is read of a
// body that is malformed or no object; the error is malformed or, for the
// latter, a gateway.FieldError.
func (d decoder[T]) decode(body []byte) (*T, []gateway.FieldError, error) {
	if err := wellFormed(body, maxDepth); err != nil {
		return nil, nil, err
	}
	v := new(T)
	w := walk{s: string(body), path: make([]step, 0, 8)}
	w.space()
	if w.s[w.at] != '{' {
		return nil, nil, gateway.FieldError{Field: "body", Message: "must be an object"}
	}
	w.object(d.shape, reflect.ValueOf(v).Elem())
	return v, w.errs, nil
}

func wellFormed(body []byte, depth int) error {
	switch {
	case len(body) == 0:
		return malformed("the body is empty")
	case !utf8.Valid(body):
		return malformed("the body is not valid UTF-8")
	case deeper(body, depth):
		return malformed(fmt.Sprintf("the body nests deeper than %d levels", depth))
	case json.Valid(body):
		return nil
	}
	err := json.Unmarshal(body, new(json.RawMessage)) // once more, for its reason
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return malformed(fmt.Sprintf("the body is not JSON: %s (at byte %d)", syntax, syntax.Offset))
	}
	return malformed("the body is not JSON")
}

// deeper reports whether arrays and objects nest beyond the limit. It is asked
// before the syntax is known to be right.
func deeper(body []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// walk goes once over a text that is known to be JSON, hence it looks at no
// more than it needs to tell what comes next.
type walk struct {
	s    string
	at   int
	path []step
	errs []gateway.FieldError
}

// step is one part of a path: a member's name, or in an array an index.
type step struct {
	name  string
	index int // below zero: it is a name
}

func (w *walk) enter(name string) { w.path = append(w.path, step{name: name, index: -1}) }

func (w *walk) enterIndex(i int) { w.path = append(w.path, step{index: i}) }

func (w *walk) leave() { w.path = w.path[:len(w.path)-1] }

func (w *walk) value(s *shape, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	c := w.s[w.at]
	switch {
	case s.kind == shapeRaw:
		v.SetBytes(w.canonical(nil))
	case s.kind == shapeCustom:
		w.custom(v)
	case s.kind == shapeText && c == '"':
		v.SetString(w.text())
	case s.kind == shapeFlag && (c == 't' || c == 'f'):
		v.SetBool(w.literal() == "true")
	case s.kind == shapeWhole && (c == '-' || c >= '0' && c <= '9'):
		n, err := strconv.ParseInt(w.literal(), 10, 64)
		if err != nil || v.OverflowInt(n) {
			w.fail(s.problem)
			return
		}
		v.SetInt(n)
	case s.kind == shapeObject && c == '{':
		w.object(s, v)
	case s.kind == shapeTable && c == '{':
		w.table(v)
	case s.kind == shapeList && c == '[':
		w.list(s, v)
	default:
		w.fail(s.problem)
		w.skip()
	}
}

func (w *walk) object(s *shape, v reflect.Value) {
	var seen uint64 // a bit for each field
	var strangers map[string]bool
	for w.next('}') {
		name, _ := w.name()
		w.enter(name)
		i, known := s.members[name]
		switch {
		case !known:
			if strangers[name] {
				w.double()
			}
			if strangers == nil {
				strangers = map[string]bool{}
			}
			strangers[name] = true
			w.fail("is not a known field")
			w.skip()
		case seen&(1<<i) != 0:
			w.double()
			w.skip()
		default:
			seen |= 1 << i
			if w.s[w.at] == 'n' {
				w.skip()
			} else {
				w.value(s.fields[i].shape, v.FieldByIndex(s.fields[i].index))
			}
		}
		w.leave()
	}
}

func (w *walk) list(s *shape, v reflect.Value) {
	n := 0
	for ; w.next(']'); n++ {
		if n >= maxEntries {
			w.skip()
			continue
		}
		w.enterIndex(n)
		v.Grow(1)
		v.SetLen(n + 1)
		w.value(s.element, v.Index(n))
		w.leave()
	}
	w.limit(n)
}

func (w *walk) table(v reflect.Value) {
	pairs := map[string]string{}
	n := 0
	for ; w.next('}'); n++ {
		name, flaw := w.name()
		w.enter(name)
		if _, ok := pairs[name]; ok {
			w.double()
		}
		if flaw != "" {
			w.fail(flaw)
		}
		value := ""
		if w.s[w.at] == '"' {
			value = w.text()
		} else {
			w.fail("must be a string")
			w.skip()
		}
		pairs[name] = value
		w.leave()
	}
	w.limit(n)
	v.Set(reflect.ValueOf(pairs))
}

func (w *walk) limit(entries int) {
	if entries > maxEntries {
		w.fail(fmt.Sprintf("must have at most %d entries", maxEntries))
	}
}

// custom lets a type read itself; its error is the field's.
func (w *walk) custom(v reflect.Value) {
	start := w.at
	w.skip()
	u, ok := reflect.TypeAssert[json.Unmarshaler](v.Addr())
	if !ok {
		return // not possible, see shapeOf
	}
	if err := u.UnmarshalJSON([]byte(w.s[start:w.at])); err != nil {
		w.fail(err.Error())
	}
}

// skip passes over a value and still checks it for what is malformed.
func (w *walk) skip() { w.canonical(nil) }

// canonical passes over a value and appends it to out as every equal value is
// written: no space, members by name, no more escapes than needed. Numbers
// stay as they were typed.
func (w *walk) canonical(out []byte) []byte {
	switch w.s[w.at] {
	case '"':
		return appendQuoted(out, w.text())
	case '[':
		out = append(out, '[')
		for n := 0; w.next(']'); n++ {
			if n > 0 {
				out = append(out, ',')
			}
			w.enterIndex(n)
			out = w.canonical(out)
			w.leave()
		}
		return append(out, ']')
	case '{':
		return w.canonicalObject(out)
	}
	return append(out, w.literal()...)
}

func (w *walk) canonicalObject(out []byte) []byte {
	type member struct {
		name  string
		value []byte
	}
	var members []member
	for w.next('}') {
		name, flaw := w.name()
		w.enter(name)
		if flaw != "" {
			w.fail(flaw)
		}
		members = append(members, member{name, w.canonical(nil)})
		w.leave()
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
			if members[i-1].name == m.name {
				w.enter(m.name)
				w.double()
				w.leave()
			}
		}
		out = append(appendQuoted(out, m.name), ':')
		out = append(out, m.value...)
	}
	return append(out, '}')
}

// next steps over an opening bracket or a comma to what follows it, or over
// the closing bracket, and tells which.
func (w *walk) next(end byte) bool {
	w.space()
	c := w.s[w.at]
	w.at++
	if c == end {
		return false
	}
	w.space()
	if w.s[w.at] == end {
		w.at++
		return false
	}
	return true
}

// name reads a member's name up to its value.
func (w *walk) name() (name, flaw string) {
	name, flaw = w.quoted()
	w.space()
	w.at++ // the colon
	w.space()
	return name, flaw
}

// text reads a string and reports its flaw, if it has one.
func (w *walk) text() string {
	s, flaw := w.quoted()
	if flaw != "" {
		w.fail(flaw)
	}
	return s
}

func (w *walk) quoted() (s, flaw string) {
	start := w.at + 1
	end, escaped := start, false
	for w.s[end] != '"' {
		if w.s[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	w.at = end + 1
	s = w.s[start:end]
	if escaped {
		var whole bool
		if s, whole = unescape(s); !whole {
			return s, "must not hold half of a surrogate pair"
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return s, fmt.Sprintf("must not hold the control character U+%04X", c)
		}
	}
	return s, ""
}

func (w *walk) literal() string {
	start := w.at
	for w.at < len(w.s) && strings.IndexByte(",]} \t\r\n", w.s[w.at]) < 0 {
		w.at++
	}
	return w.s[start:w.at]
}

func (w *walk) space() {
	for w.at < len(w.s) && w.s[w.at] <= ' ' {
		w.at++
	}
}

func (w *walk) fail(message string) {
	if len(w.errs) < maxErrors {
		w.errs = append(w.errs, gateway.FieldError{Field: pathString(w.path), Message: message})
	}
}

func (w *walk) double() { w.fail("must be given once") }

// pathString writes a path as a reader of the request would: "a.b[2].c".
func pathString(path []step) string {
	var b strings.Builder
	for i, s := range path {
		switch {
		case s.index >= 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case plainName(s.name):
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		default:
			fmt.Fprintf(&b, "[%q]", shorten(s.name))
		}
	}
	return b.String()
}

const maxShownName = 64

func plainName(s string) bool {
	if s == "" || len(s) > maxShownName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxShownName {
		return s
	}
	return string([]rune(s)[:maxShownName]) + "…"
}
