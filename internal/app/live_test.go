package app

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/queue"
	"sluice/internal/redisdb"
)

// steerBound is how long a pause or its end may take to be heard of.
const steerBound = 2 * time.Second

// slack is what a busy machine and the race detector may add.
const slack = 3 * time.Second

type accountBody struct {
	Paused        bool
	Rate          float64
	EffectiveRate float64 `json:"effective_rate"`
	Owner         string
	Breaker       string
	Lanes         struct {
		Transactional struct {
			Pending, Scheduled   int64
			OldestPendingSeconds float64 `json:"oldest_pending_seconds"`
		}
	}
}

func (i *installation) account(t *testing.T, id string) (a accountBody) {
	t.Helper()
	i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+id, "", &a)
	return a
}

func TestAnOperatorPausesAndResumesAnAccount(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	await(t, "the account has an owner", func() bool { return i.account(t, "cloud").Owner != "" })
	first := i.post(t, "cloud", "")
	await(t, "a message is read", func() bool { return i.get(t, first.ID).Status == "read" })

	var a accountBody
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/cloud/pause", "", &a)
	if !a.Paused || a.EffectiveRate != 0 || a.Rate != 20 {
		t.Errorf("paused, it is %+v", a)
	}
	// Nothing shows that the owner has heard of it, so this takes the whole time.
	timer := time.NewTimer(steerBound)
	defer timer.Stop()
	<-timer.C
	m := i.post(t, "cloud", "")
	await(t, "the message is the oldest that waits", func() bool {
		lane := i.account(t, "cloud").Lanes.Transactional
		return lane.Pending == 1 && lane.OldestPendingSeconds >= 0.5
	})
	if m = i.get(t, m.ID); m.Status != "queued" || len(m.Attempts) != 0 {
		t.Errorf("under the pause it is %+v", m)
	}

	resumed := time.Now()
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/cloud/resume", "", &a)
	if a.Paused || a.EffectiveRate != 20 {
		t.Errorf("resumed, it is %+v", a)
	}
	await(t, "the message is read", func() bool { m = i.get(t, m.ID); return m.Status == "read" })
	if took := m.reached("sending").Sub(resumed); took > steerBound+slack {
		t.Errorf("it was sent %v after the resumption", took)
	}
}

func TestAnAccountThatTheConfigurationPausesShowsIt(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	m := i.post(t, "stopped", "")
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/stopped/resume", "", nil) // is no match for it
	await(t, "both accounts have their owner", func() bool {
		return i.account(t, "stopped").Owner != "" && i.account(t, "cloud").Owner == i.account(t, "stopped").Owner &&
			i.account(t, "mute").Owner == i.account(t, "stopped").Owner
	})
	if a := i.account(t, "stopped"); !a.Paused || a.EffectiveRate != 0 || a.Rate != 50 || a.Breaker != "closed" || a.Lanes.Transactional.Pending != 1 {
		t.Errorf("it is %+v", a)
	}
	if m = i.get(t, m.ID); m.Status != "queued" {
		t.Errorf("its message is %s", m.Status)
	}
	var workers struct {
		Items []struct{ Accounts []string }
	}
	i.ask(t, http.StatusOK, http.MethodGet, "/v1/workers", "", &workers)
	if len(workers.Items) != 1 || len(workers.Items[0].Accounts) != 3 {
		t.Errorf("workers %+v", workers)
	}
}

func TestStatesMergeWhatTheStoreTheQueueAndTheConfigurationKnow(t *testing.T) {
	t.Parallel()
	i := install(t, false)
	st := newStore(i.api.rdb, i.api.directory)
	s := states{directory: i.api.directory, store: st, queue: queue.NewClient(i.api.rdb, discard)}
	state := func() gateway.AccountState {
		all, err := s.States(t.Context(), []gateway.AccountID{"cloud", "left"})
		if err != nil {
			t.Fatal(err)
		}
		if left := all["left"]; left.Owner != "" || left.EffectiveRate != 0 {
			t.Errorf("an account that nobody knows is %+v", left)
		}
		return all["cloud"]
	}
	if c := state(); c.Owner != "" || c.EffectiveRate != 20 || c.Paused || c.Hold != nil {
		t.Errorf("at rest it is %+v", c)
	}
	if err := st.Pause(t.Context(), "cloud", gateway.Bulk); err != nil {
		t.Fatal(err)
	}
	if c := state(); c.EffectiveRate != 20 {
		t.Errorf("with one lane paused its rate is %v", c.EffectiveRate)
	}
	if err := st.Pause(t.Context(), "cloud", gateway.Transactional); err != nil {
		t.Fatal(err)
	}
	if c := state(); c.EffectiveRate != 0 {
		t.Errorf("with both lanes paused its rate is %v", c.EffectiveRate)
	}
	if err := st.Resume(t.Context(), "cloud", ""); err != nil {
		t.Fatal(err)
	}
	if err := st.SetBreaker(t.Context(), "cloud", gateway.BreakerOpen); err != nil {
		t.Fatal(err)
	}
	if c := state(); c.EffectiveRate != 0 || c.Breaker != gateway.BreakerOpen {
		t.Errorf("with an open breaker it is %+v", c)
	}
	if err := st.SetBreaker(t.Context(), "cloud", gateway.BreakerClosed); err != nil {
		t.Fatal(err)
	}
	if err := st.Hold(t.Context(), "cloud", time.Minute, gateway.OutcomeThrottled, "asked to wait", gateway.ScopeAccount, 0.5); err != nil {
		t.Fatal(err)
	}
	if c := state(); c.EffectiveRate != 0 || c.Hold == nil || c.Hold.Reason != "asked to wait" {
		t.Errorf("held, it is %+v", c)
	}
	past := time.Now().Add(-7 * time.Second).UnixMilli() // the hold ended then
	if err := i.api.rdb.HSet(t.Context(), redisdb.Key(gateway.AccountID("cloud").Tag(), "hold"), "until", past, "grows", past).Err(); err != nil {
		t.Fatal(err)
	}
	if c := state(); c.EffectiveRate != 12 || c.Hold != nil {
		t.Errorf("7 s after a throttle its rate of 20 is %v, want a half and a tenth; hold %v", c.EffectiveRate, c.Hold)
	}
}

func TestOnlyAMessageThatIsDueGetsATask(t *testing.T) {
	t.Parallel()
	i := install(t, false) // nobody takes it out again
	lanes := queue.NewClient(i.api.rdb, discard)
	m := i.post(t, "cloud", fmt.Sprintf(`,"send_at":%q`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	if heads, err := lanes.Head(t.Context(), "cloud"); m.Status != "scheduled" || err != nil || len(heads) != 0 {
		t.Errorf("it is %s, heads of its lanes are %v, %v; want none", m.Status, heads, err)
	}
	m = i.post(t, "cloud", "")
	if heads, err := lanes.Head(t.Context(), "cloud"); err != nil || string(heads[gateway.Transactional]) != m.ID {
		t.Errorf("heads of its lanes are %v, %v; want %s", heads, err, m.ID)
	}
}

func TestAScheduledMessageIsSentAtItsTime(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	at := time.Now().Add(1500 * time.Millisecond).UTC().Truncate(time.Millisecond)
	m := i.post(t, "cloud", fmt.Sprintf(`,"send_at":%q`, at.Format(time.RFC3339Nano)))
	if m.Status != "scheduled" {
		t.Fatalf("it is %s", m.Status)
	}
	if a := i.account(t, "cloud"); a.Lanes.Transactional.Scheduled != 1 || a.Lanes.Transactional.Pending != 0 {
		t.Errorf("its account is %+v", a)
	}
	await(t, "it is read", func() bool { m = i.get(t, m.ID); return m.Status == "read" })
	if late := m.reached("sending").Sub(at); late < 0 || late > time.Second+slack {
		t.Errorf("it was sent %v after its time", late)
	}
}
