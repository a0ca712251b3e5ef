package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// looks says when await let a look begin, counted from the start; all find
// nothing. meanwhile is called in each.
func looks(t *testing.T, b *bell, d time.Duration, meanwhile func(look int)) (at []time.Duration) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		reasons, ok := b.await(ctx)
		if !ok {
			return at
		}
		at = append(at, time.Since(began))
		meanwhile(len(at))
		b.foundNothing(reasons)
	}
}

func TestAnEmptyLaneIsLookedIntoWhenThereIsAReason(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name string
		ring []time.Duration // after the start
		look int             // in which it is rung too
		want []time.Duration
	}{
		{name: "at first, and then hardly ever", want: []time.Duration{0, glance}},
		{name: "at a ring, and after those it stands for", ring: []time.Duration{100 * ms}, want: []time.Duration{0, 100 * ms, 100*ms + silence, 100*ms + silence + glance}},
		{
			name: "after the silence of the last of several rings", ring: []time.Duration{100 * ms, 110 * ms},
			want: []time.Duration{0, 100 * ms, 110 * ms, 110*ms + silence, 110*ms + silence + glance},
		},
		{name: "again if it was rung while it was looked into", look: 1, want: []time.Duration{0, 0, silence, silence + glance}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBell()
				for _, d := range tc.ring {
					time.AfterFunc(d, b.ring)
				}
				got := looks(t, b, glance+time.Second, func(look int) {
					if look == tc.look {
						b.ring()
					}
				})
				if len(got) != len(tc.want) {
					t.Fatalf("looks at %v, want %v", got, tc.want)
				}
				for i := range got {
					if got[i] != tc.want[i] {
						t.Fatalf("looks at %v, want %v", got, tc.want)
					}
				}
			})
		})
	}
}

func TestALaneWithTasksIsLookedIntoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBell()
		began := time.Now()
		for range 3 {
			if _, ok := b.await(t.Context()); !ok {
				t.Fatal("it doesn't look")
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAClosedBellEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBell()
		reasons, _ := b.await(t.Context())
		b.foundNothing(reasons)
		time.AfterFunc(time.Second, b.close)
		began := time.Now()
		if _, ok := b.await(t.Context()); ok || time.Since(began) != time.Second {
			t.Errorf("%v after %v", ok, time.Since(began))
		}
		if _, ok := b.await(t.Context()); ok {
			t.Error("it waits no more")
		}
	})
}
