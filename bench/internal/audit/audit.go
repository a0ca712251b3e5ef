// Package audit recounts what Redis holds of messages and compares it with
// every counter and index that speaks of them. It reads the keys as
// internal/store/scripts/common.lua documents them, and not through the store,
// so that a mistake there can't hide. Nothing may change meanwhile.
package audit

import (
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

// record is what is read of a message.
type record struct {
	id, status, lane, sequence, parked, to, reference, batch, providerID, others string
}

var fields = []string{"s", "p", "q", "k", "to", "r", "b", "pi", "px"}

// Recount reads every record of the accounts.
func Recount(ctx context.Context, rdb redis.UniversalClient, accounts []gateway.AccountID) (*Result, error) {
	r := &Result{ByStatus: make(map[string]int), Statuses: make(map[string]string)}
	for _, id := range accounts {
		a := account{id: id, rdb: rdb, result: r, want: make(map[string]int), records: make(map[string]record)}
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
	records map[string]record
	want    map[string]int // counters as they should be, by field
	entries int            // of ix
	timers  int
}

func (a *account) key(name string) string { return redisdb.Key(a.id.Tag(), name) }

func (a *account) audit(ctx context.Context) error {
	for _, step := range []func(context.Context) error{a.read, a.counters, a.indexes, a.flying, a.parked, a.outbox, a.lines} {
		if err := step(ctx); err != nil {
			return err
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
		id: id, status: text(0), lane: text(1), sequence: text(2), parked: text(3), to: text(4),
		reference: text(5), batch: text(6), providerID: text(7), others: text(8),
	}
	if m.status == "" {
		a.result.Problems.add("%s: the index names a record that isn't there", id)
		a.entries++
		return
	}
	a.result.Records++
	a.result.ByStatus[m.status]++
	a.result.Statuses[id] = m.status
	if b := m.bucket(); b != "" {
		a.want[m.lane+b]++
		a.records[id] = m // the others have no index of their own
	}
	a.entries += 2 + len(m.others)/12 // by account, by recipient; by other ids of the provider
	for _, v := range []string{m.reference, m.batch, m.providerID} {
		if v != "" {
			a.entries++
		}
	}
	if m.status != "s" {
		a.timers++
	}
}

// bucket is the counter that the message belongs to.
func (m *record) bucket() string {
	switch {
	case m.status == "h":
		return "s"
	case m.status == "q" && m.parked != "":
		return "k"
	case m.status == "q":
		return "p"
	case m.status == "s":
		return "a"
	}
	return ""
}

// counters compares the counters of both lanes.
func (a *account) counters(ctx context.Context) error {
	is, err := a.rdb.HGetAll(ctx, a.key("n")).Result()
	if err != nil {
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(a.want)) {
		if is[field] == "" {
			is[field] = "0"
		}
	}
	for _, field := range slices.Sorted(maps.Keys(is)) {
		if want := strconv.Itoa(a.want[field]); is[field] != want {
			a.result.Problems.add("%s: the counter %s is %s, and %s records are so", a.id, field, is[field], want)
		}
	}
	return nil
}

// indexes compares how much is in the indexes that hold every message.
func (a *account) indexes(ctx context.Context) error {
	for name, want := range map[string]int{"ix": a.entries, "timer": a.timers} {
		n, err := a.rdb.ZCard(ctx, a.key(name)).Result()
		if err != nil {
			return err
		}
		if int(n) != want {
			a.result.Problems.add("%s: %s has %d entries, and the records want %d", a.id, name, n, want)
		}
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
			a.result.Problems.add("%s: %s holds %s, which has status %q", a.id, name, id, a.result.Statuses[id])
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
		delete(waiting, name)
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
			for from := int64(0); ; from += pageSize {
				some, err := a.rdb.LRange(ctx, base+list, from, from+pageSize-1).Result()
				if err != nil {
					return nil, err
				}
				all = append(all, some...)
				if len(some) < pageSize {
					break
				}
			}
		}
		stepped, err := a.rdb.ZRange(ctx, base+"retry", 0, -1).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, stepped...)
	}
	return all, nil
}

// lines looks whether the last ones in line wait at all.
func (a *account) lines(ctx context.Context) error {
	last, err := a.rdb.HGetAll(ctx, a.key("lw")).Result()
	if err != nil {
		return err
	}
	for field, id := range last {
		if m, ok := a.records[id]; !ok || m.status != "q" || field != m.lane+hash(m.to) {
			a.result.Problems.add("%s: %s is the last in line %s and has status %q", a.id, id, field, a.result.Statuses[id])
		}
	}
	return nil
}

// hash is what hash does in common.lua.
func hash(v string) string {
	sum := sha1.Sum([]byte(v)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])[:12]
}
