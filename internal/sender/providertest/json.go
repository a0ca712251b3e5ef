package providertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readBody(t *testing.T, req *http.Request) []byte {
	t.Helper()
	if req.Body == nil {
		return nil
	}
	defer req.Body.Close()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatalf("read the request's body: %v", err)
	}
	return body
}

// decode reads one JSON value whose numbers keep their text.
func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	return v, nil
}

// diffJSON compares by value. A member too many, null or not, is a difference.
func diffJSON(t *testing.T, want string, got []byte) {
	t.Helper()
	if want == "" {
		if len(got) > 0 {
			t.Errorf("body %s, want none", got)
		}
		return
	}
	w, err := decode([]byte(want))
	if err != nil {
		t.Fatalf("the case's body is no JSON: %v", err)
	}
	g, err := decode(got)
	if err != nil {
		t.Fatalf("the request's body is no JSON: %v\n%s", err, got)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// leaves calls f for every string in v, by its path, the members in order.
func leaves(path string, v any, f func(path, s string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, e := range v {
			leaves(path+"["+strconv.Itoa(i)+"]", e, f)
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			leaves(join(path, name), v[name], f)
		}
	}
}

// replaceValue is v with the value at path replaced.
func replaceValue(path string, v any, at string, with any) any {
	if path == at {
		return with
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = replaceValue(path+"["+strconv.Itoa(i)+"]", e, at, with)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			out[name] = replaceValue(join(path, name), e, at, with)
		}
		return out
	}
	return v
}

// places lists the paths of v and of all that is in it.
func places(path string, v any) []string {
	out := []string{path}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			out = append(out, places(path+"["+strconv.Itoa(i)+"]", e)...)
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			out = append(out, places(join(path, name), v[name])...)
		}
	}
	return out
}

// nulls lists the paths of every null in v.
func nulls(path string, v any) []string {
	var out []string
	switch v := v.(type) {
	case nil:
		out = append(out, path)
	case []any:
		for i, e := range v {
			out = append(out, nulls(path+"["+strconv.Itoa(i)+"]", e)...)
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			out = append(out, nulls(join(path, name), v[name])...)
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
