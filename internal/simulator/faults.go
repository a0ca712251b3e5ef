package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FaultName names something that goes wrong; the package comment has the list.
type FaultName string

// The faults.
const (
	FaultThrottle          FaultName = "throttle"
	FaultPairLimit         FaultName = "pair_limit"
	FaultServerError       FaultName = "server_error"
	FaultBareError         FaultName = "bare_error"
	FaultError             FaultName = "error"
	FaultWrongToken        FaultName = "wrong_token"
	FaultSlow              FaultName = "slow"
	FaultHang              FaultName = "hang"
	FaultCloseBefore       FaultName = "close_before"
	FaultCloseAfter        FaultName = "close_after"
	FaultGarbage           FaultName = "garbage"
	FaultIDMissing         FaultName = "id_missing"
	FaultCallbacksDoubled  FaultName = "callbacks_doubled"
	FaultCallbacksLate     FaultName = "callbacks_late"
	FaultCallbacksReversed FaultName = "callbacks_reversed"
	FaultCallbacksEarly    FaultName = "callbacks_early"
	FaultCallbacksNone     FaultName = "callbacks_none"
	FaultCallbacksFailed   FaultName = "callbacks_failed"
	FaultExpireTokens      FaultName = "expire_tokens"
)

const defaultLate = 5 * time.Second

// garbage is the body of an answer that can't be understood.
const garbage = "<html><body>upstream said nothing</body></html>"

// Fault makes something go wrong with the sends it fits.
type Fault struct {
	Account     string    `json:"account,omitempty"`   // empty: any
	Recipient   string    `json:"recipient,omitempty"` // with or without '+'; with '*' at its end those that begin so; empty: any
	Fault       FaultName `json:"fault"`
	Count       int       `json:"count,omitempty"` // how many messages it meets; zero: until cleared
	DelayMS     int64     `json:"delay_ms,omitempty"`
	RetryAfterS int64     `json:"retry_after_s,omitempty"`
	Status      int       `json:"status,omitempty"` // HTTP status; zero: what the provider would say
	Code        int       `json:"code,omitempty"`
	Reason      string    `json:"reason,omitempty"` // Conversation: the reason's code in a failed report
	Body        string    `json:"body,omitempty"`   // instead of the provider's envelope
}

// behaviour is the fault in the pipeline's terms; false if its name is unknown.
func (f *Fault) behaviour() (behaviour, bool) {
	delay := time.Duration(f.DelayMS) * time.Millisecond
	refuse := refusal{
		status: f.Status, code: f.Code, retryAfter: time.Duration(f.RetryAfterS) * time.Second,
		bare: f.Body != "", body: f.Body,
	}
	refused := func(r reason) (behaviour, bool) {
		refuse.reason = r
		return behaviour{refuse: &refuse, delay: delay}, true
	}
	switch f.Fault {
	case FaultThrottle:
		return refused(reasonThrottled)
	case FaultPairLimit:
		return refused(reasonPairLimited)
	case FaultServerError:
		return refused(reasonUnavailable)
	case FaultBareError:
		refuse.bare = true
		refuse.body = cmp.Or(f.Body, garbage)
		refuse.status = cmp.Or(f.Status, http.StatusBadGateway)
		return refused(reasonUnavailable)
	case FaultError:
		return refused(reasonError)
	case FaultWrongToken:
		return refused(reasonUnauthorized)
	case FaultSlow:
		return behaviour{delay: delay}, true
	case FaultHang:
		return behaviour{ending: endHung}, true
	case FaultCloseBefore:
		return behaviour{ending: endClosedBefore, delay: delay}, true
	case FaultCloseAfter:
		return behaviour{ending: endClosedAfter, delay: delay}, true
	case FaultGarbage:
		refuse.body = cmp.Or(f.Body, garbage)
		return behaviour{ending: endGarbled, delay: delay, garbled: refuse.body}, true
	case FaultIDMissing:
		return behaviour{ending: endWithoutID, delay: delay}, true
	case FaultCallbacksDoubled:
		return behaviour{doubled: true}, true
	case FaultCallbacksLate:
		return behaviour{late: cmp.Or(delay, defaultLate)}, true
	case FaultCallbacksReversed:
		return behaviour{reversed: true}, true
	case FaultCallbacksEarly:
		return behaviour{early: true}, true
	case FaultCallbacksNone:
		return behaviour{silent: true}, true
	case FaultCallbacksFailed:
		return behaviour{events: []event{{state: stateFailed, code: f.Code, reason: f.Reason}}}, true
	case FaultExpireTokens: // happens at once, to no message
		return behaviour{}, true
	}
	return behaviour{}, false
}

// check says what is wrong with a fault, or "".
func (f *Fault) check() string {
	b, known := f.behaviour()
	switch {
	case !known:
		return fmt.Sprintf("fault: %q is unknown", f.Fault)
	case f.Fault == FaultSlow && b.delay <= 0:
		return "delay_ms: is required with slow"
	case f.Fault == FaultError && f.Code == 0 && f.Status == 0:
		return "code: is required with error, or status"
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return "status: must be 200 to 599"
	case f.Count < 0 || f.DelayMS < 0 || f.RetryAfterS < 0:
		return "count, delay_ms, retry_after_s: must not be negative"
	}
	return ""
}

// faultTable holds the faults in force.
type faultTable struct {
	any   atomic.Bool // spares the ordinary message the lock
	mu    sync.Mutex
	list  []*activeFault
	spent map[string]int // messages met by recipients that misbehave at times
}

type activeFault struct {
	Fault
	behaviour behaviour
}

func newFaultTable() *faultTable { return &faultTable{spent: make(map[string]int)} }

// faultsKept bounds the faults in force.
const faultsKept = 10_000

// add puts a fault in force, or says that there are too many.
func (t *faultTable) add(f Fault) bool {
	f.Recipient = strings.TrimPrefix(f.Recipient, "+")
	b, _ := f.behaviour()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) >= faultsKept {
		return false
	}
	t.list = append(t.list, &activeFault{Fault: f, behaviour: b})
	t.any.Store(true)
	return true
}

// clear forgets the faults of the account, or all if it is empty.
func (t *faultTable) clear(account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = slices.DeleteFunc(t.list, func(f *activeFault) bool { return account == "" || f.Account == account })
	t.any.Store(len(t.list) > 0)
}

func (t *faultTable) reset() {
	t.clear("")
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.spent)
}

func (t *faultTable) all() []Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	faults := make([]Fault, 0, len(t.list))
	for _, f := range t.list {
		faults = append(faults, f.Fault)
	}
	return faults
}

// take adds to b what the faults in force do to a message, and counts it.
func (t *faultTable) take(account, recipient string, b *behaviour) {
	if !t.any.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	met := false
	t.list = slices.DeleteFunc(t.list, func(f *activeFault) bool {
		if f.Account != "" && f.Account != account || !f.concerns(recipient) {
			return false
		}
		if f.behaviour.exchange() {
			if met {
				return false
			}
			met = true
		}
		b.overlay(f.behaviour)
		if f.Count == 0 {
			return false
		}
		f.Count--
		return f.Count == 0
	})
	t.any.Store(len(t.list) > 0)
}

// recipientsCounted bounds the memory of those that misbehave at times; beyond
// it they all begin anew.
const recipientsCounted = 100_000

// concerns reports whether the fault's recipient is this one.
func (f *Fault) concerns(recipient string) bool {
	if beginning, many := strings.CutSuffix(f.Recipient, "*"); many {
		return strings.HasPrefix(recipient, beginning)
	}
	return f.Recipient == "" || f.Recipient == recipient
}

// accepts counts a message to a recipient that accepts only every so many.
func (t *faultTable) accepts(account, recipient string, every int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := account + "/" + recipient
	if len(t.spent) >= recipientsCounted {
		clear(t.spent)
	}
	t.spent[key]++
	if t.spent[key] < every {
		return false
	}
	delete(t.spent, key)
	return true
}
