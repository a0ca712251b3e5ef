package simulator

import (
	"sync"
	"time"
)

// memory is what became of messages, for those who ask instead of listening:
// two generations, of which the older is forgotten when the newer is full.
type memory struct {
	mu             sync.Mutex
	recent, before map[string]remembered
}

// remembered is a message that can be asked for.
type remembered struct {
	receipt
	accepted time.Time
	steps    []step
}

// rememberedMessages is how many messages a generation holds.
const rememberedMessages = 20_000

func newMemory() memory { return memory{recent: make(map[string]remembered)} }

func (m *memory) remember(a *account, r receipt, accepted time.Time, steps []step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recent) >= rememberedMessages {
		m.recent, m.before = make(map[string]remembered, rememberedMessages), m.recent
	}
	m.recent[a.ID+"/"+r.id] = remembered{receipt: r, accepted: accepted, steps: steps}
}

func (m *memory) find(a *account, id string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.recent[a.ID+"/"+id]
	if !ok {
		found, ok = m.before[a.ID+"/"+id]
	}
	return found, ok
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent, m.before = make(map[string]remembered), nil
}
