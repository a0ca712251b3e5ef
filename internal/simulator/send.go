package simulator

import (
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequest is the longest send request that is read, in bytes.
const maxRequest = 1 << 20

// earlyWait is how long an answer waits for the callbacks that go before it.
const earlyWait = 5 * time.Second

// send takes one authorized send request through the simulator.
func (s *Simulator) send(w http.ResponseWriter, r *http.Request, a *account, parse parser) {
	d := a.dialect
	body, err := readBody(w, r)
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			a.arrive(s.opts.Now)
			s.refuse(w, a, refusal{reason: reasonInvalid, detail: "the body is too long"})
		}
		return // else the client has gone
	}
	at, over := a.arrive(s.opts.Now)
	m, problem := parse(a, body)
	if problem == nil && !isJSON(r) {
		problem = &refusal{reason: reasonInvalid, detail: "Content-Type must be application/json"}
	}
	if problem != nil {
		s.refuse(w, a, *problem)
		return
	}

	m.at = at
	behaviours := make([]behaviour, len(m.recipients))
	var b behaviour // of the exchange: the first that is extraordinary
	for i, to := range m.recipients {
		behaviours[i] = s.behaviour(a, m, to)
		if !b.exchange() {
			b = behaviours[i]
		}
	}
	if b.refuse != nil || b.ending == endHung || b.ending == endClosedBefore {
		s.turnAway(w, r, a, &b)
		return
	}
	if over {
		s.refuse(w, a, refusal{reason: reasonThrottled})
		return
	}
	for _, to := range m.recipients {
		if !a.takePair(to, at) {
			s.refuse(w, a, refusal{reason: reasonPairLimited})
			return
		}
	}

	accepted := s.accept(a, m, behaviours, at, sha256.Sum256(body), b.ending)
	s.runAhead(r, accepted.early)
	if !s.pause(r, b.delay) {
		return
	}
	switch b.ending {
	case endClosedAfter:
		panic(http.ErrAbortHandler)
	case endGarbled:
		answer := d.accept(m, accepted.taken)
		answer.body = []byte(b.garbled)
		answer.write(w)
	case endWithoutID:
		d.accept(m, nil).write(w)
	case endAnswered, endHung, endClosedBefore:
		d.accept(m, accepted.taken).write(w)
	}
}

// acceptance is what became of a request that was taken.
type acceptance struct {
	taken []taken
	early []*job // to be reported before the answer
}

// accept enters the request's messages in the ledger and plans their
// callbacks.
func (s *Simulator) accept(a *account, m *message, behaviours []behaviour, at time.Time, hash [32]byte, end ending) acceptance {
	acc := acceptance{taken: make([]taken, len(m.recipients))}
	url := a.CallbackURL
	if m.callback != "" {
		url = m.callback
	}
	for i, to := range m.recipients {
		b := behaviours[i]
		t := taken{id: a.dialect.newID(to, at), recipient: to, input: m.inputs[i], behaviour: b}
		if b.otherID {
			t.recipient = otherNumber(to)
		}
		acc.taken[i] = t
		outcome := end.outcome()
		if b.element && outcome == OutcomeAnswered {
			outcome = OutcomeFailed
		}
		s.ledger.add(&written{
			at: at, account: a, hash: hash, recipient: to, kind: m.kind, correlation: m.correlation, id: t.id, outcome: outcome,
		})
		steps := b.steps(a.dialect.course(m.kind), s.opts.Delays)
		if a.Dialect == WhatsAppOnPrem && !a.SentCallbacks {
			steps = slices.DeleteFunc(steps, func(st step) bool { return st.state == stateSent })
		}
		re := receipt{
			id: t.id, recipient: t.recipient, kind: m.kind, correlation: m.correlation, reference: m.reference, content: m.content,
		}
		if keeper, ok := a.dialect.(rememberer); ok {
			keeper.remember(a, re, at, steps)
		}
		if url == "" || len(steps) == 0 || b.silent {
			continue
		}
		j := &job{
			account: a, url: url, receipt: re, steps: steps, accepted: at, base: time.Now(),
		}
		if b.early {
			j.done = make(chan struct{})
			acc.early = append(acc.early, j)
		}
		s.courier.add(j)
	}
	a.accept(len(acc.taken))
	return acc
}

// The last digits of recipients whose misbehaviour others share.
const (
	magicNoWindow = "0004"
	magicNoOptIn  = "0006"
)

// behaviour is how a message to the recipient behaves: by its content, by the
// recipient's digits, by the faults in force, the later winning.
func (s *Simulator) behaviour(a *account, m *message, to string) behaviour {
	var b behaviour
	rules := a.rules()
	switch {
	case m.doom != nil:
		b.events = []event{*m.doom}
	case *rules.OptIn && !a.optedIn(to, m.at):
		x, _ := a.dialect.magic(magicNoOptIn)
		b.overlay(x.behaviour)
	case *rules.Window && m.template == nil && !a.windowOpen(to, m.at):
		x, _ := a.dialect.magic(magicNoWindow)
		b.overlay(x.behaviour)
	}
	if !s.opts.NoMagic && len(to) > 4 {
		if x, ok := a.dialect.magic(to[len(to)-4:]); ok {
			if x.every > 0 && s.faults.accepts(a.ID, to, x.every) {
				x.behaviour = behaviour{}
			}
			b.overlay(x.behaviour)
			b.held, b.otherID, b.element = x.held, x.otherID, x.element
		}
	}
	s.faults.take(a.ID, to, &b)
	return b
}

// turnAway ends an exchange without accepting anything.
func (s *Simulator) turnAway(w http.ResponseWriter, r *http.Request, a *account, b *behaviour) {
	if b.ending == endHung {
		a.refuse(reasonHung)
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler)
	}
	if !s.pause(r, b.delay) {
		return
	}
	if b.ending == endClosedBefore {
		a.refuse(reasonClosed)
		panic(http.ErrAbortHandler)
	}
	s.refuse(w, a, *b.refuse)
}

func (s *Simulator) refuse(w http.ResponseWriter, a *account, r refusal) {
	a.refuse(r.reason)
	answer := a.dialect.refuse(r)
	if r.bare {
		answer.body = []byte(r.body)
	}
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(r.retryAfter.Seconds())), 10))
	}
	answer.write(w)
}

func (a reply) write(w http.ResponseWriter) {
	h := w.Header()
	maps.Copy(h, a.header)
	switch {
	case len(a.body) == 0 || a.header.Get("Content-Type") != "":
	case a.body[0] == '<':
		h.Set("Content-Type", "text/html")
	default:
		h.Set("Content-Type", "application/json; charset=UTF-8")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that has gone
}

// pause waits, and reports whether an answer still makes sense.
func (s *Simulator) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return true
	case <-r.Context().Done():
		return false
	}
}

// runAhead waits for callbacks that go before the answer.
func (s *Simulator) runAhead(r *http.Request, jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	timer := time.NewTimer(earlyWait)
	defer timer.Stop()
	for _, j := range jobs {
		select {
		case <-j.done:
		case <-timer.C:
			return
		case <-s.closing:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// isJSON judges a Content-Type.
func isJSON(r *http.Request) bool { return mediaType(r) == "application/json" }

// mediaType is the Content-Type without its parameters.
func mediaType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// readBody reads the whole request, so that its arrival can be stamped.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return readLimited(w, r, maxRequest)
}

func readLimited(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, limit)
	if n := r.ContentLength; n >= 0 && n <= limit {
		body := make([]byte, n)
		_, err := io.ReadFull(limited, body)
		return body, err
	}
	return io.ReadAll(limited)
}

// otherNumber is a number that somebody else would think is another one: the
// fifth digit from the end is gone.
func otherNumber(digits string) string {
	n := len(digits) - 5
	return digits[:n] + digits[n+1:]
}
