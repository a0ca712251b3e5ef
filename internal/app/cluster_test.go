package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/redistest"
	"sluice/internal/simulator"
)

// Everything on a cluster of Redis: three accounts, whose keys, and those of
// their lanes, lie on several nodes.
func TestAClusterCarriesEveryMessageOnce(t *testing.T) {
	t.Parallel()
	const perAccount = 100
	accounts := []string{"one", "two", "three"}
	port, providers := open(t), open(t)
	var entries strings.Builder
	for i, id := range accounts {
		fmt.Fprintf(&entries, "  - {id: %s, provider: whatsapp-cloud, base_url: \"http://%s/v23.0\", phone_number_id: \"%d\", "+
			"access_token: t%d, app_secret: s, verify_token: v, rate: 200}\n", id, providers.Addr(), i+1, i+1)
	}
	cfg := parse(t, fmt.Sprintf(`
redis: {url: %q}
api: {admin_listen: "127.0.0.1:0", public_url: "http://%s", keys: [KEY]}
worker: {admin_listen: "127.0.0.1:0"}
network: {allow_hosts: ["127.0.0.0/8"]}
accounts:
%s`, redistest.NewCluster(t, 0).URL, port.Addr(), entries.String()))
	simulate(t, providers, SimulatedAccounts(cfg))
	i := launch(t, cfg, port, true, func(*Directory) {})
	i.providers = providers.Addr()
	work(t, cfg, func(*Directory) {})
	await(t, "both workers have accounts", func() bool {
		var workers struct {
			Items []struct{ Accounts []string }
		}
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/workers", "", &workers)
		return len(workers.Items) == 2 && len(workers.Items[0].Accounts)*len(workers.Items[1].Accounts) == 2
	})

	for n := range perAccount {
		for _, account := range accounts {
			i.postTo(t, account, fmt.Sprintf("+467320011%02d", n), "")
		}
	}
	read := func(account string) int {
		var page struct{ Items []json.RawMessage }
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/messages?limit=200&status=read&account="+account, "", &page)
		return len(page.Items)
	}
	for _, account := range accounts {
		await(t, "all of "+account+" are read", func() bool { return read(account) == perAccount })
		var a struct {
			Lanes          map[string]struct{ Pending, Active, Parked, Scheduled int }
			SentLastMinute int `json:"sent_last_minute"`
		}
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+account, "", &a)
		for lane, l := range a.Lanes {
			if l.Pending+l.Active+l.Parked+l.Scheduled != 0 {
				t.Errorf("%s, %s: %+v wait though all are read", account, lane, l)
			}
		}
		if a.SentLastMinute != perAccount {
			t.Errorf("%s has sent %d in the last minute", account, a.SentLastMinute)
		}
	}
	var stats simulator.Stats
	if err := json.Unmarshal(i.simulate(t, http.MethodGet, "/_sim/stats", "", ""), &stats); err != nil {
		t.Fatal(err)
	}
	for _, a := range stats.Accounts {
		if a.Requests != perAccount || a.Accepted != perAccount {
			t.Errorf("the provider was asked %d times by %s and took %d messages", a.Requests, a.ID, a.Accepted)
		}
	}
}
