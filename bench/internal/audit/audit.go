// Package audit recounts what Redis holds of messages and compares it with
// every counter and index that speaks of them. It reads the keys as
// internal/store/scripts/common.lua documents them, and not through the store,
// so that a mistake there can't hide. Nothing may change meanwhile.
package audit

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // names index entries as redis.sha1hex does in scripts; nothing is secured by it
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// Result is what was found.
type Result struct {
	Records  int
	ByStatus map[string]int    // by the letter of common.lua
	Statuses map[string]string // letter by message id
	Problems problems          // the first of them; none: every count agrees
}

// pageSize is how many records are read in one round trip.
const pageSize = 5000

// problemsKept bounds Result.Problems.
const problemsKept = 20

// record is what is read of a message. Its id is without the account's tag, as
// it is in all keys of an account.
type record struct {
	id, status, lane, sequence, parked, to, reference, batched, providerID, others, alarm string
}

var fields = []string{"s", "p", "q", "k", "to", "r", "b", "pi", "px", "tb"}

// Recount reads every record of the accounts.
func Recount(ctx context.Context, rdb redis.UniversalClient, accounts []gateway.AccountID) (*Result, error) {
	r := &Result{ByStatus: make(map[string]int), Statuses: make(map[string]string)}
	for _, id := range accounts {
		a := account{
			id: id, rdb: rdb, result: r, alarms: make(map[alarm]bool), known: make(map[string]bool), records: make(map[string]record),
			want: make(map[string]int), batches: make(map[string]map[string]int), over: make(map[string]bool),
		}
		if err := a.audit(ctx); err != nil {
			return nil, fmt.Errorf("recount %s: %w", id, err)
		}
	}
	return r, nil
}

// problems are differences, the first of them.
type problems []string

func (p *problems) add(format string, args ...any) {
	if len(*p) < problemsKept {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

// Ledger compares statuses with what the provider got, message ids in the order
// of arrival: whatever was accepted arrived once, and what was never tried did
// not. It returns the differences, the first of them.
func Ledger(statuses map[string]string, arrived []string) []string {
	var found problems
	times := make(map[string]int, len(arrived))
	for _, id := range arrived {
		times[id]++
		if _, known := statuses[id]; !known {
			found.add("the provider got %s, of which there is no record", id)
		}
		if times[id] == 2 {
			found.add("the provider got %s more than once", id)
		}
	}
	for id, status := range statuses {
		switch n := times[id]; {
		case strings.Contains("atdr", status) && n == 0:
			found.add("%s has status %s, and the provider never got it", id, status)
		case strings.Contains("hqjec", status) && n > 0:
			found.add("%s has status %s, and the provider got it", id, status)
		}
	}
	return found
}

// account is the recount of one.
type account struct {
	id      gateway.AccountID
	rdb     redis.UniversalClient
	result  *Result
	alarms  map[alarm]bool            // what the timer will look at
	known   map[string]bool           // ids of all records
	records map[string]record         // of messages that wait or are in flight
	want    map[string]int            // counters as they should be, by field
	batches map[string]map[string]int // and those of batches, by name; "n" counts all
	over    map[string]bool           // batches that were cancelled
	entries int                       // of ix
}

// alarm is an entry of the timer: at a time it looks at a message or a batch.
type alarm struct{ at, what string }

// batchName is how long the name of a batch is, with which the ids of its
// messages begin.
const batchName = 17

func (a *account) key(name string) string { return redisdb.Key(a.id.Tag(), name) }

func (a *account) audit(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		a.cancelled, a.timer, a.read, a.late, a.counters, a.counted, a.index, a.flying, a.parked, a.outbox, a.lines,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cancelled finds the batches that were cancelled: what waits in them counts as
// cancelled already.
func (a *account) cancelled(ctx context.Context) error {
	names, err := a.rdb.ZRange(ctx, a.key("bl"), 0, -1).Result()
	if err != nil {
		return err
	}
	for _, name := range names {
		a.batches[name] = make(map[string]int)
		if a.over[name], err = a.rdb.HExists(ctx, a.key("b:"+name), "x").Result(); err != nil {
			return err
		}
	}
	return nil
}

// timer reads what will be looked at, and when.
func (a *account) timer(ctx context.Context) error {
	slots, err := a.rdb.ZRange(ctx, a.key("timer"), 0, -1).Result()
	if err != nil {
		return err
	}
	for _, slot := range slots {
		entries, err := a.list(ctx, a.key("tm:"+slot))
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			a.result.Problems.add("%s: the timer names %s, and nothing is due then", a.id, slot)
		}
		for _, what := range entries {
			a.alarms[alarm{slot, what}] = true
		}
	}
	return nil
}

// read counts the records, page by page.
func (a *account) read(ctx context.Context) error {
	for after := "[a"; ; {
		entries, err := a.rdb.ZRangeByLex(ctx, a.key("ix"), &redis.ZRangeBy{Min: after, Max: "(b", Count: pageSize}).Result()
		if err != nil || len(entries) == 0 {
			return err
		}
		after = "(" + entries[len(entries)-1]
		pipe := a.rdb.Pipeline()
		cmds := make([]*redis.SliceCmd, len(entries))
		for i, entry := range entries {
			cmds[i] = pipe.HMGet(ctx, a.key("m:"+entry[1:]), fields...)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, cmd := range cmds {
			a.count(entries[i][1:], cmd.Val())
		}
	}
}

func (a *account) count(id string, values []any) {
	text := func(i int) string {
		s, _ := values[i].(string)
		return s
	}
	m := record{
		id: id, status: text(0), lane: text(1), sequence: cmp.Or(text(2), "0"), parked: text(3), to: text(4),
		reference: text(5), batched: text(6), providerID: text(7), others: text(8), alarm: text(9),
	}
	if m.status == "" {
		a.result.Problems.add("%s: the index names a record that isn't there", id)
		a.entries++
		return
	}
	a.result.Records++
	a.result.ByStatus[m.status]++
	a.result.Statuses[a.id.Tag()+id] = m.status
	a.known[id] = true
	place := m.place()
	if len(place) == 2 {
		a.records[id] = m
	}
	if m.batched != "" {
		place = a.inBatch(&m, place)
	}
	if len(place) == 2 {
		a.want[place]++
	}
	a.entries += 2 + len(m.others)/12 // by account, by recipient; by other ids of the provider
	for _, v := range []string{m.reference, m.providerID} {
		if v != "" {
			a.entries++
		}
	}
	if m.status != "s" && !a.alarms[alarm{m.alarm, id}] {
		a.result.Problems.add("%s: the timer won't look at %s, which has status %q", a.id, id, m.status)
	}
}

// inBatch counts a message of a batch, and says where it counts.
func (a *account) inBatch(m *record, place string) string {
	name := m.id[:min(len(m.id), batchName)]
	b := a.batches[name]
	if b == nil {
		a.result.Problems.add("%s: %s belongs to a batch that isn't there", a.id, m.id)
		return place
	}
	if a.over[name] && (m.status == "q" || m.status == "h") {
		place = "c"
	}
	b[place]++
	b["n"]++
	return place
}

// place is the counter that the message belongs to: in a lane scheduled,
// pending, parked or active, else its status.
func (m *record) place() string {
	switch {
	case m.status == "h":
		return m.lane + "s"
	case m.status == "q" && m.parked != "":
		return m.lane + "k"
	case m.status == "q":
		return m.lane + "p"
	case m.status == "s":
		return m.lane + "a"
	}
	return m.status
}

// late looks for alarms of messages that aren't kept any more: none outlasts
// its message.
func (a *account) late(context.Context) error {
	for e := range a.alarms {
		if _, batch := a.batches[e.what]; !batch && !a.known[e.what] {
			a.result.Problems.add("%s: the timer will look at %s, which isn't there", a.id, e.what)
		}
	}
	return nil
}

// counters compares the counters of both lanes.
func (a *account) counters(ctx context.Context) error {
	is, err := a.rdb.HGetAll(ctx, a.key("n")).Result()
	if err != nil {
		return err
	}
	a.agree("the counter", is, a.want)
	return nil
}

// agree compares counters with what was counted.
func (a *account) agree(what string, is map[string]string, want map[string]int) {
	for field := range want {
		if is[field] == "" {
			is[field] = "0"
		}
	}
	for _, field := range slices.Sorted(maps.Keys(is)) {
		if counted := strconv.Itoa(want[field]); is[field] != counted {
			a.result.Problems.add("%s: %s %s is %s, and %s records are so", a.id, what, field, is[field], counted)
		}
	}
}

// counted compares the counters of each batch. What retention has removed still
// counts as it ended, so of ends there may be so many more.
func (a *account) counted(ctx context.Context) error {
	for name, want := range a.batches {
		is, err := a.rdb.HGetAll(ctx, a.key("b:"+name)).Result()
		if err != nil {
			return err
		}
		gone, _ := strconv.Atoi(is["gone"]) // absent is zero
		for _, other := range []string{"ac", "ct", "l", "gone", "done", "x"} {
			delete(is, other)
		}
		more := 0
		for field, text := range is {
			n, _ := strconv.Atoi(text) // our own scripts wrote it
			if len(field) == 1 && field != "n" && n > want[field] {
				more += n - want[field]
				want[field] = n
			}
		}
		if more != gone {
			a.result.Problems.add("%s: batch %s counts %d messages that aren't there, and %d are gone", a.id, name, more, gone)
		}
		want["n"] += gone
		a.agree("batch "+name+"'s counter", is, want)
	}
	return nil
}

// index compares how much is in the index that holds every message.
func (a *account) index(ctx context.Context) error {
	n, err := a.rdb.ZCard(ctx, a.key("ix")).Result()
	if err != nil {
		return err
	}
	if int(n) != a.entries {
		a.result.Problems.add("%s: ix has %d entries, and the records want %d", a.id, n, a.entries)
	}
	return nil
}

// flying compares what is in flight.
func (a *account) flying(ctx context.Context) error {
	return a.same(ctx, "fly", func(m *record) bool { return m.status == "s" })
}

// parked compares what is parked in each lane.
func (a *account) parked(ctx context.Context) error {
	var errs []error
	for _, lane := range []string{"t", "b"} {
		errs = append(errs, a.same(ctx, "park"+lane, func(m *record) bool { return m.parked != "" && m.lane == lane }))
	}
	return errors.Join(errs...)
}

// status is that of a record, by its id without the tag.
func (a *account) status(id string) string { return a.result.Statuses[a.id.Tag()+id] }

// same compares the members of a sorted set with the records that belong there.
func (a *account) same(ctx context.Context, name string, belongs func(*record) bool) error {
	members, err := a.rdb.ZRange(ctx, a.key(name), 0, -1).Result()
	if err != nil {
		return err
	}
	in := make(map[string]bool, len(members))
	for _, id := range members {
		in[id] = true
		if m, ok := a.records[id]; !ok || !belongs(&m) {
			a.result.Problems.add("%s: %s holds %s, which has status %q", a.id, name, id, a.status(id))
		}
	}
	for id, m := range a.records {
		if belongs(&m) && !in[id] {
			a.result.Problems.add("%s: %s lacks %s", a.id, name, id)
		}
	}
	return nil
}

// outbox looks at the lines of the outbox and for messages that wait and have
// neither a line nor a task.
func (a *account) outbox(ctx context.Context) error {
	lines, err := a.rdb.ZRange(ctx, a.key("out"), 0, -1).Result()
	if err != nil {
		return err
	}
	waiting := make(map[string]bool)
	for id, m := range a.records {
		if m.status == "q" && m.parked == "" {
			waiting[task(id, m.sequence)] = true
		}
	}
	for _, line := range lines {
		id, sequence, _ := strings.Cut(line, "#")
		if name := task(id, sequence); !waiting[name] {
			a.result.Problems.add("%s: the outbox holds %s, which doesn't wait", a.id, line)
		} else {
			delete(waiting, name)
		}
	}
	tasks, err := a.tasks(ctx)
	if err != nil {
		return err
	}
	for _, name := range tasks {
		delete(waiting, strings.TrimPrefix(name, a.id.Tag()))
	}
	for name := range waiting {
		a.result.Problems.add("%s: %s waits, and has no task", a.id, name)
	}
	return nil
}

// task is a task's name, as internal/queue gives it.
func task(id, sequence string) string {
	if sequence == "0" {
		return id
	}
	return id + "#" + sequence
}

// tasks lists what asynq holds of the account.
func (a *account) tasks(ctx context.Context) (all []string, err error) {
	for _, queue := range []string{"transactional", "bulk-retry", "bulk"} {
		base := "asynq:{" + string(a.id) + ":" + queue + "}:"
		for _, list := range []string{"pending", "active"} {
			some, err := a.list(ctx, base+list)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		stepped, err := a.rdb.ZRange(ctx, base+"retry", 0, -1).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, stepped...)
	}
	return all, nil
}

// list reads a whole list, page by page.
func (a *account) list(ctx context.Context, key string) (all []string, err error) {
	for from := int64(0); ; from += pageSize {
		some, err := a.rdb.LRange(ctx, key, from, from+pageSize-1).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < pageSize {
			return all, nil
		}
	}
}

// lines looks whether the last ones in line wait at all.
func (a *account) lines(ctx context.Context) error {
	last, err := a.rdb.HGetAll(ctx, a.key("lw")).Result()
	if err != nil {
		return err
	}
	for field, id := range last {
		if m, ok := a.records[id]; !ok || m.status != "q" || field != m.lane+hash(m.to) {
			a.result.Problems.add("%s: %s is the last in line %s and has status %q", a.id, id, field, a.status(id))
		}
	}
	return nil
}

// hash is what hash does in common.lua.
func hash(v string) string {
	sum := sha1.Sum([]byte(v)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])[:12]
}

// Show tells what a record says, but for what the message says and to whom.
func Show(ctx context.Context, rdb redis.UniversalClient, id gateway.MessageID) string {
	m, err := rdb.HGetAll(ctx, redisdb.Key(id.Tag(), "m:"+id.Local())).Result()
	if err != nil {
		return err.Error()
	}
	delete(m, "c")
	delete(m, "to")
	return fmt.Sprintf("%s %q", id, m)
}
