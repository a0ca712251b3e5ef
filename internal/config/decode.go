package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills structs from a YAML tree. It is written here, and not left to
// the YAML library, because that one names lines but no keys, quotes values
// (which may be secrets) in its errors, and stops being strict on nodes.
type decoder struct {
	expand   func(string) (string, error)
	problems Problems
	places   map[string]string // where each key was set
}

func (d *decoder) fail(key string, n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, Problem{Key: key, Place: lineOf(n), Message: fmt.Sprintf(format, args...)})
}

// decode fills v, whose type decides what n must be. A null leaves it as it
// is. The depth is that of the type, so a tree of aliases that holds itself
// does no harm.
func (d *decoder) decode(key string, n *yaml.Node, v reflect.Value) {
	d.places[key] = lineOf(n)
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!!null" {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(key, n, v)
	case reflect.Slice:
		d.decodeSlice(key, n, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(key, n, v.Elem())
	default:
		d.decodeScalar(key, n, v)
	}
}

func (d *decoder) decodeStruct(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fail(key, n, "must be a mapping")
		return
	}
	known := fields(v)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		path := join(key, name.Value)
		field, ok := known[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode:
			d.fail(key, name, "holds a key that is no text")
		case !ok:
			d.fail(path, name, "unknown key")
		case seen[name.Value]:
			d.fail(path, name, "is given twice")
		default:
			d.decode(path, n.Content[i+1], field)
		}
		seen[name.Value] = true
	}
}

func (d *decoder) decodeSlice(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(key, n, "must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(fmt.Sprintf("%s[%d]", key, i), item, v.Index(i))
	}
}

func (d *decoder) decodeScalar(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(key, n, "must be a single value")
		return
	}
	// The text as it is written, whatever YAML takes it for: an id of digits
	// needs no quotes, and a reference may stand for a number.
	text, err := d.expand(n.Value)
	if err != nil {
		d.fail(key, n, "%v", err)
		return
	}
	if problem := setScalar(v, text); problem != "" {
		d.fail(key, n, "%s", problem)
	}
}

// setScalar reads text as v's type; it returns what is wrong with it.
func setScalar(v reflect.Value, text string) (problem string) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := parseDuration(text)
		if err != nil {
			return "must be a duration such as 20s, 24h or 7d"
		}
		v.SetInt(int64(d))
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return "must be a whole number"
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "must be a number"
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return "must be true or false"
		}
		v.SetBool(b)
	default:
		panic("config: a field of type " + v.Type().String() + " can't be read")
	}
	return ""
}

// parseDuration reads Go's durations, and whole or broken days: "7d".
func parseDuration(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil {
		return 0, err
	}
	// Hours of days, so that ParseDuration refuses what overflows.
	return time.ParseDuration(strconv.FormatFloat(n*24, 'f', -1, 64) + "h")
}

func reflectValue(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() }

// fields are the fields of a struct by their YAML names.
func fields(v reflect.Value) map[string]reflect.Value {
	m := map[string]reflect.Value{}
	for f, fv := range v.Fields() {
		if name := f.Tag.Get("yaml"); name != "" {
			m[name] = fv
		}
	}
	return m
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
