package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the variables that stand over the file.
const envPrefix = "SLUICE_"

// EnvNames lists the variables that stand over keys of the file, sorted: the
// path of each single value in upper case, joined by '_', after "SLUICE_".
// Lists can't be set so. Load ignores other variables, and empty ones.
func EnvNames() []string {
	return slices.Sorted(maps.Keys(scalars(defaults())))
}

// scalars are the single values of c by their variables' names.
func scalars(c *Config) map[string]scalar {
	found := map[string]scalar{}
	var walk func(key string, v reflect.Value)
	walk = func(key string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Slice:
		case reflect.Struct:
			for name, field := range fields(v) {
				walk(join(key, name), field)
			}
		default:
			name := envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
			found[name] = scalar{key: key, value: v}
		}
	}
	walk("", reflectValue(c))
	return found
}

type scalar struct {
	key   string
	value reflect.Value
}

// overlay sets what the variables say over what the file said.
func (d *decoder) overlay(c *Config, vars map[string]string) {
	known := scalars(c)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		text, s := vars[name], known[name]
		if text == "" {
			continue
		}
		d.places[s.key] = name
		d.problems = d.problems.without(Problems{{Key: s.key}})
		if problem := setScalar(s.value, text); problem != "" {
			d.problems.add(s.key, "%s", problem)
		}
	}
}

func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME} by the variable and ${file:path} by the content of a
// file without the line's end after it; $$ is a dollar sign, and so is one
// that nothing of these follows. A reference to nothing, or to something
// empty, is an error: an empty secret is a mistake that must not pass. Errors
// hold names, never values.
func expand(text string, vars map[string]string, dir string) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "{"):
			name, rest, closed := strings.Cut(after[1:], "}")
			if !closed {
				return "", errors.New("has ${ without }; write $$ for a dollar sign")
			}
			value, err := resolve(name, vars, dir)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			text = rest
		default:
			out.WriteByte('$')
			text = after
		}
	}
}

func resolve(name string, vars map[string]string, dir string) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return readReferenced(path, dir)
	}
	if !variableName.MatchString(name) {
		return "", errors.New("holds a reference that is neither ${NAME} nor ${file:path}; write $$ for a dollar sign")
	}
	value := vars[name]
	if value == "" {
		return "", fmt.Errorf("the variable %s is not set, or empty", name)
	}
	return value, nil
}

func readReferenced(path, dir string) (string, error) {
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, full)
	}
	data, err := os.ReadFile(full) //nolint:gosec // whoever writes the configuration says which files it reads
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // without the path, which is said below
	}
	if err != nil {
		return "", fmt.Errorf("the file %s can't be read: %w", path, err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return value, nil
}
