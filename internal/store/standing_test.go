package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

const person = gateway.Recipient("+46732001122")

// standing is what a message to the person would meet.
func (b *bench) standing() gateway.Standing {
	b.t.Helper()
	m := b.accept(text(string(person), "x"))
	r, st, err := b.Load(b.t.Context(), shop, m.ID)
	b.must(err)
	if diff := cmp.Diff(b.get(m.ID), r); diff != "" {
		b.t.Errorf("Load and Get differ:\n%s", diff)
	}
	return st
}

// finishAll cancels the messages that standing has left waiting.
func (b *bench) finishAll() {
	b.t.Helper()
	page, err := b.List(b.t.Context(), gateway.Query{Accounts: []gateway.AccountID{shop}, Status: gateway.StatusQueued, Limit: 200, Now: time.Now()})
	b.must(err)
	for i := range page.Records {
		_, err := b.Cancel(b.t.Context(), page.Records[i].ID)
		b.must(err)
	}
}

func (b *bench) inbound(in gateway.Inbound) {
	b.t.Helper()
	if in.From == "" {
		in.From = person
	}
	if in.At.IsZero() {
		in.At = time.Now()
	}
	b.must(b.Apply(b.t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{in}}))
}

func scopes(s gateway.Standing) (list []gateway.SuppressionScope) {
	for _, e := range s.Suppressed {
		list = append(list, e.Scope)
	}
	return list
}

func TestInboundOpensTheServiceWindow(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if st := b.standing(); !st.LastInbound.IsZero() || st.Suppressed != nil {
			t.Errorf("a stranger's standing: %+v", st)
		}
		old := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
		b.inbound(gateway.Inbound{At: old})
		if st := b.standing(); !st.LastInbound.Equal(old) {
			t.Errorf("heard at %v, want %v", st.LastInbound, old)
		}
		b.inbound(gateway.Inbound{At: old.Add(-time.Hour)}) // comes late
		b.inbound(gateway.Inbound{At: old.Add(time.Minute), Aside: true})
		if st := b.standing(); !st.LastInbound.Equal(old) {
			t.Errorf("moved to %v by an older one or one that opens no window", st.LastInbound)
		}
		b.inbound(gateway.Inbound{At: time.Now().Add(time.Hour)}) // a clock that is ahead
		if st := b.standing(); st.LastInbound.After(time.Now().Add(time.Second)) {
			t.Errorf("heard in the future, at %v", st.LastInbound)
		}
	})
}

func TestConsentPutsOnTheListAndTakesOff(t *testing.T) {
	for _, c := range []struct {
		name string
		said []gateway.Consent
		want []gateway.SuppressionScope
	}{
		{"stop", []gateway.Consent{gateway.ConsentStop}, []gateway.SuppressionScope{gateway.SuppressAll}},
		{"stop, then start", []gateway.Consent{gateway.ConsentStop, gateway.ConsentStart}, nil},
		{"no marketing", []gateway.Consent{gateway.ConsentStopMarketing}, []gateway.SuppressionScope{gateway.SuppressMarketing}},
		{"start undoes that too", []gateway.Consent{gateway.ConsentStopMarketing, gateway.ConsentStart}, nil},
		{
			"marketing again doesn't undo a stop",
			[]gateway.Consent{gateway.ConsentStop, gateway.ConsentStopMarketing, gateway.ConsentStartMarketing},
			[]gateway.SuppressionScope{gateway.SuppressAll},
		},
		{"the same word twice", []gateway.Consent{gateway.ConsentStop, gateway.ConsentStop}, []gateway.SuppressionScope{gateway.SuppressAll}},
		{"other words", []gateway.Consent{""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				for _, said := range c.said {
					b.inbound(gateway.Inbound{Consent: said})
				}
				if diff := cmp.Diff(c.want, scopes(b.standing()), cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Providers know some people by another number than callers do.
func TestWhoIsKnownByAnotherNumberIsHeard(t *testing.T) {
	const alias, stranger = gateway.Recipient("+551187654321"), gateway.Recipient("+551187654322")
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text(string(person), "x"))
		b.mustBegin(m.ID, 0, "n")
		e := yes(m, "n", "gBEG1")
		e.Alias = alias
		b.record(e)
		b.record(e)
		b.inbound(gateway.Inbound{From: stranger, Consent: gateway.ConsentStop})
		if st := b.standing(); len(st.Suppressed) != 0 || !st.LastInbound.IsZero() {
			t.Errorf("a stranger is taken for the recipient: %+v", st)
		}
		b.inbound(gateway.Inbound{From: alias, Consent: gateway.ConsentStop})
		if st := b.standing(); len(st.Suppressed) != 1 || st.Suppressed[0].Scope != gateway.SuppressAll || st.LastInbound.IsZero() {
			t.Errorf("the recipient isn't heard: %+v", st)
		}
		list, _, err := b.Suppressions(t.Context(), shop, "", 10)
		b.must(err)
		if len(list) != 3 {
			t.Errorf("on the list are %+v, want both numbers and the stranger's", list)
		}
		keys := b.keys(redisdb.Key(shop.Tag(), "al:*"))
		if len(keys) != 1 || b.rdb.TTL(t.Context(), keys[0]).Val() <= 0 {
			t.Errorf("%d keys, which must not stay for ever", len(keys))
		}
	})
}

func TestAChangedNumberKeepsItsPlaceOnTheList(t *testing.T) {
	const next, alias = gateway.Recipient("+46732009999"), gateway.Recipient("+46732001123")
	hour := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	block := func(scope gateway.SuppressionScope, reason string, until time.Time) func(*bench) {
		return func(b *bench) {
			b.must(b.Suppress(b.t.Context(), gateway.Suppressed{Account: shop, Recipient: person, Scope: scope, Reason: reason, Until: until}))
		}
	}
	says := func(from gateway.Recipient, what gateway.Consent, at time.Duration) func(*bench) {
		return func(b *bench) {
			b.must(b.Apply(b.t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{{From: from, At: time.Now().Add(at), Consent: what}}}))
		}
	}
	moves := func(b *bench) {
		b.must(b.Apply(b.t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{{From: person, At: time.Now(), Aside: true, Moved: next}}}))
	}
	for _, c := range []struct {
		name  string
		steps []func(*bench)
		want  []gateway.Suppressed // of the new number
	}{
		{"nothing held, nothing follows", []func(*bench){moves}, nil},
		{"a stop follows", []func(*bench){says(person, gateway.ConsentStop, 0), moves}, []gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "opt-out"}}},
		{"told twice it follows once", []func(*bench){says(person, gateway.ConsentStop, 0), moves, moves}, []gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "opt-out"}}},
		{"no marketing follows", []func(*bench){says(person, gateway.ConsentStopMarketing, 0), moves}, []gateway.Suppressed{{Scope: gateway.SuppressMarketing, Reason: "opt-out"}}},
		{"a cooldown follows with its end", []func(*bench){block(gateway.SuppressCooldown, "later", hour), moves}, []gateway.Suppressed{{Scope: gateway.SuppressCooldown, Reason: "later", Until: hour}}},
		{
			"an operator's block follows, and a start doesn't lift it",
			[]func(*bench){block(gateway.SuppressAll, "legal", time.Time{}), moves, says(next, gateway.ConsentStart, 0)},
			[]gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "legal"}},
		},
		{"a start lifts a stop that has followed", []func(*bench){says(person, gateway.ConsentStop, -time.Minute), moves, says(next, gateway.ConsentStart, 0)}, nil},
		{"and the news of the change, when it comes again, doesn't undo that", []func(*bench){says(person, gateway.ConsentStop, -time.Minute), moves, says(next, gateway.ConsentStart, 0), moves}, nil},
		{
			"a block of the number that callers know follows who is known by another",
			[]func(*bench){block(gateway.SuppressCooldown, "later", hour), func(b *bench) {
				m := b.accept(text(string(person), "x"))
				b.mustBegin(m.ID, 0, "n")
				e := yes(m, "n", "wamid.1")
				e.Alias = alias
				b.record(e)
				b.must(b.Apply(b.t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{{From: alias, At: time.Now(), Aside: true, Moved: next}}}))
			}},
			[]gateway.Suppressed{{Scope: gateway.SuppressCooldown, Reason: "later", Until: hour}},
		},
		{
			"an operator's block follows whatever the new number said before",
			[]func(*bench){block(gateway.SuppressAll, "legal", time.Time{}), says(next, gateway.ConsentStart, time.Second), moves},
			[]gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "legal"}},
		},
		{
			"what the new number had for good stays",
			[]func(*bench){block(gateway.SuppressAll, "legal", time.Time{}), says(next, gateway.ConsentStop, 0), moves},
			[]gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "opt-out"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				for _, step := range c.steps {
					step(b)
				}
				list, _, err := b.Suppressions(t.Context(), shop, "", 10)
				b.must(err)
				var got []gateway.Suppressed
				for _, s := range list {
					if s.Recipient == next {
						got = append(got, gateway.Suppressed{Scope: s.Scope, Reason: s.Reason, Until: s.Until})
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("on the list (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestOutcomesAndReceiptsSuppress(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		first := b.accept(text(string(person), "x"))
		b.mustBegin(first.ID, 0, "n")
		e := gateway.Ending{
			Message: first.ID, Nonce: "n", Next: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassRecipient},
			Suppress: &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: "131026", For: time.Hour},
		}
		b.record(e)
		b.record(e)
		st := b.standing()
		if len(st.Suppressed) != 1 || st.Suppressed[0].Scope != gateway.SuppressCooldown || st.Suppressed[0].Reason != "131026" {
			t.Fatalf("after a refusal: %+v", st)
		}
		if left := time.Until(st.Suppressed[0].Until); left < 59*time.Minute || left > time.Hour {
			t.Errorf("for %v, want an hour", left)
		}
		failedLater := func(why *gateway.Suppression) {
			m := b.accept(text(string(person), "x"))
			b.mustBegin(m.ID, 0, "n")
			b.record(yes(m, "n", "wamid."+string(m.ID)))
			b.receipt(gateway.Receipt{
				Message: m.ID, Status: gateway.StatusFailed, At: time.Now(), Error: &gateway.Error{Class: gateway.ClassRecipient}, Suppress: why,
			})
		}
		b.finishAll()
		failedLater(&gateway.Suppression{Scope: gateway.SuppressMarketing, Reason: "131050"})
		if got := scopes(b.standing()); len(got) != 2 {
			t.Errorf("after a receipt: %v", got)
		}
		// A shorter stay never replaces a longer one.
		b.finishAll()
		failedLater(&gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: "131049", For: time.Minute})
		for _, s := range b.standing().Suppressed {
			if s.Scope == gateway.SuppressCooldown && s.Reason != "131026" {
				t.Errorf("the cooldown was shortened: %+v", s)
			}
		}
	})
}

func TestAnEntryThatEndsLeavesNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: person, Scope: gateway.SuppressCooldown, Until: time.Now().Add(20 * time.Millisecond)}))
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: person, Scope: gateway.SuppressAll, Until: time.Now().Add(20 * time.Millisecond)}))
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: person, Scope: gateway.SuppressAll})) // for good, after all
		for {
			b.keep()
			list, _, err := b.Suppressions(ctx, shop, "", 10)
			b.must(err)
			if len(list) == 1 {
				if list[0].Scope != gateway.SuppressAll || !list[0].Until.IsZero() {
					t.Errorf("left: %+v", list[0])
				}
				break
			}
		}
	})
}

func TestOperatorsKeepTheList(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		people := []gateway.Recipient{"+46732001101", "+46732001102", "+46732001103"}
		for _, p := range people {
			b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: p, Scope: gateway.SuppressAll, Reason: "asked by phone"}))
		}
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: people[0], Scope: gateway.SuppressCooldown, Reason: "later", Until: until}))
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: people[0], Scope: gateway.SuppressAll, Reason: "asked by letter"}))

		var list []gateway.Suppressed
		for cursor, pages := "", 0; ; pages++ {
			page, next, err := b.Suppressions(ctx, shop, cursor, 3)
			b.must(err)
			list = append(list, page...)
			if cursor = next; cursor == "" || pages > 3 {
				break
			}
		}
		want := []gateway.Suppressed{
			{Account: shop, Recipient: people[0], Scope: gateway.SuppressAll, Reason: "asked by letter"},
			{Account: shop, Recipient: people[0], Scope: gateway.SuppressCooldown, Reason: "later", Until: until},
			{Account: shop, Recipient: people[1], Scope: gateway.SuppressAll, Reason: "asked by phone"},
			{Account: shop, Recipient: people[2], Scope: gateway.SuppressAll, Reason: "asked by phone"},
		}
		if diff := cmp.Diff(want, list, cmpopts.IgnoreFields(gateway.Suppressed{}, "CreatedAt")); diff != "" {
			t.Error(diff)
		}
		for _, s := range []struct {
			to    gateway.Recipient
			scope gateway.SuppressionScope
			want  bool
		}{{people[0], gateway.SuppressCooldown, true}, {people[0], gateway.SuppressCooldown, false}, {people[1], "", true}, {people[1], "", false}} {
			removed, err := b.Unsuppress(ctx, shop, s.to, s.scope)
			b.must(err)
			if removed != s.want {
				t.Errorf("removing %s of %s: %v", s.scope, s.to, removed)
			}
		}
		page, _, err := b.Suppressions(ctx, shop, "", 10)
		b.must(err)
		if len(page) != 2 {
			t.Errorf("left: %+v", page)
		}
	})
}

func TestAnOptOutOutlivesATimedBlock(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		until := time.Now().Add(30 * time.Millisecond)
		b.must(b.Suppress(ctx, gateway.Suppressed{Account: shop, Recipient: person, Scope: gateway.SuppressAll, Until: until}))
		b.inbound(gateway.Inbound{Consent: gateway.ConsentStop})
		for !time.Now().After(until.Add(5 * time.Millisecond)) {
			b.keep()
		}
		b.keep()
		if got := scopes(b.standing()); len(got) != 1 || got[0] != gateway.SuppressAll {
			t.Errorf("suppressions: %v", got)
		}
	})
}

func TestStartDoesNotLiftAnOperatorsBlock(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.must(b.Suppress(t.Context(), gateway.Suppressed{Account: shop, Recipient: person, Scope: gateway.SuppressAll, Reason: "legal"}))
		b.inbound(gateway.Inbound{Consent: gateway.ConsentStop})
		b.inbound(gateway.Inbound{Consent: gateway.ConsentStart, At: time.Now().Add(time.Millisecond)})
		st := b.standing()
		if len(st.Suppressed) != 1 || st.Suppressed[0].Reason != "legal" {
			t.Errorf("suppressions: %+v", st.Suppressed)
		}
	})
}
