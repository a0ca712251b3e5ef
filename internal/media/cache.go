package media

import (
	"container/list"
	"time"
)

// cache remembers what was found for a while, at most size findings; the
// oldest goes first. Its owner's lock guards it.
type cache struct {
	size    int
	entries map[key]*list.Element // of *entry
	oldest  list.List
}

type entry struct {
	key     key
	found   facts
	expires time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[key]*list.Element)}
}

func (c *cache) get(k key, now time.Time) (facts, bool) {
	el, ok := c.entries[k]
	if !ok {
		return facts{}, false
	}
	e := el.Value.(*entry)
	if !now.Before(e.expires) {
		c.remove(el)
		return facts{}, false
	}
	return e.found, true
}

func (c *cache) put(k key, found facts, expires time.Time) {
	if el, ok := c.entries[k]; ok {
		c.remove(el)
	}
	for len(c.entries) >= c.size {
		c.remove(c.oldest.Front())
	}
	c.entries[k] = c.oldest.PushBack(&entry{key: k, found: found, expires: expires})
}

func (c *cache) remove(el *list.Element) {
	delete(c.entries, el.Value.(*entry).key)
	c.oldest.Remove(el)
}
