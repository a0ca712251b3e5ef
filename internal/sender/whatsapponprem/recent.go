package whatsapponprem

import "sync"

// recent is a map that forgets its oldest keys. It is safe for concurrent use.
type recent[K comparable, V any] struct {
	max int

	mu     sync.Mutex
	values map[K]V
	order  []K // a ring, once it is full
	oldest int
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{max: limit, values: map[K]V{}}
}

// get is the key's value, or the zero value.
func (r *recent[K, V]) get(key K) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[key]
}

// update changes the key's value, which is the zero value if there was none.
func (r *recent[K, V]) update(key K, change func(*V)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, known := r.values[key]
	change(&v)
	switch {
	case known:
	case len(r.order) < r.max:
		r.order = append(r.order, key)
	default:
		delete(r.values, r.order[r.oldest])
		r.order[r.oldest] = key
		r.oldest = (r.oldest + 1) % r.max
	}
	r.values[key] = v
}
