package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// AccountID names an account of the configuration: 1 to 64 characters of
// a-z, 0-9, '-', '_' and '.', beginning with a letter or digit.
type AccountID string

// MessageID is ours. It begins with the account's Tag, so that a record can be
// found from the id alone, and sorts by the time it was made within an account.
type MessageID string

// ProviderMessageID is what the provider calls the message. It is opaque.
type ProviderMessageID string

// maxProviderMessageID is several times the length of any provider's ids, in
// bytes.
const maxProviderMessageID = 512

// ParseProviderMessageID takes what stands where a provider writes an id. What
// is too long to be one is none, and empty: ids are kept in records, and come
// from outside.
func ParseProviderMessageID(s string) ProviderMessageID {
	if len(s) > maxProviderMessageID {
		return ""
	}
	return ProviderMessageID(s)
}

// BatchID is ours and begins with the account's Tag. The ids of its messages
// follow from it: they differ in their last letters, which name the line.
type BatchID string

// idAlphabet is Crockford's base 32 in lower case: it sorts as its bits do and
// has no letters that are mistaken for digits.
const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var idEncoding = base32.NewEncoding(idAlphabet).WithPadding(base32.NoPadding)

const (
	tagLength = 8  // 40 bits
	idLength  = 32 // the tag, then 64 bits of nanoseconds and 56 of chance in 24 characters
	lineStart = tagLength + BatchName
)

// BatchName is how many characters of its local id a batch has in common with
// its messages; the others are the line.
const BatchName = 17

// MaxLine is the highest line that a batch's message can have.
const MaxLine = 1<<35 - 1

// Valid reports whether the id has the form the configuration allows.
func (id AccountID) Valid() bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		case (r == '-' || r == '_' || r == '.') && i > 0:
		default:
			return false
		}
	}
	return true
}

// Tag is the account's opaque mark in ids and in Redis keys: eight characters,
// the same for the same id for ever. Two accounts with one tag can't live in
// one configuration; the configuration is refused then.
func (id AccountID) Tag() string {
	sum := sha256.Sum256([]byte(id))
	return idEncoding.EncodeToString(sum[:5])
}

// PortfolioTag marks the keys that the accounts of a portfolio share. No account
// has such a tag: it is longer.
func PortfolioTag(provider ProviderName, portfolio string) string {
	sum := sha256.Sum256([]byte(string(provider) + "\n" + portfolio))
	return "p" + idEncoding.EncodeToString(sum[:5])
}

// NewMessageID makes an id for a message of the account accepted at the given
// time.
func NewMessageID(account AccountID, at time.Time) MessageID {
	return MessageID(newID(account, at))
}

// NewBatchID makes an id for a batch of the account begun at the given time.
func NewBatchID(account AccountID, at time.Time) BatchID {
	return BatchID(newID(account, at)).line(0)
}

// BatchNamed is the account's batch whose messages' local ids begin with name,
// which has BatchName characters.
func BatchNamed(account AccountID, name string) BatchID {
	return BatchID(account.Tag() + name + strings.Repeat(idAlphabet[:1], idLength-lineStart))
}

// Line is the id of a message of the batch, by its line from 1 to MaxLine.
func (id BatchID) Line(n int) MessageID { return MessageID(id.line(n)) }

func (id BatchID) line(n int) BatchID {
	b := []byte(id[:lineStart])
	for shift := 30; shift >= 0; shift -= 5 {
		b = append(b, idAlphabet[n>>shift&31])
	}
	return BatchID(b)
}

// BatchID is the id of the batch that the message belongs to, if it belongs to
// one: nothing in its id says whether it does.
func (id MessageID) BatchID() BatchID {
	if !id.Valid() {
		return ""
	}
	return BatchID(id).line(0)
}

// Line is the message's line, if it belongs to a batch.
func (id MessageID) Line() int {
	n := 0
	for i := lineStart; i < len(id); i++ {
		n = n<<5 | strings.IndexByte(idAlphabet, id[i])
	}
	return n
}

// Local is the id without its tag, by which one account's are told apart.
func (id MessageID) Local() string { return string(id[min(len(id), tagLength):]) }

// Local is the id without its tag, by which one account's are told apart.
func (id BatchID) Local() string { return string(id[min(len(id), tagLength):]) }

// FirstMessageID is the lowest id that a message of the account accepted at
// the given time can have. Before 1970, and at the zero time, that is the
// lowest of all.
func FirstMessageID(account AccountID, at time.Time) MessageID {
	b := stamp(at)
	return MessageID(account.Tag() + idEncoding.EncodeToString(b[:]))
}

func newID(account AccountID, at time.Time) string {
	b := stamp(at)
	_, _ = rand.Read(b[8:]) // never fails, see crypto/rand
	return account.Tag() + idEncoding.EncodeToString(b[:])
}

// The times that nanoseconds since 1970 can tell; those beyond count as the
// nearer one.
var (
	firstStamp = time.Unix(0, 0)
	lastStamp  = time.Unix(0, math.MaxInt64) // in 2262
)

// stamp is the time in nanoseconds, fine enough that ids made one after the
// other sort so, and seven bytes to be filled by chance.
func stamp(at time.Time) [15]byte {
	switch {
	case at.Before(firstStamp):
		at = firstStamp
	case at.After(lastStamp):
		at = lastStamp
	}
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixNano()))
	return b
}

// Tag is the mark of the account that the message belongs to.
func (id MessageID) Tag() string { return tagOf(string(id)) }

// Valid reports whether the id could be one of ours.
func (id MessageID) Valid() bool { return validID(string(id)) }

// Tag is the mark of the account that the batch belongs to.
func (id BatchID) Tag() string { return tagOf(string(id)) }

// Valid reports whether the id could be one of ours.
func (id BatchID) Valid() bool { return validID(string(id)) }

func tagOf(id string) string {
	if len(id) < tagLength {
		return ""
	}
	return id[:tagLength]
}

func validID(id string) bool {
	if len(id) != idLength {
		return false
	}
	return strings.Trim(id, idAlphabet) == ""
}
