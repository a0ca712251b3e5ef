package provisioning

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// list goes through all pages, one request for each, made when it is needed.
// An error is the last thing it yields.
func list[T any](ctx context.Context, c *Client, path, items string, query url.Values, pageSize int) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		if pageSize > 0 {
			query.Set("pageSize", strconv.Itoa(pageSize))
		}
		seen := map[string]bool{}
		for {
			var page map[string]json.RawMessage
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, answer: &page}); err != nil {
				yield(nil, err)
				return
			}
			found, err := itemsOf[T](page, items)
			if err != nil {
				yield(nil, fmt.Errorf("GET %s: %w", path, err))
				return
			}
			for _, item := range found {
				if !yield(item, nil) {
					return
				}
			}
			var next string
			_ = lenient(page["nextPageToken"], &next) // absent or null: the last page
			if next == "" {
				return
			}
			if seen[next] {
				yield(nil, fmt.Errorf("GET %s: the pages go in a circle", path))
				return
			}
			seen[next] = true
			query.Set("pageToken", next)
		}
	}
}

// itemsOf reads the page's list; under whichever name, if it is the only one.
func itemsOf[T any](page map[string]json.RawMessage, name string) ([]*T, error) {
	raw, ok := page[name]
	if !ok {
		for _, other := range slices.Sorted(maps.Keys(page)) {
			if value := page[other]; len(value) > 0 && value[0] == '[' {
				if raw != nil {
					return nil, fmt.Errorf("the page has no %s", name)
				}
				raw = value
			}
		}
	}
	if raw == nil {
		return nil, nil
	}
	var found []*T
	if err := json.Unmarshal(raw, &found); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if slices.Contains(found, nil) {
		return nil, errors.New("the page holds a null")
	}
	return found, nil
}
