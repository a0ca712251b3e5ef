package simulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// violation is the first thing that is wrong with a request.
type violation struct {
	kind   violationKind
	field  string
	detail string
}

type violationKind int

const (
	fieldMissing violationKind = iota + 1
	fieldInvalid
	fieldUnknown
	bodyMalformed
)

// checker walks a request and keeps the first violation. Providers name one
// problem for each request, in the order they look.
type checker struct {
	first *violation
}

func (c *checker) fail(kind violationKind, field, format string, args ...any) {
	if c.first == nil {
		c.first = &violation{kind: kind, field: field, detail: fmt.Sprintf(format, args...)}
	}
}

func (c *checker) missing(field string) { c.fail(fieldMissing, field, "can not be empty") }

// decode begins the walk: the body must be one JSON object in UTF-8.
func (c *checker) decode(body []byte) *object {
	var members map[string]any
	if !utf8.Valid(body) {
		c.fail(bodyMalformed, "", "the body is not UTF-8")
	} else if err := json.Unmarshal(body, &members); err != nil {
		c.fail(bodyMalformed, "", "the body is not a JSON object")
	}
	return &object{c: c, members: members}
}

// object is a JSON object on the walk. Reading a member takes it out, so that
// what is left at the end is what nobody knows. Names are matched exactly. A
// nil object reads as empty and is never wrong.
type object struct {
	c       *checker
	path    string
	members map[string]any
}

func (o *object) field(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o *object) has(name string) bool {
	if o == nil {
		return false
	}
	_, ok := o.members[name]
	return ok
}

func (o *object) take(name string) (any, bool) {
	if o == nil {
		return nil, false
	}
	v, ok := o.members[name]
	delete(o.members, name)
	return v, ok
}

// done refuses the members that nobody asked for.
func (o *object) done() {
	if o == nil || len(o.members) == 0 {
		return
	}
	names := make([]string, 0, len(o.members))
	for name := range o.members {
		names = append(names, name)
	}
	field := o.field(slices.Min(names))
	o.c.fail(fieldUnknown, field, "is unknown")
}

// unlimited is for texts whose length no document limits.
const unlimited = 1 << 20

// text reads a string of low to high characters; if low is zero it may be
// absent.
func (o *object) text(name string, low, high int) string {
	v, ok := o.take(name)
	if !ok {
		if o != nil && low > 0 {
			o.c.missing(o.field(name))
		}
		return ""
	}
	s, isString := v.(string)
	if !isString {
		o.c.fail(fieldInvalid, o.field(name), "must be a string")
		return ""
	}
	switch n := utf8.RuneCountInString(s); {
	case n == 0 && low > 0:
		o.c.missing(o.field(name))
	case n < low || n > high:
		o.c.fail(fieldInvalid, o.field(name), "must have %d to %d characters, has %d", low, high, n)
	}
	return s
}

// one reads a string that must be one of the values; if it may be absent, ""
// is among them.
func (o *object) one(name string, values ...string) string {
	low := 1
	if slices.Contains(values, "") {
		low = 0
	}
	s := o.text(name, low, unlimited)
	if o != nil && s != "" && !slices.Contains(values, s) {
		o.c.fail(fieldInvalid, o.field(name), "must be one of %s", strings.Trim(strings.Join(values, ", "), ", "))
	}
	return s
}

// flag reads an optional boolean.
func (o *object) flag(name string) {
	if v, ok := o.take(name); ok {
		if _, isBool := v.(bool); !isBool {
			o.c.fail(fieldInvalid, o.field(name), "must be true or false")
		}
	}
}

// number reads a number; as a string too if that is allowed.
func (o *object) number(name string, low, high float64, stringToo bool) {
	v, ok := o.take(name)
	if !ok {
		if o != nil {
			o.c.missing(o.field(name))
		}
		return
	}
	f, isNumber := v.(float64)
	if s, isString := v.(string); isString && stringToo {
		parsed, err := strconv.ParseFloat(s, 64)
		f, isNumber = parsed, err == nil
	}
	if !isNumber || !(f >= low && f <= high) { // not a number fails too
		o.c.fail(fieldInvalid, o.field(name), "must be a number between %g and %g", low, high)
	}
}

// date reads an optional YYYY-MM-DD.
func (o *object) date(name string) {
	if s := o.text(name, 0, 10); s != "" {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			o.c.fail(fieldInvalid, o.field(name), "must be a date as YYYY-MM-DD")
		}
	}
}

// link reads a web address.
func (o *object) link(name string, required bool) string {
	low := 0
	if required {
		low = 1
	}
	s := o.text(name, low, 2048)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		o.c.fail(fieldInvalid, o.field(name), "must be an http or https URL")
	}
	return s
}

// object reads a member that is an object, nil if there is none.
func (o *object) object(name string, required bool) *object {
	v, ok := o.take(name)
	if !ok {
		if o != nil && required {
			o.c.missing(o.field(name))
		}
		return nil
	}
	members, isObject := v.(map[string]any)
	if !isObject {
		o.c.fail(fieldInvalid, o.field(name), "must be an object")
		return nil
	}
	return &object{c: o.c, path: o.field(name), members: members}
}

// list reads an array of low to high elements; if low is zero it may be absent.
func (o *object) list(name string, low, high int) []any {
	v, ok := o.take(name)
	if !ok {
		if o != nil && low > 0 {
			o.c.missing(o.field(name))
		}
		return nil
	}
	elements, isList := v.([]any)
	switch {
	case !isList:
		o.c.fail(fieldInvalid, o.field(name), "must be an array")
	case len(elements) == 0 && low > 0:
		o.c.missing(o.field(name))
	case len(elements) < low || len(elements) > high:
		o.c.fail(fieldInvalid, o.field(name), "must have %d to %d entries, has %d", low, high, len(elements))
	}
	return elements
}

// objects reads an array of objects, shows each, and says how many there are.
func (o *object) objects(name string, low, high int, show func(*object)) int {
	elements := o.list(name, low, high)
	for i, v := range elements {
		path := fmt.Sprintf("%s[%d]", o.field(name), i)
		members, isObject := v.(map[string]any)
		if !isObject {
			o.c.fail(fieldInvalid, path, "must be an object")
			continue
		}
		element := &object{c: o.c, path: path, members: members}
		show(element)
		element.done()
	}
	return len(elements)
}

// strings reads an array of strings, with at most the given characters in all.
func (o *object) strings(name string, low, high, total int) []string {
	elements := o.list(name, low, high)
	texts := make([]string, 0, len(elements))
	n := 0
	for i, v := range elements {
		s, isString := v.(string)
		if !isString {
			o.c.fail(fieldInvalid, fmt.Sprintf("%s[%d]", o.field(name), i), "must be a string")
			continue
		}
		n += utf8.RuneCountInString(s)
		texts = append(texts, s)
	}
	if n > total {
		o.c.fail(fieldInvalid, o.field(name), "must have at most %d characters in all, has %d", total, n)
	}
	return texts
}

// unique refuses a value that was seen before.
func (o *object) unique(name, value string, seen map[string]bool) {
	if value != "" && seen[value] {
		o.c.fail(fieldInvalid, o.field(name), "must be unique")
	}
	seen[value] = true
}

// refuse says that a member is not possible here.
func (o *object) refuse(name, why string) {
	if o.has(name) {
		o.c.fail(fieldInvalid, o.field(name), "%s", why)
		delete(o.members, name)
	}
}

// contactCards reads the cards both WhatsApp dialects know. The kinds are what
// the type of an entry may be; none: anything.
func (o *object) contactCards(name string, high int, nameRequired bool, kinds cardKinds) {
	o.objects(name, 1, high, func(card *object) {
		n := card.object("name", nameRequired)
		n.text("formatted_name", 1, unlimited)
		for _, part := range []string{"first_name", "last_name", "middle_name", "prefix", "suffix"} {
			n.text(part, 0, unlimited)
		}
		n.done()
		card.date("birthday")
		card.cardParts("phones", kinds.phone, "phone", "wa_id")
		card.cardParts("emails", kinds.other, "email")
		card.cardParts("addresses", kinds.other, "street", "city", "state", "zip", "country", "country_code")
		card.cardParts("urls", kinds.other, "url")
		if kinds.ims {
			card.cardParts("ims", nil, "service", "user_id")
		}
		org := card.object("org", false)
		for _, part := range []string{"company", "department", "title"} {
			org.text(part, 0, unlimited)
		}
		org.done()
	})
}

// cardKinds is what a dialect allows on contact cards.
type cardKinds struct {
	phone, other []string // values of type; nil: any
	ims          bool
}

func (o *object) cardParts(name string, kinds []string, parts ...string) {
	o.objects(name, 0, unlimited, func(entry *object) {
		for _, part := range parts {
			entry.text(part, 0, unlimited)
		}
		if kinds == nil {
			entry.text("type", 0, unlimited)
		} else {
			entry.one("type", kinds...)
		}
	})
}

// mediaTable is the file types a provider's documents list for each kind of
// media, by the ending of a link.
type mediaTable map[string][]string

var (
	cloudFiles = mediaTable{
		"image":    {"jpg", "jpeg", "png"},
		"video":    {"mp4", "3gp", "3gpp"},
		"audio":    {"aac", "amr", "mp3", "m4a", "ogg"},
		"sticker":  {"webp"},
		"document": {"txt", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx"},
	}
	sinchFiles = mediaTable{
		"image":   {"jpg", "jpeg", "png"},
		"video":   {"mp4", "3gp", "3gpp"},
		"audio":   {"aac", "amr", "mp3", "m4a", "ogg", "opus"},
		"sticker": {"webp"},
		"document": {
			"txt", "csv", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "rtf", "tar",
			"jpg", "jpeg", "png", "mp4", "3gp", "3gpp", "aac", "amr", "mp3", "m4a", "ogg", "opus", "webp", // every other kind's
		},
	}
)

// foreignFiles are in no provider's table. What is in none of the tables and
// not here either isn't judged.
var foreignFiles = []string{"gif", "bmp", "mov", "avi", "mkv", "webm", "wav", "flac", "zip", "exe", "html"}

// wrongFile says why a link can't be a file of the kind, judged by its ending,
// or "". Links are never fetched; one without a known ending passes, and so
// does one of a kind the table doesn't have.
func wrongFile(table mediaTable, kind, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	ending := strings.ToLower(strings.TrimPrefix(path.Ext(u.Path), "."))
	known := slices.Contains(foreignFiles, ending) || slices.ContainsFunc([]mediaTable{cloudFiles, sinchFiles}, func(t mediaTable) bool {
		for _, endings := range t {
			if slices.Contains(endings, ending) {
				return true
			}
		}
		return false
	})
	if endings, judged := table[kind]; !known || !judged || slices.Contains(endings, ending) {
		return ""
	}
	return fmt.Sprintf("a .%s file is not supported as %s", ending, kind)
}
