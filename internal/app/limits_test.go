package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/simulator"
)

// postBulk posts a text of a bulk campaign.
func (i *installation) postBulk(t *testing.T, account, to, more string) message {
	t.Helper()
	return i.postTo(t, account, to, `,"priority":"bulk"`+more)
}

// simulated is what the provider has of an account.
func (i *installation) simulated(t *testing.T, account string) (stats simulator.AccountStats, entries []simulator.Entry) {
	t.Helper()
	read := func(path string, into any) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.providers+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	var all simulator.Stats
	read("/_sim/stats", &all)
	for _, a := range all.Accounts {
		if a.ID == account {
			stats = a
		}
	}
	var page simulator.Page
	read("/_sim/messages?limit=1000&account="+account, &page)
	return stats, page.Messages
}

// quick is the Cloud API, thirty times as fast with recipients.
type quick struct{ provider }

const quickEvery = 200 * time.Millisecond

func (quick) PairLimit() gateway.PairLimit { return gateway.PairLimit{Every: quickEvery, Burst: 45} }

func TestManyMessagesToOneRecipientAreNeverRefusedAndHoldUpNobody(t *testing.T) {
	t.Parallel()
	const rate, same, others = 40, 60, 100
	i := installChanged(t, true, fmt.Sprintf(`
  - {id: pairs, provider: whatsapp-cloud, base_url: "SIMULATOR/v23.0", phone_number_id: "2", access_token: t2, rate: %d}`, rate),
		func(accounts []simulator.Account) {
			for i := range accounts {
				if accounts[i].ID == "pairs" {
					accounts[i].PairEvery, accounts[i].PairBurst = quickEvery, 45
					accounts[i].Rate = 0 // a busy machine's jitter is another test's subject
				}
			}
		},
		func(d *Directory) {
			a := d.now.Load().accounts["pairs"]
			a.provider = quick{a.provider}
		})
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/pairs/pause", "", nil)
	var wg sync.WaitGroup
	for n := range same {
		i.postBulk(t, "pairs", "+46732001122", fmt.Sprintf(`,"reference":"%02d"`, n))
	}
	for n := range others {
		wg.Go(func() { i.postBulk(t, "pairs", fmt.Sprintf("+4673300%04d", 5000+n), "") })
	}
	wg.Wait()
	began := time.Now()
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/pairs/resume", "", nil)
	await(t, "all are sent", func() bool {
		stats, _ := i.simulated(t, "pairs")
		return stats.Accepted == same+others
	})
	stats, entries := i.simulated(t, "pairs")
	if len(stats.Refused) != 0 {
		t.Errorf("refused: %v", stats.Refused)
	}
	var lastOther time.Time
	for _, e := range entries {
		if e.Recipient != "46732001122" && e.ReceivedAt.After(lastOther) {
			lastOther = e.ReceivedAt
		}
	}
	// What may go at once goes at the account's pace, the others among it.
	if took, most := lastOther.Sub(began), (same+others)*time.Second/rate+slack; took > most {
		t.Errorf("the others took %v, want %v at most", took, most)
	}
	if took, least := time.Since(began), (same-45)*quickEvery; took < least {
		t.Errorf("all took %v: the provider's limit of %v wasn't there", took, least)
	}
}

func TestATierIsSharedByItsPortfolioAndShownWhenFull(t *testing.T) {
	t.Parallel()
	i := installWith(t, true, `
  - {id: one, provider: whatsapp-cloud, base_url: "SIMULATOR/v23.0", phone_number_id: "2", access_token: t2, rate: 50, portfolio: p, tier: 3}
  - {id: two, provider: whatsapp-cloud, base_url: "SIMULATOR/v23.0", phone_number_id: "3", access_token: t3, rate: 50, portfolio: p, tier: 3}`)
	type tier struct {
		Limit, Used, Parked int
		FullUntil           *time.Time `json:"full_until"`
	}
	state := func(account string) tier {
		var a struct{ Tier tier }
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+account, "", &a)
		return a.Tier
	}
	if got := state("one"); got != (tier{Limit: 3}) {
		t.Errorf("a fresh tier is %+v", got)
	}
	accepted := func(account string) int64 {
		stats, _ := i.simulated(t, account)
		return stats.Accepted
	}
	for n := range 3 {
		i.postBulk(t, "one", fmt.Sprintf("+4673300500%d", n), "")
	}
	await(t, "three are sent", func() bool { return accepted("one") == 3 })
	beyond := i.postBulk(t, "two", "+46733005009", "")
	i.postBulk(t, "two", "+46733005001", "") // is counted already
	await(t, "the counted one is sent, the other waits", func() bool { return accepted("two") == 1 && state("two").Parked == 1 })
	got := state("two")
	if got.Used != 3 || got.FullUntil == nil || time.Until(*got.FullUntil) < 23*time.Hour {
		t.Errorf("a full tier is %+v", got)
	}
	if m := i.get(t, beyond.ID); m.Status != "queued" || len(m.Attempts) != 0 {
		t.Errorf("beyond the tier it is %s after %d attempts", m.Status, len(m.Attempts))
	}

	// A day passes for the recipients that are counted.
	key := redisdb.Key(gateway.PortfolioTag(gateway.WhatsAppCloud, "p"), "tier")
	for _, who := range i.api.rdb.ZRange(t.Context(), key, 0, -1).Val() {
		i.api.rdb.ZIncrBy(t.Context(), key, -float64(gateway.TierWindow.Milliseconds()), who)
	}
	i.ask(t, http.StatusOK, http.MethodPost, "/v1/accounts/two/resume", "", nil) // has the account looked after
	await(t, "there is room", func() bool { return i.get(t, beyond.ID).Status != "queued" && accepted("two") == 2 })
	if got := state("two"); got.Parked != 0 || got.Used != 1 || got.FullUntil != nil {
		t.Errorf("a day later the tier is %+v", got)
	}
}

func TestWhatIsScheduledForOneSecondDrainsAtTheAccountsPace(t *testing.T) {
	t.Parallel()
	const rate, n = 60, 150
	i := installChanged(t, true, fmt.Sprintf(`
  - {id: sale, provider: whatsapp-cloud, base_url: "SIMULATOR/v23.0", phone_number_id: "2", access_token: t2, rate: %d}`, rate),
		func(accounts []simulator.Account) {
			for i := range accounts {
				accounts[i].Rate = 0 // a busy machine's jitter is another test's subject
			}
		}, func(*Directory) {})
	due := time.Now().Add(6 * time.Second).UTC().Truncate(time.Millisecond)
	var wg sync.WaitGroup
	for n := range n {
		wg.Go(func() {
			i.postBulk(t, "sale", fmt.Sprintf("+4673300%04d", 5000+n), fmt.Sprintf(`,"send_at":%q`, due.Format(time.RFC3339Nano)))
		})
	}
	wg.Wait()
	if posted := time.Now(); posted.After(due) {
		t.Fatalf("this machine took %v to post them", posted.Sub(due)+6*time.Second)
	}
	await(t, "all are sent", func() bool {
		stats, _ := i.simulated(t, "sale")
		return stats.Accepted == n
	})
	_, entries := i.simulated(t, "sale")
	first, last := entries[0].ReceivedAt, entries[n-1].ReceivedAt
	if late := first.Sub(due); late < 0 || late > time.Second+slack {
		t.Errorf("the first came %v after its time", late)
	}
	if took, least := last.Sub(first), (n-rate)*time.Second/rate; took < least || took > n*time.Second/rate+slack {
		t.Errorf("%d took %v at %d a second", n, took, rate)
	}
}
