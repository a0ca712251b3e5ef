package configedit

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Account is an entry of the file.
type Account struct {
	file *File
	node *yaml.Node
	at   string
}

// Get is what the file says under a key, references not resolved; empty if it
// says nothing, or no single value.
func (a *Account) Get(key string) string {
	_, value := member(a.node, key)
	if value == nil || value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
		return ""
	}
	return value.Value
}

// Set changes what the file says under a key, or adds the key. An error means
// that the place is written in a way that can't be changed here.
func (a *Account) Set(key, value string) error {
	f := a.file
	name, old := member(a.node, key)
	if name == nil {
		return a.add(key, value)
	}
	if old.Kind == yaml.ScalarNode && old.Value == "" && old.Style == 0 && old.Anchor == "" { // nothing after the colon
		_, end, ok := f.token(name)
		if !ok || end >= len(f.src) || f.src[end] != ':' {
			return a.foreign(key)
		}
		f.replace(end+1, end+1, " "+scalar(value))
	} else {
		from, to, ok := f.token(old)
		if !ok {
			return a.foreign(key)
		}
		f.replace(from, to, scalar(value))
	}
	*old = *node(value)
	return nil
}

func (a *Account) foreign(key string) error {
	return fmt.Errorf("%s.%s: is written in a way that can't be changed here; edit it by hand", a.at, key)
}

// add puts a key behind the last one that takes no more than its line.
func (a *Account) add(key, value string) error {
	f := a.file
	for i := len(a.node.Content) - 2; i >= 0; i -= 2 {
		name := a.node.Content[i]
		_, end, ok := f.token(a.node.Content[i+1])
		if !ok {
			continue
		}
		if a.node.Style&yaml.FlowStyle != 0 {
			f.replace(end, end, ", "+key+": "+scalar(value))
		} else {
			end = f.lineEnd(end)
			f.replace(end, end, f.newline+strings.Repeat(" ", name.Column-1)+key+": "+scalar(value))
		}
		next := i + 2
		for next < len(a.node.Content) && a.node.Content[next].Line == 0 { // added before
			next += 2
		}
		a.node.Content = slices.Insert(a.node.Content, next, node(key), node(value))
		return nil
	}
	return a.foreign(key)
}

// Note is the comment directly above the account that begins with the mark,
// without the mark.
func (a *Account) Note(mark string) string {
	if n := a.noteLine(mark); n > 0 {
		return strings.TrimPrefix(strings.TrimSpace(a.file.line(n)), comment(mark))
	}
	return ""
}

// SetNote writes the comment that begins with the mark, in the place of the
// one before, or else directly above the account.
func (a *Account) SetNote(mark, text string) error {
	f := a.file
	text = comment(mark + text)
	if n := a.noteLine(mark); n > 0 {
		from := f.starts[n-1] + strings.Index(f.line(n), "#")
		f.replace(from, f.lineEnd(from), text)
		return nil
	}
	dash := a.dashLine()
	if dash == 0 {
		return fmt.Errorf("%s: has no line of its own for a comment", a.at)
	}
	line := f.line(dash)
	indent := line[:strings.Index(line, "-")]
	f.replace(f.starts[dash-1], f.starts[dash-1], indent+text+f.newline)
	return nil
}

// noteLine is where the comment with the mark is; 0: nowhere.
func (a *Account) noteLine(mark string) int {
	dash := a.dashLine()
	for n := dash - 1; n > 0; n-- {
		text := strings.TrimSpace(a.file.line(n))
		switch {
		case !strings.HasPrefix(text, "#"):
			return 0
		case strings.HasPrefix(text, comment(mark)):
			return n
		}
	}
	return 0
}

// dashLine is the line that the account begins on; 0: it shares it with
// something else.
func (a *Account) dashLine() int {
	at := a.file.offset(a.node.Line, a.node.Column)
	if at < 0 {
		return 0
	}
	before := string(a.file.src[a.file.starts[a.node.Line-1]:at])
	if strings.TrimSpace(before) != "-" {
		return 0
	}
	return a.node.Line
}
