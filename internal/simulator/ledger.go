package simulator

import (
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

// Outcome is what the sender of an accepted message was told.
type Outcome string

// The outcomes in the ledger.
const (
	OutcomeAnswered Outcome = "answered" // accepted, and told so
	OutcomeDropped  Outcome = "dropped"  // accepted, connection closed without an answer
	OutcomeGarbled  Outcome = "garbled"  // accepted, answered with something that is no JSON or has no id
	OutcomeFailed   Outcome = "failed"   // Sinch v1: the answer's element said failure
)

// Entry is one accepted message.
type Entry struct {
	Sequence    uint64    `json:"sequence"`    // from 1, without gaps
	ReceivedAt  time.Time `json:"received_at"` // when its request had been read completely
	ReceivedNS  int64     `json:"received_ns"` // the same in Unix nanoseconds
	Account     string    `json:"account"`
	Recipient   string    `json:"recipient"` // digits
	Type        string    `json:"type"`
	Correlation string    `json:"correlation"` // Cloud: biz_opaque_callback_data; Sinch v1: the request's callback URL; Conversation: message_metadata
	MessageID   string    `json:"message_id"`
	RequestHash string    `json:"request_hash"` // hex SHA-256 of the request's body
	Outcome     Outcome   `json:"outcome"`
}

// chunkSize is how many messages are forgotten at one time.
const chunkSize = 4096

// ledger remembers accepted messages in the order of acceptance. It holds no
// pointers for each message: millions of them cost the garbage collector
// nothing.
type ledger struct {
	keep int

	mu     sync.Mutex
	chunks []*chunk
	next   uint64   // sequence of the next message
	names  []string // types and outcomes, few
}

type chunk struct {
	first   uint64 // sequence of its first record
	records []record
	text    []byte // recipient, id and correlation of each, one behind another
}

type record struct {
	at                         int64
	hash                       [32]byte
	offset                     uint32
	account                    uint32
	recipient, id, correlation uint16 // lengths
	kind, outcome              uint8  // places in names
}

// written is a message about to be entered.
type written struct {
	at          time.Time
	account     *account
	hash        [32]byte
	recipient   string
	kind        string
	correlation string
	id          string
	outcome     Outcome
}

func newLedger(keep int) *ledger { return &ledger{keep: keep, next: 1} }

func (l *ledger) add(w *written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.chunks); n == 0 || len(l.chunks[n-1].records) == chunkSize {
		l.grow()
	}
	c := l.chunks[len(l.chunks)-1]
	correlation := w.correlation[:min(len(w.correlation), 1<<16-1)]
	c.records = append(c.records, record{
		at: w.at.UnixNano(), hash: w.hash, offset: uint32(len(c.text)), account: uint32(w.account.index), //nolint:gosec // small
		recipient: uint16(len(w.recipient)), id: uint16(len(w.id)), correlation: uint16(len(correlation)), //nolint:gosec // short
		kind: l.name(w.kind), outcome: l.name(string(w.outcome)),
	})
	c.text = append(append(append(c.text, w.recipient...), w.id...), correlation...)
	l.next++
}

func (l *ledger) grow() {
	c := &chunk{first: l.next, records: make([]record, 0, chunkSize)}
	if n := len(l.chunks); n > 0 {
		c.text = make([]byte, 0, len(l.chunks[n-1].text)+1024)
	}
	l.chunks = append(l.chunks, c)
	for (len(l.chunks)-2)*chunkSize >= l.keep {
		l.chunks = slices.Delete(l.chunks, 0, 1)
	}
}

func (l *ledger) name(s string) uint8 {
	i := slices.Index(l.names, s)
	if i < 0 {
		i = len(l.names)
		l.names = append(l.names, s)
	}
	return uint8(i) //nolint:gosec // types and outcomes are a closed set
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks, l.next = nil, 1
}

// bounds is the first and the last sequence that is remembered, zeros if none
// is.
func (l *ledger) bounds() (first, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.chunks) == 0 {
		return 0, 0
	}
	return l.chunks[0].first, l.next - 1
}

// before is a sequence that no message of the time or later has, and every one
// of an earlier chunk is below.
func (l *ledger) before(t time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var since uint64
	for _, c := range l.chunks {
		n := len(c.records)
		if n == 0 || c.records[n-1].at >= t.UnixNano() {
			break
		}
		since = c.first + uint64(n) - 1
	}
	return since
}

// each shows the messages after the sequence, the oldest first, until show
// returns false. Messages that arrive meanwhile may or may not be shown.
func (l *ledger) each(since uint64, accounts []*account, show func(Entry) bool) {
	for {
		c, names := l.after(since)
		if c == nil {
			return
		}
		for i := range c.records {
			seq := c.first + uint64(i)
			if seq <= since {
				continue
			}
			if !show(c.entry(i, accounts, names)) {
				return
			}
		}
		since = c.first + uint64(len(c.records)) - 1
	}
}

// after is a view of the chunk that holds the first message after the
// sequence. What it shows is never written again.
func (l *ledger) after(since uint64) (view *chunk, names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.chunks {
		if c.first+uint64(len(c.records)) > since+1 {
			return &chunk{first: c.first, records: c.records, text: c.text}, l.names
		}
	}
	return nil, nil
}

func (c *chunk) entry(i int, accounts []*account, names []string) Entry {
	r := &c.records[i]
	text := c.text[r.offset:]
	cut := func(n uint16) string {
		s := string(text[:n])
		text = text[n:]
		return s
	}
	return Entry{
		Sequence:   c.first + uint64(i), //nolint:gosec // an index
		ReceivedAt: time.Unix(0, r.at).UTC(), ReceivedNS: r.at, Account: accounts[r.account].ID,
		Recipient: cut(r.recipient), MessageID: cut(r.id), Correlation: cut(r.correlation),
		Type: names[r.kind], RequestHash: hex.EncodeToString(r.hash[:]), Outcome: Outcome(names[r.outcome]),
	}
}
