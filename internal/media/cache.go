package media

import (
	"container/list"
	"time"
)

// cache remembers what was found, at most size findings; the oldest goes first.
// Its owner's lock guards it.
type cache struct {
	size    int
	entries map[key]*list.Element // of *entry
	oldest  list.List
}

type entry struct {
	key     key
	found   finding
	expires time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[key]*list.Element)}
}

// get is nil if nothing is known. What is no longer fresh stays while there is
// a way to find out whether it is still true, or an upload to save.
func (c *cache) get(k key, now time.Time) (found *finding, fresh bool) {
	el, ok := c.entries[k]
	if !ok {
		return nil, false
	}
	e := el.Value.(*entry)
	fresh = now.Before(e.expires)
	if !fresh && !e.found.confirmable() && !now.Before(e.found.upload.until) {
		c.remove(el)
		return nil, false
	}
	last := e.found
	return &last, fresh
}

func (c *cache) put(k key, found finding, expires time.Time) {
	if el, ok := c.entries[k]; ok {
		c.remove(el)
	}
	for len(c.entries) >= c.size {
		c.remove(c.oldest.Front())
	}
	c.entries[k] = c.oldest.PushBack(&entry{key: k, found: found, expires: expires})
}

// forget drops the upload that gave the id.
func (c *cache) forget(k key, id string) {
	if el, ok := c.entries[k]; ok {
		el.Value.(*entry).found.forget(id)
	}
}

func (c *cache) remove(el *list.Element) {
	delete(c.entries, el.Value.(*entry).key)
	c.oldest.Remove(el)
}
