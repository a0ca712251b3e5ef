package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	Key     string // path such as "accounts[2].rate"; empty: the file itself
	Message string // a phrase that continues the key: "must be …"; holds no value
	Place   string // "line 14", of the key or of what it is missing from, or the variable that set it; may be empty
}

func (p Problem) Error() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Place != "" {
		s += " (" + p.Place + ")"
	}
	return s
}

// Problems is everything wrong with a configuration, one on a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps *Problems) add(key, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Message: fmt.Sprintf(format, args...)})
}

// without drops what only follows from others: a key that couldn't be read
// needn't also be called missing.
func (ps Problems) without(others Problems) Problems {
	return slices.DeleteFunc(ps, func(p Problem) bool {
		return slices.ContainsFunc(others, func(o Problem) bool { return o.Key == p.Key })
	})
}

// placed says where each key, or else what holds it, was set.
func (ps Problems) placed(places map[string]string) Problems {
	for i := range ps {
		for key := ps[i].Key; ps[i].Place == "" && key != ""; key = parent(key) {
			ps[i].Place = places[key]
		}
	}
	return ps
}

// parent is the key without its last step, which is ".rate" or "[2]".
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

func lineOf(n *yaml.Node) string { return fmt.Sprintf("line %d", n.Line) }
