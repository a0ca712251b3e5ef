// Package configedit changes accounts in the text of a configuration file and
// leaves every other byte as it is: comments, blank lines, order and quotes.
//
// The YAML tree tells where things stand; it isn't written back, because an
// encoder would lay the whole file out anew. Each change is made twice, to the
// tree and to the text, and the text is only given out if it reads as the tree.
package configedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is a configuration with changes that aren't written yet.
type File struct {
	src      []byte
	starts   []int // of the lines
	newline  string
	root     *yaml.Node // changed as the text is
	accounts []*Account
	edits    []edit

	added      [][]string // lines of the accounts to be added
	addedNodes []*yaml.Node
}

// edit replaces a stretch of the text.
type edit struct {
	from, to int
	text     string
}

// Parse reads the text of a configuration. It checks no more than it needs to
// change accounts.
func Parse(src []byte) (*File, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, errors.New("not valid YAML") // the parser's words may quote the text, and so a secret
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode || doc.Content[0].Style&yaml.FlowStyle != 0 {
		return nil, errors.New("must be a YAML mapping with a key on each line")
	}
	f := &File{src: src, starts: []int{0}, newline: "\n", root: doc.Content[0]}
	for i, b := range src {
		if b == '\n' {
			f.starts = append(f.starts, i+1)
		}
	}
	if bytes.Contains(src, []byte("\r\n")) {
		f.newline = "\r\n"
	}
	key, list := member(f.root, "accounts")
	switch {
	case key == nil || list.Kind == yaml.ScalarNode && list.Value == "" && list.Tag == "!!null":
		return f, nil
	case list.Kind != yaml.SequenceNode:
		return nil, errors.New("accounts: must be a list")
	}
	for i, item := range list.Content {
		if item.Kind == yaml.MappingNode {
			f.accounts = append(f.accounts, &Account{file: f, node: item, at: fmt.Sprintf("accounts[%d]", i)})
		}
	}
	return f, nil
}

// Accounts are those that the file had when it was parsed.
func (f *File) Accounts() []*Account { return f.accounts }

// Changed reports whether there is anything to write.
func (f *File) Changed() bool { return len(f.edits)+len(f.added) > 0 }

// Bytes is the text with all changes made.
func (f *File) Bytes() ([]byte, error) {
	edits, root := slices.Clone(f.edits), f.root
	if len(f.added) > 0 {
		at, with, err := f.appendix()
		if err != nil {
			return nil, err
		}
		edits, root = append(edits, at), with
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out bytes.Buffer
	done := 0
	for _, e := range edits {
		if e.from < done {
			return nil, errors.New("two changes of one place")
		}
		out.Write(f.src[done:e.from])
		out.WriteString(e.text)
		done = e.to
	}
	out.Write(f.src[done:])

	var doc yaml.Node
	if err := yaml.Unmarshal(out.Bytes(), &doc); err != nil || len(doc.Content) != 1 || !same(doc.Content[0], root) {
		return nil, errors.New("the file is written in a way that can't be changed here; edit it by hand")
	}
	return out.Bytes(), nil
}

// same reports whether two trees say the same.
func same(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.Value == b.Value && a.Anchor == b.Anchor &&
		slices.EqualFunc(a.Content, b.Content, same)
}

// member finds a key of a mapping and what it says.
func member(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// offset is where a place of the tree is in the text; -1: nowhere. The parser
// counts columns in code points.
func (f *File) offset(line, column int) int {
	if line < 1 || line > len(f.starts) {
		return -1
	}
	at := f.starts[line-1]
	for range column - 1 {
		if at >= len(f.src) || f.src[at] == '\n' {
			return -1
		}
		at++
		for at < len(f.src) && f.src[at]&0xC0 == 0x80 { // inside a code point
			at++
		}
	}
	return at
}

// token is the stretch of a scalar that stands on one line; not ok if it is
// written in any other way.
func (f *File) token(n *yaml.Node) (from, to int, ok bool) {
	from = f.offset(n.Line, n.Column)
	if from < 0 || n.Kind != yaml.ScalarNode || n.Anchor != "" {
		return 0, 0, false
	}
	rest := f.src[from:]
	switch n.Style {
	case 0:
		ok = n.Value != "" && bytes.HasPrefix(rest, []byte(n.Value))
		return from, from + len(n.Value), ok
	case yaml.DoubleQuotedStyle:
		to = quoted(rest, doubleQuoted)
	case yaml.SingleQuotedStyle:
		to = quoted(rest, singleQuoted)
	default: // tags and blocks
	}
	return from, from + to, to > 0
}

var (
	doubleQuoted = regexp.MustCompile(`^"(?:[^"\\\r\n]|\\[^\r\n])*"`)
	singleQuoted = regexp.MustCompile(`^'(?:[^'\r\n]|'')*'`)
)

func quoted(rest []byte, form *regexp.Regexp) int { return len(form.Find(rest)) }

// lineEnd is where the line of an offset ends, before its line break.
func (f *File) lineEnd(at int) int {
	if i := bytes.IndexByte(f.src[at:], '\n'); i >= 0 {
		at += i
	} else {
		at = len(f.src)
	}
	if at > 0 && f.src[at-1] == '\r' {
		at--
	}
	return at
}

// line is the text of a line, counted from 1, without its line break.
func (f *File) line(n int) string {
	return string(f.src[f.starts[n-1]:f.lineEnd(f.starts[n-1])])
}

func (f *File) replace(from, to int, text string) {
	f.edits = append(f.edits, edit{from: from, to: to, text: text})
}

// Field is a key of an account and its value.
type Field struct{ Key, Value string }

// Append adds an account after the others, with a comment above it.
func (f *File) Append(note string, fields []Field) {
	item := &yaml.Node{Kind: yaml.MappingNode}
	lines := []string{comment(note)}
	for i, field := range fields {
		dash := "  "
		if i == 0 {
			dash = "- "
		}
		lines = append(lines, dash+field.Key+": "+scalar(field.Value))
		item.Content = append(item.Content, node(field.Key), node(field.Value))
	}
	f.added = append(f.added, lines)
	f.addedNodes = append(f.addedNodes, item)
}

// appendix is the edit that adds the accounts, and the tree with them.
func (f *File) appendix() (edit, *yaml.Node, error) {
	root := *f.root
	root.Content = slices.Clone(f.root.Content)
	list := &yaml.Node{Kind: yaml.SequenceNode}
	place := func(at edit, indent string) (edit, *yaml.Node, error) {
		var items []string
		for _, lines := range f.added {
			items = append(items, indent+strings.Join(lines, f.newline+indent))
		}
		at.text += strings.Join(items, f.newline+f.newline)
		return at, &root, nil
	}
	key, value := member(f.root, "accounts")
	if key == nil {
		list.Content = f.addedNodes
		root.Content = append(root.Content, node("accounts"), list)
		at := edit{from: len(f.src), to: len(f.src), text: f.newline + "accounts:" + f.newline}
		if f.src[len(f.src)-1] != '\n' {
			at.text = f.newline + at.text
		}
		at, _, _ = place(at, "  ")
		at.text += f.newline
		return at, &root, nil
	}
	list.Content = append(slices.Clone(value.Content), f.addedNodes...)
	root.Content[slices.Index(root.Content, value)] = list
	switch {
	case value.Kind == yaml.ScalarNode: // nothing after the key
		end := f.lineEnd(f.starts[key.Line-1])
		return place(edit{from: end, to: end, text: f.newline}, "  ")
	case value.Style&yaml.FlowStyle != 0:
		from := f.offset(value.Line, value.Column)
		none := -1
		if from >= 0 {
			none = quoted(f.src[from:], emptyList)
		}
		if none <= 0 {
			return edit{}, nil, errors.New("accounts: is a list in brackets; write it with a line for each account first")
		}
		return place(edit{from: from, to: from + none, text: f.newline}, "  ")
	default:
		end := f.lineEnd(f.starts[f.lastLine(key, value)-1])
		return place(edit{from: end, to: end, text: f.newline + f.newline}, strings.Repeat(" ", value.Column-1))
	}
}

var emptyList = regexp.MustCompile(`^\[\s*\]`)

// lastLine is the last line of the accounts: the last that isn't empty or a
// comment before the next key, and the comments of keys directly below it.
func (f *File) lastLine(key, list *yaml.Node) int {
	last := len(f.starts)
	if i := slices.Index(f.root.Content, key); i+2 < len(f.root.Content) {
		last = f.root.Content[i+2].Line - 1
	}
	n := last
	for ; n > list.Line; n-- {
		text := strings.TrimSpace(f.line(n))
		if text != "" && text[0] != '#' && text != "..." {
			break
		}
	}
	for ; n < last; n++ {
		text := f.line(n + 1)
		rest := strings.TrimLeft(text, " ")
		if !strings.HasPrefix(rest, "#") || len(text)-len(rest) < list.Column {
			break
		}
	}
	return n
}

// comment is a text as a comment of one line.
func comment(text string) string { return "# " + oneLine(text) }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func node(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

// bare is what needs no quotes and is read as it is written.
var bare = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// scalar writes a value so that it is read as it is.
func scalar(value string) string {
	if bare.MatchString(value) && !strings.EqualFold(value, "null") {
		return value
	}
	text, _ := json.Marshal(value) // a JSON text is one of YAML
	return string(text)
}
