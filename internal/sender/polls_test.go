package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// pollWorld is an account whose provider is asked, with a store and a provider
// in memory.
type pollWorld struct {
	*Polls
	t    *testing.T
	logs bytes.Buffer

	mu      sync.Mutex
	owner   gateway.Lease
	away    bool
	claims  int
	waiting []time.Time        // when each message is due; m0, m1, …
	applied []gateway.Callback // what was written
	asked   []time.Time
	answer  func(id string) (status int, body string) // nil: sent
	slow    time.Duration
	nobody  bool
	finder  Finder       // nil: it can't be asked that
	lost    map[int]bool // messages of which it is unknown whether the provider has them
}

func inPollWorld(t *testing.T, f func(w *pollWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lease := gateway.Lease{Account: shop, Worker: "w1", Epoch: 1}
		w := &pollWorld{t: t, owner: lease}
		w.Polls = NewPolls(PollOptions{
			Asked: func() Asked {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.nobody {
					return Asked{}
				}
				return Asked{Poller: plainPoller{}, Finder: w.finder, Timeout: 10 * time.Second}
			},
			Lease: lease, Store: w, Client: &http.Client{Transport: w}, Log: slog.New(slog.NewTextHandler(&w.logs, nil)),
		})
		f(w)
		w.Drain(context.Background())
		if strings.Contains(w.logs.String(), secret) {
			t.Error("the log tells a secret")
		}
	})
}

// DuePoll implements PollStore: each message is asked after once.
func (w *pollWorld) DuePoll(_ context.Context, l gateway.Lease) (p gateway.Poll, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claims++
	if w.away {
		return p, gateway.ErrUnavailable
	}
	if l != w.owner {
		return p, gateway.Fenced{Account: l.Account}
	}
	now := time.Now()
	for i, at := range w.waiting {
		switch {
		case at.IsZero():
		case p.Message == "" && !at.After(now):
			w.waiting[i] = time.Time{}
			p.Message, p.ProviderMessageID = gateway.MessageID(fmt.Sprintf("m%d", i)), gateway.ProviderMessageID(fmt.Sprintf("p%d", i))
			p.AttemptedAt = at.Add(-time.Minute)
			if w.lost[i] {
				p.ProviderMessageID, p.Recipient = "", "+46732001122"
			}
		case p.NextIn == 0 || at.Sub(now) < p.NextIn:
			p.NextIn = max(at.Sub(now), time.Millisecond)
		}
	}
	return p, nil
}

// Apply implements PollStore.
func (w *pollWorld) Apply(_ context.Context, _ gateway.AccountID, c gateway.Callback) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.applied = append(w.applied, c)
	return nil
}

// RoundTrip is the provider.
func (w *pollWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked = append(w.asked, time.Now())
	answer, slow := w.answer, w.slow
	w.mu.Unlock()
	if slow > 0 && pause(r.Context(), slow) != nil {
		return nil, r.Context().Err()
	}
	id := r.URL.Query().Get("id")
	status, body := http.StatusOK, id+" sent"
	if answer != nil {
		status, body = answer(id)
	}
	if status == 0 {
		return nil, errors.New(body)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// post has messages due after these times.
func (w *pollWorld) post(in ...time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range in {
		w.waiting = append(w.waiting, time.Now().Add(d))
	}
}

func (w *pollWorld) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *pollWorld) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// plainPoller speaks words: an id and its status.
type plainPoller struct{}

func (plainPoller) NewStatusRequest(ctx context.Context, id gateway.ProviderMessageID) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodGet, "http://provider.example/?id="+string(id), http.NoBody)
}

func (plainPoller) InterpretStatus(a Answer) (r gateway.Receipt, ok bool) {
	id, status, ok := strings.Cut(string(a.Body), " ")
	if status == "panic" {
		panic(secret)
	}
	r = gateway.Receipt{ProviderMessageID: gateway.ProviderMessageID(id), Status: gateway.Status(status)}
	if r.Status == gateway.StatusFailed {
		r.Error = &gateway.Error{Class: gateway.ClassSuspended, Title: "payment"}
	}
	return r, ok && a.Status == http.StatusOK
}

// plainFinder speaks words too: an id, a page after '+', or nothing.
type plainFinder struct{}

func (plainFinder) NewLookup(ctx context.Context, c Call, from, to time.Time, page string) (*http.Request, error) {
	query := url.Values{"id": {strings.Join([]string{
		"find", string(c.Message.ID), string(c.Message.Recipient), to.Sub(from).String(), page,
	}, " ")}}
	return http.NewRequestWithContext(ctx, http.MethodGet, "http://provider.example/?"+query.Encode(), http.NoBody)
}

func (plainFinder) InterpretLookup(_ Call, a Answer) (id gateway.ProviderMessageID, page string, ok bool) {
	if a.Status != http.StatusOK {
		return "", "", false
	}
	found, page, _ := strings.Cut(string(a.Body), "+")
	return gateway.ProviderMessageID(found), page, true
}

// mendingFinder can do something about a refusal.
type mendingFinder struct{ plainFinder }

func (mendingFinder) Recover(_ context.Context, _ Call, a Answer) bool {
	return a.Status == http.StatusUnauthorized
}

// loginFinder can't even ask.
type loginFinder struct{ plainFinder }

func (loginFinder) NewLookup(context.Context, Call, time.Time, time.Time, string) (*http.Request, error) {
	return nil, &gateway.Error{Class: gateway.ClassSuspended, Title: "the login was refused", Detail: secret}
}

// after lets virtual time pass.
func after(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble
	synctest.Wait()
}

func TestWhatThePollsAreToldIsApplied(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.post(0, 7*time.Second)
		w.Expect(time.Hour) // the first time it looks at once
		after(time.Second)
		if w.questions() != 1 {
			t.Fatalf("%d questions at once", w.questions())
		}
		after(7 * time.Second)
		want := []gateway.Callback{
			{Receipts: []gateway.Receipt{{Message: "m0", ProviderMessageID: "p0", Status: gateway.StatusSent}}},
			{Receipts: []gateway.Receipt{{Message: "m1", ProviderMessageID: "p1", Status: gateway.StatusSent}}},
		}
		if d := cmp.Diff(want, w.applied); d != "" {
			t.Errorf("applied (-want +got):\n%s", d)
		}
	})
}

func TestAFailureThatBlamesTheSenderHaltsTheAccount(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.set(func() { w.answer = func(id string) (int, string) { return http.StatusOK, id + " failed" } })
		w.post(0)
		attempted := time.Now().Add(-time.Minute)
		w.Expect(0)
		synctest.Wait()
		want := []gateway.Halt{{
			For: 15 * time.Minute, Outcome: gateway.OutcomeSuspended, Reason: "payment", Scope: gateway.ScopeAccount, At: attempted,
		}}
		if len(w.applied) != 1 {
			t.Fatalf("%d written", len(w.applied))
		}
		if diff := cmp.Diff(want, w.applied[0].Halts); diff != "" {
			t.Errorf("halts (-want +got):\n%s", diff)
		}
	})
}

func TestMessagesWhoseAnswerWasLostAreLookedFor(t *testing.T) {
	const question = "find m0 +46732001122 2m10s " // the attempt's timeout, and a minute on either side
	found := []gateway.Callback{{Receipts: []gateway.Receipt{{Message: "m0", ProviderMessageID: "p7", Status: gateway.StatusAccepted}}}}
	for name, c := range map[string]struct {
		finder  Finder
		answers []string // HTTP status and words, the last one repeats
		asked   []string
		applied []gateway.Callback
		logged  string
	}{
		"and found": {
			finder: plainFinder{}, answers: []string{"200 p7"}, asked: []string{question}, applied: found,
		},
		"and found on a later page": {
			finder: plainFinder{}, answers: []string{"200 +two", "200 +three", "200 p7"},
			asked: []string{question, question + "two", question + "three"}, applied: found,
		},
		"and not found, which settles nothing": {
			finder: plainFinder{}, answers: []string{"200 "}, asked: []string{question},
		},
		"through so many pages only": {
			finder: plainFinder{}, answers: []string{"200 +more"},
			asked: append([]string{question}, slices.Repeat([]string{question + "more"}, lookupPages-1)...),
		},
		"in vain where the provider fails": {
			finder: plainFinder{}, answers: []string{"500 " + secret}, asked: []string{question}, logged: "HTTP 500",
		},
		"again once a refusal is mended": {
			finder: mendingFinder{}, answers: []string{"401 ", "200 p7"}, asked: []string{question, question}, applied: found,
		},
		"no third time": {
			finder: mendingFinder{}, answers: []string{"401 "}, asked: []string{question, question}, logged: "HTTP 401",
		},
		"not without a login":           {finder: loginFinder{}, logged: "the login was refused"},
		"not where nobody can be asked": {},
	} {
		t.Run(name, func(t *testing.T) {
			inPollWorld(t, func(w *pollWorld) {
				var asked []string
				w.finder, w.lost = c.finder, map[int]bool{0: true}
				w.answer = func(id string) (int, string) {
					asked = append(asked, id)
					status, words, _ := strings.Cut(c.answers[min(len(asked), len(c.answers))-1], " ")
					n, _ := strconv.Atoi(status)
					return n, words
				}
				w.post(0)
				w.Expect(0)
				after(100 * time.Millisecond)
				if d := cmp.Diff(c.asked, asked); d != "" {
					t.Errorf("questions (-want +got):\n%s", d)
				}
				if d := cmp.Diff(c.applied, w.applied); d != "" {
					t.Errorf("applied (-want +got):\n%s", d)
				}
				if logged := w.logs.String(); (logged == "") != (c.logged == "") || !strings.Contains(logged, c.logged) {
					t.Errorf("the log tells %q, want %q", logged, c.logged)
				}
			})
		})
	}
}

func TestPollsAreExpected(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.Expect(0)
		after(10 * time.Second)
		w.post(5 * time.Second)
		w.Expect(5 * time.Second)
		w.Expect(time.Hour) // no later for it
		after(5*time.Second + time.Millisecond)
		if w.questions() != 1 {
			t.Errorf("%d questions", w.questions())
		}
		w.set(func() { w.claims = 0 })
		after(time.Hour)
		if w.claims < 59 || w.claims > 62 {
			t.Errorf("the store was looked at %d times in an idle hour", w.claims)
		}
	})
}

func TestPollsKeepTheirPace(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.post(make([]time.Duration, 100)...)
		for range 100 {
			w.Expect(0)
			after(100 * time.Millisecond)
		}
		if n := w.questions(); n < 45 || n > 51 {
			t.Errorf("%d questions in ten seconds", n)
		}
		for i := range w.asked[1:] {
			if gap := w.asked[i+1].Sub(w.asked[i]); gap < pollPace {
				t.Fatalf("question %d came after %v", i+1, gap)
			}
		}
	})
}

func TestAnswersThatTellNothing(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		tired  bool // others would fare no better
	}{
		"an id that the provider doesn't know": {status: 404, body: "what?"},
		"a status that we don't know":          {status: 200, body: "what?"},
		"a status of another message":          {status: 200, body: "other sent"},
		"a panic":                              {status: 200, body: "p0 panic"},
		"a token that has expired":             {status: 401, body: "no", tired: true},
		"too many questions":                   {status: 429, body: "no", tired: true},
		"a provider that fails":                {status: 500, body: secret, tired: true},
		"a provider that isn't there":          {body: secret, tired: true},
	} {
		t.Run(name, func(t *testing.T) {
			inPollWorld(t, func(w *pollWorld) {
				w.answer = func(string) (int, string) { return c.status, c.body }
				w.post(make([]time.Duration, 1000)...)
				w.Expect(0)
				after(2 * time.Minute)
				if len(w.applied) > 0 {
					t.Errorf("applied %+v", w.applied)
				}
				want := 2 * 60 * 5
				if c.tired {
					want = 7 // after 0, 1, 3, 7, 15, 31, 63 s
				}
				if n := w.questions(); n < want || n > want+1 {
					t.Errorf("%d questions in two minutes, want %d", n, want)
				}
				if n := strings.Count(w.logs.String(), "couldn't be asked"); c.tired && n != 1 || !c.tired && n != 0 {
					t.Errorf("the log tells of %d failures", n)
				}
				w.set(func() { w.answer = nil })
				after(time.Minute)
				if len(w.applied) == 0 {
					t.Error("it never came back")
				}
			})
		})
	}
}

func TestPollsEndWithTheLeaseAndTheConfiguration(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.nobody = true
		w.post(0)
		w.Expect(0)
		after(time.Hour)
		if w.claims != 0 {
			t.Fatal("the store was looked at though nobody can be asked")
		}
		w.set(func() { w.nobody = false })
		w.Expect(time.Minute) // as of Keep
		after(time.Second)
		if w.questions() != 1 {
			t.Fatal("it wasn't asked once it could be")
		}
		w.set(func() { w.nobody, w.claims = true, 0 })
		after(time.Hour)
		if w.claims != 0 {
			t.Error("the store was looked at after the callbacks came")
		}
		w.set(func() { w.nobody = false; w.owner.Epoch++ })
		w.Expect(0)
		after(time.Hour)
		if w.claims != 1 {
			t.Errorf("the store was looked at %d times without the lease", w.claims)
		}
	})
}

func TestStoreThatIsAwayIsAskedLessAndLess(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.away = true
		w.post(0)
		w.Expect(0)
		after(2 * time.Minute)
		if w.claims != 7 {
			t.Errorf("%d looks in two minutes", w.claims)
		}
		w.set(func() { w.away = false })
		after(time.Minute)
		if len(w.applied) != 1 {
			t.Error("it never came back")
		}
	})
}

func TestDrainWaitsForTheQuestionUnderWay(t *testing.T) {
	for name, patience := range map[string]time.Duration{"for its answer": time.Minute, "as long as it may": time.Second} {
		t.Run(name, func(t *testing.T) {
			inPollWorld(t, func(w *pollWorld) {
				w.slow = 3 * time.Second
				w.post(0, 0)
				w.Expect(0)
				after(time.Second)
				w.Stop()
				w.Expect(0)
				began := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				w.Drain(ctx)
				took := time.Since(began)
				if want := min(2*time.Second, patience); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
				if answered := patience == time.Minute; len(w.applied) == 1 != answered || w.questions() != 1 {
					t.Errorf("%d questions, %d applied", w.questions(), len(w.applied))
				}
			})
		})
	}
}

func TestPollsAreSafeForConcurrentUse(t *testing.T) {
	inPollWorld(t, func(w *pollWorld) {
		w.post(make([]time.Duration, 5)...)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 10 {
					w.Expect(0)
					_ = pause(context.Background(), 100*time.Millisecond)
				}
			})
		}
		after(2 * time.Second)
		all.Wait()
		if slices.ContainsFunc(w.waiting, func(at time.Time) bool { return !at.IsZero() }) || w.questions() != 5 {
			t.Errorf("%d questions", w.questions())
		}
	})
}
