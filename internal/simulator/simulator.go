package simulator

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Simulator is a set of fake providers. It is safe for concurrent use.
type Simulator struct {
	opts     Options
	dialects map[Dialect]dialect
	accounts []*account
	byID     map[string]*account
	bySender map[sender]*account
	ledger   *ledger
	faults   *faultTable
	courier  *courier
	handler  http.Handler
	media    func() map[string]sample
	uploads  *uploads

	provisioning *provisioning

	run          uint64        // tells the ids of this run from those of any other
	counter      atomic.Uint64 // of ids
	unauthorized atomic.Int64
	started      time.Time
	closing      chan struct{}
	closeOnce    sync.Once
}

// sender is what requests say of the account they are for.
type sender struct {
	dialect Dialect
	key     string
}

// New starts a simulator. Accounts of a dialect it doesn't speak, without what
// requests tell them by (see Account), or with an ID or something of that which
// is taken, are left out, and that is logged. Close it.
func New(o Options) *Simulator {
	o = o.withDefaults()
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails, see crypto/rand
	s := &Simulator{
		opts:     o,
		byID:     make(map[string]*account),
		bySender: make(map[sender]*account),
		ledger:   newLedger(o.LedgerSize),
		faults:   newFaultTable(),
		run:      binary.BigEndian.Uint64(seed[:]),
		started:  o.Now(),
		closing:  make(chan struct{}),
		media:    sync.OnceValue(samples),
	}
	s.uploads = newUploads(o.Now)
	conversation := newConversation(s)
	s.dialects = map[Dialect]dialect{
		WhatsAppCloud:     newCloud(s),
		SinchWhatsApp:     newSinchV1(s),
		WhatsAppV2:        newV2(s),
		WhatsAppOnPrem:    newOnPrem(s),
		SinchConversation: conversation,
	}
	for _, a := range o.Accounts {
		s.addAccount(a)
	}
	s.provisioning = newProvisioning(s, conversation)
	mux := http.NewServeMux()
	for _, d := range s.dialects {
		d.routes(mux)
	}
	s.provisioning.routes(mux)
	s.controlRoutes(mux)
	s.handler = mux
	s.courier = newCourier(o.Callbacks, o.Logger)
	return s
}

func (s *Simulator) addAccount(a Account) {
	d, ok := s.dialects[a.Dialect]
	var keys []string
	if ok {
		keys = d.keys(&a)
	}
	taken := slices.ContainsFunc(keys, func(key string) bool { return s.bySender[sender{a.Dialect, key}] != nil })
	if len(keys) == 0 || taken || a.ID == "" || s.byID[a.ID] != nil {
		s.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "simulated account left out",
			slog.String("account", a.ID), slog.String("dialect", string(a.Dialect)))
		return
	}
	acc := newAccount(a, d, len(s.accounts), s.started)
	s.accounts = append(s.accounts, acc)
	s.byID[a.ID] = acc
	for _, key := range keys {
		s.bySender[sender{a.Dialect, key}] = acc
	}
}

// Handler serves every dialect and the control endpoint.
func (s *Simulator) Handler() http.Handler { return s.handler }

// Close drops the callbacks that aren't due yet, ends hanging requests and
// waits for the calls under way; when ctx ends first they are broken off. Call
// it before http.Server.Shutdown, which waits for hanging requests: until then
// messages are still taken, but nothing is reported of them. Repeating it is
// harmless.
func (s *Simulator) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { close(s.closing) })
	return s.courier.close(ctx)
}

// nextID is a number that no other id of this run has.
func (s *Simulator) nextID() uint64 { return s.counter.Add(1) }
