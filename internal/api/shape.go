package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// shapeKind is what the JSON of a value must look like.
type shapeKind int

const (
	shapeText   shapeKind = iota + 1
	shapeFlag             // true or false
	shapeWhole            // a whole number
	shapeObject           // members by name
	shapeList             // elements of one shape
	shapeTable            // text by any name
	shapeRaw              // anything, kept in canonical form
	shapeCustom           // reads itself
)

// shape is what a Go type expects of JSON, worked out once from its json tags.
type shape struct {
	kind    shapeKind
	problem string         // of a value of another kind
	members map[string]int // shapeObject: into fields
	fields  []shapeField
	element *shape // shapeList
}

type shapeField struct {
	index []int // for reflect.Value.FieldByIndex
	shape *shape
}

// shapeOf works out the shape of a type that doesn't contain itself. Members
// of embedded structs count as the struct's own, as in encoding/json; names
// match exactly, unlike there. A type it doesn't know is a defect, found when
// the server is built.
func shapeOf(t reflect.Type) (*shape, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return &shape{kind: shapeRaw}, nil
	case t == reflect.TypeFor[map[string]string]():
		return &shape{kind: shapeTable, problem: "must be an object"}, nil
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
		return &shape{kind: shapeCustom}, nil
	}
	switch t.Kind() { //nolint:exhaustive // the rest has no shape, see below
	case reflect.String:
		return &shape{kind: shapeText, problem: "must be a string"}, nil
	case reflect.Bool:
		return &shape{kind: shapeFlag, problem: "must be true or false"}, nil
	case reflect.Int, reflect.Int64:
		return &shape{kind: shapeWhole, problem: "must be a whole number"}, nil
	case reflect.Slice:
		element, err := shapeOf(t.Elem())
		return &shape{kind: shapeList, problem: "must be an array", element: element}, err
	case reflect.Struct:
		s := &shape{kind: shapeObject, problem: "must be an object", members: map[string]int{}}
		if err := s.addFields(t, nil); err != nil {
			return nil, err
		}
		if len(s.fields) > 64 {
			return nil, fmt.Errorf("%s has more than 64 members", t) // walk.object counts in bits
		}
		return s, nil
	}
	return nil, fmt.Errorf("no JSON shape for %s", t)
}

func (s *shape) addFields(t reflect.Type, at []int) error {
	for f := range t.Fields() {
		index := append(slices.Clip(at), f.Index...)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			if err := s.addFields(f.Type, index); err != nil {
				return err
			}
			continue
		case !f.IsExported() || name == "-" || name == "":
			continue
		}
		field, err := shapeOf(f.Type)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.members[name] = len(s.fields)
		s.fields = append(s.fields, shapeField{index: index, shape: field})
	}
	return nil
}
