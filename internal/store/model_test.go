package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

var (
	walkSteps = flag.Int("walk.steps", 500, "steps of one random walk")
	walkSeeds = flag.Int("walk.seeds", 1, "random walks on each kind of Redis")
)

// TestWhateverHappensNothingIsLostOrLeft takes random steps with one account
// whose messages are short-lived, and looks after each whether what is counted
// and indexed is what the records say, and whether somebody will look at each
// record again. In the end nothing is left.
func TestWhateverHappensNothingIsLostOrLeft(t *testing.T) {
	for seed := range *walkSeeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, url string) {
				b := newBench(t, url)
				b.retention = gateway.Retention{Content: 30 * time.Millisecond, Record: 90 * time.Millisecond, DeadLetter: 150 * time.Millisecond}
				b.grace = 20 * time.Millisecond
				b.polls, b.lookups = true, true
				w := &walk{bench: b, r: rand.New(rand.NewPCG(1, uint64(seed)))}
				for w.step = range *walkSteps {
					w.act()
					w.check()
					if t.Failed() {
						return
					}
				}
				w.end()
			})
		})
	}
}

// walk is one random walk, and what workers and callers remember on it.
type walk struct {
	*bench
	r    *rand.Rand
	step int
	said []string // the last steps

	ids     []gateway.MessageID
	batches []gateway.BatchID
	lane    []gateway.Task // what asynq has
	flying  []gateway.Intent
	ended   []gateway.Ending // that may be recorded again
}

func pick[T any](w *walk, from []T) (one T, ok bool) {
	if len(from) == 0 {
		return one, false
	}
	return from[w.r.IntN(len(from))], true
}

func (w *walk) chance(percent int) bool { return w.r.IntN(100) < percent }

func (w *walk) ms(least, most int) time.Duration {
	return time.Duration(least+w.r.IntN(most-least)) * time.Millisecond
}

// twice does something as a client does that may have lost the answer.
func (w *walk) twice(name string, do func() error) {
	w.t.Helper()
	n := 1
	if w.chance(20) {
		n = 2
	}
	w.said = append(w.said, fmt.Sprintf("%s ×%d", name, n))
	if len(w.said) > 40 {
		w.said = w.said[1:]
	}
	for range n {
		if err := do(); err != nil && !errors.Is(err, gateway.ErrConflict) && !errors.Is(err, gateway.ErrNotFound) && !errors.Is(err, gateway.ErrKeyReused) {
			w.t.Fatalf("step %d: %s: %v", w.step, name, err)
		}
	}
}

func (w *walk) act() {
	w.t.Helper()
	steps := []struct {
		weight int
		do     func()
	}{
		{12, w.post},
		{3, w.openBatch},
		{10, w.addLines},
		{2, w.completeBatch},
		{2, w.cancelBatch},
		{25, w.beginOne},
		{25, w.recordOne},
		{3, w.recordAgain},
		{12, w.receive},
		{4, w.cancelOne},
		{4, w.deferOne},
		{3, w.awaitOne},
		{4, w.releaseSome},
		{2, w.hear},
		{3, w.refuseOne},
		{3, w.expireOne},
		{25, w.keepHouse},
		{3, w.adoptAll},
		{5, w.ask},
		{8, w.tellAll},
	}
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	n := w.r.IntN(sum)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.do()
			return
		}
	}
}

// vary makes a message of this kind or that. Its API's clock is 15 s off,
// perhaps.
func (w *walk) vary(m *gateway.Message) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if m.Batch == "" {
		m.CreatedAt = now.Add(time.Duration(w.r.IntN(3)-1) * 15 * time.Second)
	}
	m.ExpiresAt = now.Add(w.ms(1, 200))
	if w.chance(20) {
		m.ExpiresAt = now.Add(w.ms(200, 1200))
	}
	if w.chance(20) {
		m.SendAt = now.Add(w.ms(1, 100))
	}
	if w.chance(50) {
		m.OnUnknown = gateway.ResendUnknown
	}
	if w.chance(20) {
		m.CallbackURL = "https://internal.example/hook"
	}
	if w.chance(30) {
		m.Reference = "ref"
	}
}

func (w *walk) recipient() string { return fmt.Sprintf("+4673200112%d", w.r.IntN(3)) }

// queue is what the API and the owner do with tasks: most get into their lane.
func (w *walk) queue(tasks ...gateway.Task) {
	for _, task := range tasks {
		if w.chance(10) {
			continue // its enqueue failed: the outbox has it
		}
		w.lane = append(w.lane, task)
		if w.chance(90) {
			w.must(w.Enqueued(w.t.Context(), shop, task))
		}
	}
}

func (w *walk) post() {
	m := text(w.recipient(), "x")
	w.vary(&m)
	p := gateway.Post{Message: m}
	if w.chance(30) {
		p.IdempotencyKey = fmt.Sprintf("k%d", w.r.IntN(20))
		p.BodyHash[0] = byte(w.r.IntN(2))
	}
	w.twice("post "+m.ID.Local(), func() error {
		a, err := w.Accept(w.t.Context(), p)
		if err == nil && a.ID == m.ID && !slices.Contains(w.ids, m.ID) {
			w.ids = append(w.ids, m.ID)
			if a.Status == gateway.StatusQueued {
				w.queue(gateway.Task{Message: m.ID})
			}
		}
		return err
	})
}

func (w *walk) openBatch() {
	b := gateway.Batch{ID: gateway.NewBatchID(shop, time.Now()), Account: shop, CreatedAt: time.Now()}
	key := ""
	if w.chance(50) {
		key = fmt.Sprintf("b%d", w.r.IntN(10))
	}
	w.twice("open "+b.ID.Local(), func() error {
		id, _, err := w.OpenBatch(w.t.Context(), b, key)
		if err == nil && !slices.Contains(w.batches, id) {
			w.batches = append(w.batches, id)
		}
		return err
	})
}

func (w *walk) addLines() {
	id, ok := pick(w, w.batches)
	if !ok {
		return
	}
	first := 1 + w.r.IntN(12)
	var posts []gateway.Post
	for n := first; n < first+1+w.r.IntN(4); n++ {
		p := line(id, n, strconv.Itoa(w.r.IntN(4)/3))
		p.Message.Recipient = gateway.Recipient(w.recipient())
		w.vary(&p.Message)
		if w.chance(10) {
			p.IdempotencyKey = fmt.Sprintf("k%d", w.r.IntN(20))
		}
		posts = append(posts, p)
	}
	remember := w.chance(50)
	w.twice(fmt.Sprintf("add %d lines to %s", len(posts), id.Local()), func() error {
		got, err := w.AcceptLines(w.t.Context(), id, posts, remember)
		for i, v := range got {
			m := posts[i].Message
			if v != gateway.LineAdded {
				continue
			}
			if !slices.Contains(w.ids, m.ID) {
				w.ids = append(w.ids, m.ID)
			}
			if !m.SendAt.After(m.CreatedAt) {
				w.queue(gateway.Task{Message: m.ID, Priority: gateway.Bulk})
			}
		}
		return err
	})
}

func (w *walk) completeBatch() {
	if id, ok := pick(w, w.batches); ok {
		w.twice("complete", func() error { return w.CompleteBatch(w.t.Context(), shop, id) })
	}
}

func (w *walk) cancelBatch() {
	if id, ok := pick(w, w.batches); ok {
		w.twice("cancel batch", func() error {
			_, err := w.CancelBatch(w.t.Context(), id)
			return err
		})
	}
}

func (w *walk) beginOne() {
	if len(w.lane) == 0 {
		return
	}
	i := w.r.IntN(len(w.lane))
	in := gateway.Intent{Lease: w.lease, Task: w.lane[i], Nonce: fmt.Sprintf("n%d", w.step), Deadline: w.ms(1, 60)}
	done := false
	w.twice("begin "+in.Task.Message.Local(), func() error {
		v, _, err := w.Begin(w.t.Context(), in)
		switch v {
		case gateway.VerdictBegun:
			if !done {
				w.flying = append(w.flying, in)
			}
			done = true
		case gateway.VerdictDropped, gateway.VerdictExpired:
			done = true
		case gateway.VerdictBehind:
			if w.chance(50) {
				done = true
				return w.Defer(w.t.Context(), shop, in.Task, w.ms(1, 20), true)
			}
		case gateway.VerdictFenced, gateway.VerdictHeld:
			w.t.Fatalf("begin: %s", v)
		}
		return err
	})
	if done {
		w.lane = slices.Delete(w.lane, i, i+1)
	}
}

func (w *walk) recordOne() {
	if len(w.flying) == 0 {
		return
	}
	i := w.r.IntN(len(w.flying))
	in := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	if w.chance(10) {
		return // it never is
	}
	e := gateway.Ending{
		Message: in.Task.Message, Nonce: in.Nonce, Spent: true,
		Attempt: gateway.Attempt{Number: 1, StartedAt: time.Now(), EndedAt: time.Now(), Outcome: gateway.OutcomeAccepted},
	}
	switch w.r.IntN(6) {
	case 0:
		e.Next = gateway.StatusFailed
	case 1:
		e.Next = gateway.StatusUnknown
	case 2:
		e.Next, e.RetryIn = gateway.StatusQueued, w.ms(0, 20)
	default:
		e.Next = gateway.StatusAccepted
		e.ProviderMessageID = gateway.ProviderMessageID(fmt.Sprintf("P%d", w.r.IntN(40)))
	}
	if e.Next != gateway.StatusAccepted {
		e.Error = &gateway.Error{Class: gateway.ClassPermanent}
	}
	w.twice("record "+string(e.Next)+" "+e.Message.Local(), func() error { return w.Record(w.t.Context(), shop, e) })
	w.ended = append(w.ended, e)
}

func (w *walk) recordAgain() {
	if e, ok := pick(w, w.ended); ok {
		w.twice("record again", func() error { return w.Record(w.t.Context(), shop, e) })
	}
}

func (w *walk) receive() {
	statuses := []gateway.Status{gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed, gateway.StatusAccepted}
	r := gateway.Receipt{}
	r.Status, _ = pick(w, statuses)
	if w.chance(60) {
		r.Message, _ = pick(w, w.ids)
	}
	if r.Message == "" || w.chance(50) {
		r.ProviderMessageID = gateway.ProviderMessageID(fmt.Sprintf("P%d", w.r.IntN(40)))
	}
	w.twice(fmt.Sprintf("receipt %s %s %s", r.Message.Local(), r.ProviderMessageID, r.Status), func() error {
		return w.Apply(w.t.Context(), shop, gateway.Callback{Receipts: []gateway.Receipt{r}})
	})
}

func (w *walk) cancelOne() {
	if id, ok := pick(w, w.ids); ok {
		w.twice("cancel "+id.Local(), func() error {
			_, err := w.Cancel(w.t.Context(), id)
			return err
		})
	}
}

// take takes a task out of its lane.
func (w *walk) take() (gateway.Task, bool) {
	if len(w.lane) == 0 {
		return gateway.Task{}, false
	}
	i := w.r.IntN(len(w.lane))
	task := w.lane[i]
	w.lane = slices.Delete(w.lane, i, i+1)
	return task, true
}

func (w *walk) deferOne() {
	if task, ok := w.take(); ok {
		w.twice("defer "+task.Message.Local(), func() error { return w.Defer(w.t.Context(), shop, task, w.ms(1, 30), w.chance(30)) })
	}
}

func (w *walk) awaitOne() {
	if task, ok := w.take(); ok {
		w.twice("await "+task.Message.Local(), func() error { return w.Await(w.t.Context(), shop, task) })
	}
}

func (w *walk) releaseSome() {
	w.twice("release", func() error {
		tasks, err := w.Release(w.t.Context(), w.lease, 1+w.r.IntN(3))
		w.queue(tasks...)
		return err
	})
}

// hear is of somebody who writes: what waits for them needs no room in the tier.
func (w *walk) hear() {
	in := gateway.Inbound{From: gateway.Recipient(w.recipient()), At: time.Now()}
	w.twice("inbound", func() error {
		return w.Apply(w.t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{in}})
	})
}

func (w *walk) refuseOne() {
	if task, ok := w.take(); ok {
		class := gateway.ClassMedia
		if w.chance(30) {
			class = gateway.ClassInternal
		}
		w.twice("refuse "+task.Message.Local(), func() error {
			return w.Refuse(w.t.Context(), shop, task, &gateway.Error{Class: class})
		})
	}
}

func (w *walk) expireOne() {
	if id, ok := pick(w, w.ids); ok {
		w.twice("expire "+id.Local(), func() error {
			_, err := w.Expire(w.t.Context(), shop, id)
			return err
		})
	}
}

func (w *walk) keepHouse() {
	w.twice("keep", func() error {
		c, err := w.Keep(w.t.Context(), w.lease, 3)
		w.queue(c.Tasks...)
		return err
	})
	if n := len(w.ids); n > 60 { // what nobody remembers any more
		w.ids = w.ids[n-60:]
	}
	if n := len(w.ended); n > 20 {
		w.ended = w.ended[n-20:]
	}
	if n := len(w.batches); n > 6 {
		w.batches = w.batches[n-6:]
	}
}

// adoptAll is a crash: what the lane had is enqueued anew.
func (w *walk) adoptAll() {
	var ids []gateway.MessageID
	for _, task := range w.lane {
		if !slices.Contains(ids, task.Message) {
			ids = append(ids, task.Message)
		}
	}
	w.lane = nil
	w.twice("adopt", func() error {
		tasks, err := w.Adopt(w.t.Context(), w.lease, ids)
		w.queue(tasks...)
		return err
	})
}

func (w *walk) ask() {
	w.twice("ask", func() error {
		_, err := w.DuePoll(w.t.Context(), w.lease)
		return err
	})
}

func (w *walk) tellAll() {
	w.twice("tell", func() error {
		notices, _, err := w.DueNotices(w.t.Context(), w.lease, 10)
		for _, n := range notices {
			switch w.r.IntN(4) {
			case 0:
				n.Tries, n.Since = n.Tries+1, time.Now()
				err = errors.Join(err, w.NoticeFailed(w.t.Context(), shop, n, w.ms(1, 10)))
			case 1:
				err = errors.Join(err, w.NoticeDropped(w.t.Context(), shop, n, &gateway.Error{Class: gateway.ClassPermanent}))
			default:
				err = errors.Join(err, w.NoticeDone(w.t.Context(), shop, n))
			}
		}
		return err
	})
}

// snapshot is all that is kept of the account.
type snapshot struct {
	hashes  map[string]map[string]string
	sorted  map[string]map[string]float64
	lists   map[string][]string
	strings map[string]time.Duration // what is left of their lives
}

func (b *bench) snapshot(ctx context.Context) snapshot {
	b.t.Helper()
	prefix := redisdb.Key(shop.Tag(), "")
	keys, err := b.rdb.Keys(ctx, prefix+"*").Result()
	b.must(err)
	p := snapshot{map[string]map[string]string{}, map[string]map[string]float64{}, map[string][]string{}, map[string]time.Duration{}}
	pipe := b.rdb.Pipeline()
	var reads []func()
	for _, key := range keys {
		name := strings.TrimPrefix(key, prefix)
		switch kind, _, _ := strings.Cut(name, ":"); kind {
		case "m", "b", "n", "lw":
			cmd := pipe.HGetAll(ctx, key)
			reads = append(reads, func() { p.hashes[name] = cmd.Val() })
		case "ix", "parkt", "parkb", "timer", "out", "fly", "bl", "bx", "no", "poll", "su", "sx":
			cmd := pipe.ZRangeWithScores(ctx, key, 0, -1)
			reads = append(reads, func() {
				p.sorted[name] = map[string]float64{}
				for _, z := range cmd.Val() {
					p.sorted[name][z.Member.(string)] = z.Score //nolint:forcetypeassert // members are text
				}
			})
		case "tm", "nq":
			cmd := pipe.LRange(ctx, key, 0, -1)
			reads = append(reads, func() { p.lists[name] = cmd.Val() })
		case "i", "bh", "pk", "al", "f", "w", "st":
			cmd := pipe.PTTL(ctx, key)
			reads = append(reads, func() { p.strings[name] = cmd.Val() })
		case "ev", "sec", "hold", "sup", "nd", "owner":
		default:
			b.t.Errorf("key %s is of no known kind", name)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		b.t.Fatal(err)
	}
	for _, read := range reads {
		read()
	}
	return p
}

// check says what is wrong with the snapshot.
func (w *walk) check() {
	w.t.Helper()
	p := w.snapshot(w.t.Context())
	wrong := func(format string, args ...any) {
		w.t.Helper()
		w.t.Errorf("step %d: %s", w.step, fmt.Sprintf(format, args...))
	}
	for key, life := range p.strings {
		if life < 0 && life != -2 { // -2: it is gone by now
			wrong("%s never ends", key)
		}
	}
	counts := map[string]map[string]int{"n": {}} // by key and place
	present := map[string]int{}
	count := func(key, place string) {
		if counts[key] == nil {
			counts[key] = map[string]int{}
		}
		counts[key][place]++
	}
	records := map[string]map[string]string{}
	for key, m := range p.hashes {
		id, ok := strings.CutPrefix(key, "m:")
		if !ok {
			continue
		}
		records[id] = m
		place, batch := m["s"], "b:"+id[:gateway.BatchName]
		switch {
		case m["b"] != "" && p.hashes[batch]["x"] != "" && (m["s"] == "q" || m["s"] == "h"):
			place = "c"
		case m["s"] == "h":
			place = m["p"] + "s"
		case m["s"] == "s":
			place = m["p"] + "a"
		case m["s"] == "q" && m["k"] != "":
			place = m["p"] + "k"
		case m["s"] == "q":
			place = m["p"] + "p"
		}
		if len(place) == 2 {
			count("n", place)
		}
		if m["b"] != "" {
			count(batch, place)
			present[batch]++
		}
		w.checkRecord(p, id, m, wrong)
	}
	places := []string{"ts", "tp", "tk", "ta", "bs", "bp", "bk", "ba"}
	for _, place := range places {
		if got := number(p.hashes["n"][place]); got != counts["n"][place] {
			wrong("%d messages are counted as %s, and %d are", got, place, counts["n"][place])
		}
	}
	for key, f := range p.hashes {
		if !strings.HasPrefix(key, "b:") {
			continue
		}
		if f["ct"] == "" {
			wrong("%s is no batch: %v", key, f)
			continue
		}
		total := 0
		for place, n := range f {
			if len(place) == 2 && place != "ct" && place != "ac" || len(place) == 1 && strings.Contains("atdrfjecu", place) {
				total += number(n)
				if got, want := number(n), counts[key][place]; got < want || len(place) == 2 && got != want {
					wrong("%s counts %d as %s, and %d are", key, got, place, want)
				}
			}
		}
		if n, gone := number(f["n"]), number(f["gone"]); total != n || n != present[key]+gone {
			wrong("%s has %d messages and counts %d; %d are kept, %d gone", key, n, total, present[key], gone)
		}
		if !waitsIn(p, key[2:]) {
			wrong("nobody looks at %s again", key)
		}
	}
	for batch := range present {
		if p.hashes[batch] == nil {
			wrong("%s is gone, but its messages are kept", batch)
		}
	}
	for _, index := range []struct {
		name string
		id   func(member string) string
	}{
		{"ix", func(m string) string { return m[len(m)-24:] }},
		{"parkt", same},
		{"parkb", same},
		{"fly", same},
		{"poll", same},
		{"no", same},
	} {
		for member := range p.sorted[index.name] {
			if m := records[index.id(member)]; m == nil {
				wrong("%s has %s, which isn't kept", index.name, member)
			} else if strings.HasPrefix(index.name, "park") && (m["k"] == "" || "park"+m["p"] != index.name) {
				wrong("%s has %s, which isn't parked", index.name, member)
			} else if index.name == "fly" && m["s"] != "s" {
				wrong("%s is %s, but in fly", member, m["s"])
			}
		}
	}
	for field, id := range p.hashes["lw"] {
		if m := records[id]; m == nil || m["s"] != "q" {
			wrong("line %s ends with %s, which is %v", field, id, m["s"])
		}
	}
	for key, ids := range p.lists {
		if slot, ok := strings.CutPrefix(key, "tm:"); ok {
			if _, ok := p.sorted["timer"][slot]; !ok {
				wrong("%v wait for %s, which nobody looks at", ids, slot)
			}
		}
	}
	if w.t.Failed() {
		w.t.Logf("the last steps:\n%s", strings.Join(w.said, "\n"))
	}
}

func same(s string) string { return s }

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// waitsIn reports whether there is an alarm for it.
func waitsIn(p snapshot, entry string) bool {
	for key, ids := range p.lists {
		if strings.HasPrefix(key, "tm:") && slices.Contains(ids, entry) {
			return true
		}
	}
	return false
}

// checkRecord looks whether somebody will look at the message in time.
func (w *walk) checkRecord(p snapshot, id string, m map[string]string, wrong func(string, ...any)) {
	w.t.Helper()
	if m["s"] == "s" {
		if _, ok := p.sorted["fly"][id]; !ok {
			wrong("%s is in flight, but not in fly", id)
		}
	} else {
		alarm := number(m["tb"])
		if alarm == 0 || !slices.Contains(p.lists["tm:"+m["tb"]], id) {
			wrong("%s is %s and has no alarm at %q", id, m["s"], m["tb"])
		}
		since := number(m["ct"])
		if h := m["h"]; h != "" {
			since += number(h[strings.LastIndex(h, ",")+2:])
		}
		due := since + int(w.retention.Content.Milliseconds())
		switch {
		case m["s"] == "q" || m["s"] == "h":
			due = number(m["ex"])
		case m["s"] == "u" && m["ou"] == "r":
			due = since + int(w.retention.DeadLetter.Milliseconds()) // at the latest
		case m["s"] == "u" || m["s"] == "f":
			due = since + int(w.retention.DeadLetter.Milliseconds())
		case m["pu"] != "":
			due = since + int(w.retention.Record.Milliseconds())
		}
		told := len(p.lists["nq:"+id]) > 0 || alarm > due+30*60_000
		if late := alarm - due; late > 200 && !told {
			wrong("%s is %s: its alarm is %d ms late", id, m["s"], late)
		}
	}
	score, parked := 0.0, false
	for _, lane := range []string{"parkt", "parkb"} {
		if s, ok := p.sorted[lane][id]; ok {
			score, parked = s, true
		}
	}
	if parked != (m["k"] != "") || parked && int(score) != number(m["k"]) {
		wrong("%s is parked until %q, and in the index until %.0f", id, m["k"], score)
	}
	if parked && m["s"] != "q" && m["s"] != "h" {
		wrong("%s is %s and parked", id, m["s"])
	}
	if m["s"] == "h" && !parked {
		wrong("%s is scheduled and not parked", id)
	}
	cancelled := m["b"] != "" && p.hashes["b:"+id[:gateway.BatchName]]["x"] != ""
	if m["s"] == "q" && !parked && !cancelled {
		task := gateway.Task{Message: gateway.MessageID(shop.Tag() + id), Sequence: number(m["q"])}
		_, out := p.sorted["out"][id+"#"+strconv.Itoa(task.Sequence)]
		if !out && !slices.ContainsFunc(w.lane, func(t gateway.Task) bool { return t.Message == task.Message && t.Sequence == task.Sequence }) {
			wrong("%s is queued, and no lane has its task %d", id, task.Sequence)
		}
	}
	if cancelled && (m["s"] == "q" || m["s"] == "h") {
		if from, ok := p.sorted["bx"][id[:gateway.BatchName]]; !ok || int(from) > gateway.MessageID(shop.Tag()+id).Line() {
			wrong("%s is of a cancelled batch, and still %s", id, m["s"])
		}
	}
}

// end waits until all was kept long enough.
func (w *walk) end() {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		w.keep()
		w.tellAll()
		p := w.snapshot(w.t.Context())
		left, waiting := 0, map[string]bool{} // in an hour those are looked at whose callers weren't told in time
		for key, m := range p.hashes {
			if number(m["tb"]) > int(time.Now().Add(30*time.Minute).UnixMilli()) {
				waiting["b:"+key[2:][:gateway.BatchName]] = true
			} else if strings.HasPrefix(key, "m:") {
				left++
			}
		}
		for key := range p.hashes {
			if strings.HasPrefix(key, "b:") && !waiting[key] {
				left++
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("still there: %v", p)
		}
	}
	w.step = -1
	w.check()
}
