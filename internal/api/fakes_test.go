package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

// store keeps messages in memory. What it is told to do wrong it does until it
// is told otherwise.
type store struct {
	now func() time.Time

	mu      sync.Mutex
	posts   []gateway.Post
	records map[gateway.MessageID]*gateway.Record
	claims  map[claim]kept
	queries []gateway.Query
	fault   error // of every call
	silent  bool  // every call waits for its context to end
}

type claim struct {
	account gateway.AccountID
	key     string
}

type kept struct {
	hash   [32]byte
	answer gateway.Accepted
}

func newStore(now func() time.Time) *store {
	return &store{now: now, records: map[gateway.MessageID]*gateway.Record{}, claims: map[claim]kept{}}
}

func (s *store) disturbed(ctx context.Context) error {
	if s.silent {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return s.fault
}

func (s *store) Accept(ctx context.Context, p gateway.Post) (gateway.Accepted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disturbed(ctx); err != nil {
		return gateway.Accepted{}, err
	}
	if first, err := s.recall(p.Message.Account, p.IdempotencyKey, p.BodyHash); !errors.Is(err, gateway.ErrNotFound) {
		return first, err
	}
	m := p.Message
	answer := gateway.Accepted{
		ID: m.ID, Account: m.Account, To: m.Recipient, Type: m.Content.Type, Priority: m.Priority,
		Status: gateway.StatusQueued, Reference: m.Reference, CreatedAt: m.CreatedAt,
	}
	if !m.SendAt.IsZero() {
		answer.Status = gateway.StatusScheduled
	}
	s.posts = append(s.posts, p)
	s.records[m.ID] = &gateway.Record{
		Message: m, Status: answer.Status, UpdatedAt: m.CreatedAt,
		History: []gateway.StatusChange{{Status: answer.Status, At: m.CreatedAt}},
	}
	if p.IdempotencyKey != "" {
		s.claims[claim{m.Account, p.IdempotencyKey}] = kept{p.BodyHash, answer}
	}
	return answer, nil
}

func (s *store) recall(account gateway.AccountID, key string, hash [32]byte) (gateway.Accepted, error) {
	first, ok := s.claims[claim{account, key}]
	switch {
	case !ok:
		return gateway.Accepted{}, gateway.ErrNotFound
	case first.hash != hash:
		return gateway.Accepted{}, gateway.ErrKeyReused
	}
	first.answer.Replayed = true
	return first.answer, nil
}

func (s *store) Recall(ctx context.Context, account gateway.AccountID, key string, hash [32]byte) (gateway.Accepted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disturbed(ctx); err != nil {
		return gateway.Accepted{}, err
	}
	return s.recall(account, key, hash)
}

func (s *store) Get(ctx context.Context, id gateway.MessageID) (*gateway.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disturbed(ctx); err != nil {
		return nil, err
	}
	r, ok := s.records[id]
	if !ok {
		return nil, gateway.ErrNotFound
	}
	out := *r
	return &out, nil
}

func (s *store) List(ctx context.Context, q gateway.Query) (gateway.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disturbed(ctx); err != nil {
		return gateway.Page{}, err
	}
	s.queries = append(s.queries, q)
	ids := slices.SortedFunc(maps.Keys(s.records), func(a, b gateway.MessageID) int {
		return strings.Compare(string(b[8:]), string(a[8:])) // the newest first, whatever the account
	})
	var page gateway.Page
	for _, id := range ids {
		r := s.records[id]
		switch {
		case q.Cursor != "" && string(id[8:]) >= q.Cursor,
			!slices.Contains(q.Accounts, r.Account),
			q.Status != "" && r.StatusAt(q.Now) != q.Status,
			q.Recipient != "" && r.Recipient != q.Recipient,
			q.Reference != "" && r.Reference != q.Reference,
			q.Batch != "" && r.Batch != q.Batch,
			r.CreatedAt.Before(q.Since):
			continue
		}
		if len(page.Records) == q.Limit {
			page.Next = string(page.Records[q.Limit-1].ID[8:])
			break
		}
		page.Records = append(page.Records, *r)
	}
	return page, nil
}

func (s *store) Cancel(ctx context.Context, id gateway.MessageID) (*gateway.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disturbed(ctx); err != nil {
		return nil, err
	}
	r, ok := s.records[id]
	switch {
	case !ok:
		return nil, gateway.ErrNotFound
	case r.Status != gateway.StatusCancelled && !r.Status.Waiting():
		return nil, gateway.ErrConflict
	case r.Status != gateway.StatusCancelled:
		r.Status, r.UpdatedAt = gateway.StatusCancelled, s.now()
		r.History = append(r.History, gateway.StatusChange{Status: r.Status, At: r.UpdatedAt})
	}
	out := *r
	return &out, nil
}

// put keeps a record as it is.
func (s *store) put(r gateway.Record) gateway.MessageID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ID == "" {
		r.ID = gateway.NewMessageID(r.Account, r.CreatedAt)
	}
	s.records[r.ID] = &r
	return r.ID
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

func (s *store) accepted() []gateway.Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posts)
}

// queue remembers what it was told of.
type queue struct {
	mu    sync.Mutex
	told  []gateway.MessageID
	fault error
}

func (q *queue) Accepted(_ context.Context, messages ...*gateway.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != nil {
		return q.fault
	}
	for _, m := range messages {
		q.told = append(q.told, m.ID)
	}
	return nil
}

func (q *queue) heard() []gateway.MessageID {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.told)
}

// setup is one revision of the configuration.
type setup struct {
	accounts map[gateway.AccountID]gateway.Account
	keys     map[[32]byte]Key
}

// directory swaps whole setups, as a reload does.
type directory struct{ atomic.Pointer[setup] }

func (d *directory) Account(id gateway.AccountID) (gateway.Account, bool) {
	a, ok := d.Load().accounts[id]
	return a, ok
}

func (d *directory) Accounts() []gateway.AccountID {
	return slices.Collect(maps.Keys(d.Load().accounts))
}

func (d *directory) Key(hash [32]byte) (Key, bool) {
	k, ok := d.Load().keys[hash]
	return k, ok
}

// plain is a dialect without stickers.
type plain struct{}

func (plain) Check(_ gateway.AccountID, m *gateway.Message) []gateway.FieldError {
	if m.Content.Type == gateway.TypeSticker {
		return []gateway.FieldError{{Field: "sticker", Message: "can't be expressed"}}
	}
	return nil
}

// floor is what moves about accounts: it steers them too.
type floor struct {
	mu      sync.Mutex
	states  map[gateway.AccountID]gateway.AccountState
	workers []gateway.Worker
	fault   error
}

func (f *floor) States(_ context.Context, ids []gateway.AccountID) (map[gateway.AccountID]gateway.AccountState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[gateway.AccountID]gateway.AccountState{}
	for _, id := range ids {
		if s, ok := f.states[id]; ok {
			out[id] = s
		}
	}
	return out, f.fault
}

func (f *floor) Workers(context.Context) ([]gateway.Worker, error) { return f.workers, f.fault }

func (f *floor) Pause(_ context.Context, id gateway.AccountID, p gateway.Priority) error {
	return f.steer(id, p, true)
}

func (f *floor) Resume(_ context.Context, id gateway.AccountID, p gateway.Priority) error {
	return f.steer(id, p, false)
}

func (f *floor) steer(id gateway.AccountID, p gateway.Priority, stop bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return f.fault
	}
	s := f.states[id]
	lanes := gateway.Priorities()
	if p != "" {
		lanes = []gateway.Priority{p}
	}
	for _, lane := range lanes {
		s.PausedLanes = slices.DeleteFunc(s.PausedLanes, func(l gateway.Priority) bool { return l == lane })
		if stop {
			s.PausedLanes = append(s.PausedLanes, lane)
		}
	}
	s.Paused = len(s.PausedLanes) == len(gateway.Priorities())
	f.states[id] = s
	return nil
}

func (f *floor) state(id gateway.AccountID) gateway.AccountState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[id]
}

// list is the do-not-send lists of all accounts. Its cursors spell out where a
// page ended.
type list struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[gateway.AccountID][]gateway.Suppressed // by recipient and scope
	asked   []gateway.AccountID
	faults  map[gateway.AccountID]error // "": of every call
}

func listed(e *gateway.Suppressed) string { return string(e.Recipient) + " " + string(e.Scope) }

func (l *list) disturbed(ctx context.Context, id gateway.AccountID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return cmp.Or(l.faults[id], l.faults[""])
}

func (l *list) Suppress(ctx context.Context, e gateway.Suppressed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.disturbed(ctx, e.Account); err != nil {
		return err
	}
	e.CreatedAt = l.now()
	l.remove(e.Account, e.Recipient, e.Scope)
	entries := append(l.entries[e.Account], e)
	slices.SortFunc(entries, func(a, b gateway.Suppressed) int { return strings.Compare(listed(&a), listed(&b)) })
	l.entries[e.Account] = entries
	return nil
}

func (l *list) Unsuppress(ctx context.Context, id gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.disturbed(ctx, id); err != nil {
		return false, err
	}
	return l.remove(id, to, scope), nil
}

func (l *list) remove(id gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope) bool {
	before := len(l.entries[id])
	l.entries[id] = slices.DeleteFunc(l.entries[id], func(e gateway.Suppressed) bool {
		return e.Recipient == to && (scope == "" || e.Scope == scope)
	})
	return len(l.entries[id]) < before
}

func (l *list) Suppressions(ctx context.Context, id gateway.AccountID, cursor string, limit int) (found []gateway.Suppressed, next string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, id)
	if err := l.disturbed(ctx, id); err != nil {
		return nil, "", err
	}
	for _, e := range l.entries[id] {
		switch {
		case listed(&e) <= cursor:
		case len(found) == limit:
			return found, listed(&found[limit-1]), nil
		default:
			found = append(found, e)
		}
	}
	return found, "", nil
}

// kept is every entry as "account recipient scope", sorted.
func (l *list) kept() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for id, entries := range l.entries {
		for _, e := range entries {
			all = append(all, string(id)+" "+listed(&e))
		}
	}
	slices.Sort(all)
	return all
}

// Keys of the stage, by what they may do.
const (
	keyAll     = "sk-all"     // everything, everywhere
	keySend    = "sk-send"    // send for shop-eu
	keyRead    = "sk-read"    // read shop-eu
	keyOperate = "sk-operate" // operate shop-eu
	keyOther   = "sk-other"   // everything for shop-us
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123e6, time.UTC)

// stage is an API with everything around it.
type stage struct {
	t         testing.TB
	now       atomic.Pointer[time.Time]
	store     *store
	queue     *queue
	directory *directory
	floor     *floor
	list      *list
	batches   *batches
	registry  *prometheus.Registry
	log       *bytes.Buffer
	ready     error
	options   Options
	handler   http.Handler
}

func newStage(tb testing.TB, change ...func(*Options)) *stage {
	tb.Helper()
	s := &stage{
		t: tb, queue: &queue{}, directory: &directory{}, registry: prometheus.NewRegistry(), log: &bytes.Buffer{},
		floor: &floor{states: map[gateway.AccountID]gateway.AccountState{}},
	}
	s.at(noon)
	s.store = newStore(s.clock)
	s.batches = &batches{store: s.store, kept: map[gateway.BatchID]*gateway.Batch{}, keys: map[claim]gateway.BatchID{}, said: map[gateway.MessageID][32]byte{}}
	s.list = &list{now: s.clock, entries: map[gateway.AccountID][]gateway.Suppressed{}, faults: map[gateway.AccountID]error{}}
	s.directory.Store(newSetup())
	s.options = Options{
		Directory: s.directory, Store: s.store, Recall: s.store, Queue: s.queue, States: s.floor, Operator: s.floor,
		Batches: s.batches, Suppressions: s.list,
		Checker: plain{}, CheckURL: httpsOnly, Ready: func(context.Context) error { return s.ready },
		Logger:     slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer: s.registry, Gatherer: s.registry, Now: s.clock,
	}
	for _, c := range change {
		c(&s.options)
	}
	server, err := New(s.options)
	if err != nil {
		tb.Fatal(err)
	}
	s.handler = server.Handler()
	return s
}

func newSetup() *setup {
	set := &setup{accounts: map[gateway.AccountID]gateway.Account{}, keys: map[[32]byte]Key{}}
	for _, id := range []gateway.AccountID{"shop-eu", "shop-us"} {
		set.accounts[id] = gateway.Account{
			ID: id, Provider: gateway.WhatsAppCloud, Rate: 80, TTL: 24 * time.Hour, OnUnknown: gateway.HoldUnknown,
		}
	}
	eu, us := []gateway.AccountID{"shop-eu"}, []gateway.AccountID{"shop-us"}
	for secret, k := range map[string]Key{
		keyAll:     {Name: "all", All: true, Send: true, Read: true, Operate: true},
		keySend:    {Name: "send", Accounts: eu, Send: true},
		keyRead:    {Name: "read", Accounts: eu, Read: true},
		keyOperate: {Name: "operate", Accounts: eu, Operate: true},
		keyOther:   {Name: "other", Accounts: us, Send: true, Read: true, Operate: true},
	} {
		set.keys[sha256.Sum256([]byte(secret))] = k
	}
	return set
}

func httpsOnly(link string) error {
	if !strings.HasPrefix(link, "https://") {
		return errors.New("http is allowed to listed hosts only")
	}
	return nil
}

func (s *stage) clock() time.Time { return *s.now.Load() }

func (s *stage) at(t time.Time) { s.now.Store(&t) }

// answer is what a caller got.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// do sends one request. Headers come in pairs and replace what is usual; an
// empty value removes.
func (s *stage) do(method, target, key, body string, headers ...string) answer {
	s.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(s.t.Context(), method, target, r)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return s.send(req)
}

func (s *stage) send(req *http.Request) answer {
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return answer{rec, s.t}
}

func (s *stage) post(body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, "/v1/messages", keyAll, body, headers...)
}

// wants fails the test unless the answer has the status.
func (a answer) wants(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	return a
}

// problem reads a refusal and fails the test unless it is one in every part.
func (a answer) problem(status int, name string) problemBody {
	a.t.Helper()
	a.wants(status)
	if got := a.Header().Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("Content-Type %q", got)
	}
	var p problemBody
	d := json.NewDecoder(bytes.NewReader(a.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		a.t.Fatalf("%v in %s", err, a.Body)
	}
	if p.Type != "/problems/"+name || p.Status != status || p.Title == "" || p.Detail == "" {
		a.t.Errorf("problem %+v, want %s with status %d, title and detail", p, name, status)
	}
	return p
}

// fields lists the paths at fault, each once.
func (p problemBody) fields() []string {
	var out []string
	for _, e := range p.Errors {
		if !slices.Contains(out, e.Field) {
			out = append(out, e.Field)
		}
	}
	return out
}

// object reads the answer as JSON.
func (a answer) object() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		a.t.Fatalf("%v in %s", err, a.Body)
	}
	return v
}

// batches keeps batches in memory; their messages lie in the store.
type batches struct {
	*store

	kept    map[gateway.BatchID]*gateway.Batch
	keys    map[claim]gateway.BatchID
	said    map[gateway.MessageID][32]byte
	writes  int             // of lines, so far
	before  func(write int) // each write of lines, with the number of those before
	refuses func(write int) error
	queries []gateway.BatchQuery
}

func (b *batches) OpenBatch(ctx context.Context, batch gateway.Batch, key string) (gateway.BatchID, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.disturbed(ctx); err != nil {
		return "", false, err
	}
	if id, ok := b.keys[claim{batch.Account, key}]; ok {
		return id, true, nil
	}
	if key != "" {
		b.keys[claim{batch.Account, key}] = batch.ID
	}
	batch.Counts, batch.Lanes = map[gateway.Status]int64{}, map[gateway.Priority]gateway.LaneState{}
	b.kept[batch.ID] = &batch
	return batch.ID, false, nil
}

func (b *batches) AcceptLines(ctx context.Context, id gateway.BatchID, posts []gateway.Post, remember bool) ([]gateway.LineVerdict, error) {
	if b.before != nil {
		b.before(b.writes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.disturbed(ctx); err != nil {
		return nil, err
	}
	write := b.writes
	b.writes++
	if b.refuses != nil {
		if err := b.refuses(write); err != nil {
			return nil, err
		}
	}
	var verdicts []gateway.LineVerdict
	for _, p := range posts {
		verdicts = append(verdicts, b.take(b.kept[id], p, remember))
	}
	return verdicts, nil
}

func (b *batches) take(batch *gateway.Batch, p gateway.Post, remember bool) gateway.LineVerdict {
	m := p.Message
	if p.IdempotencyKey != "" {
		switch _, err := b.recall(m.Account, p.IdempotencyKey, p.BodyHash); {
		case errors.Is(err, gateway.ErrKeyReused):
			return gateway.LineKeyReused
		case err == nil:
			return gateway.LineKnown
		}
	}
	if was, ok := b.said[m.ID]; remember && ok {
		if was == p.BodyHash {
			return gateway.LineAgain
		}
		return gateway.LineChanged
	}
	switch {
	case p.Passed:
		return gateway.LinePassed
	case !batch.CancelledAt.IsZero():
		return gateway.LineCancelled
	}
	if remember {
		b.said[m.ID] = p.BodyHash
	}
	if p.IdempotencyKey != "" {
		b.claims[claim{m.Account, p.IdempotencyKey}] = kept{hash: p.BodyHash}
	}
	b.posts = append(b.posts, p)
	batch.Total++
	lane := batch.Lanes[m.Priority]
	lane.Pending++
	batch.Lanes[m.Priority] = lane
	batch.Counts[gateway.StatusQueued]++
	return gateway.LineAdded
}

func (b *batches) CompleteBatch(ctx context.Context, _ gateway.AccountID, id gateway.BatchID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.disturbed(ctx); err != nil {
		return err
	}
	b.kept[id].Complete = true
	return nil
}

func (b *batches) CancelBatch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch, err := b.find(ctx, id)
	if err != nil {
		return gateway.Batch{}, err
	}
	if batch.CancelledAt.IsZero() {
		batch.CancelledAt = b.now()
		batch.Counts = map[gateway.Status]int64{gateway.StatusCancelled: batch.Total}
		batch.Lanes = map[gateway.Priority]gateway.LaneState{}
	}
	return *batch, nil
}

func (b *batches) Batch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch, err := b.find(ctx, id)
	if err != nil {
		return gateway.Batch{}, err
	}
	return *batch, nil
}

// find is called under the lock.
func (b *batches) find(ctx context.Context, id gateway.BatchID) (*gateway.Batch, error) {
	if err := b.disturbed(ctx); err != nil {
		return nil, err
	}
	batch, ok := b.kept[gateway.MessageID(id).BatchID()] // as in Redis, where the line isn't part of a batch's name
	if !ok {
		return nil, gateway.ErrNotFound
	}
	return batch, nil
}

func (b *batches) Batches(ctx context.Context, q gateway.BatchQuery) (gateway.BatchPage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.disturbed(ctx); err != nil {
		return gateway.BatchPage{}, err
	}
	b.queries = append(b.queries, q)
	var page gateway.BatchPage
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(b.kept))) {
		switch {
		case !slices.Contains(q.Accounts, b.kept[id].Account), q.Cursor != "" && id.Local() >= q.Cursor:
		case len(page.Batches) == q.Limit:
			page.Next = page.Batches[q.Limit-1].ID.Local()
			return page, nil
		default:
			page.Batches = append(page.Batches, *b.kept[id])
		}
	}
	return page, nil
}

// only is the one batch there is.
func (b *batches) only(tb testing.TB) gateway.Batch {
	tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kept) != 1 {
		tb.Fatalf("%d batches", len(b.kept))
	}
	for _, batch := range b.kept {
		return *batch
	}
	panic("not reached")
}
