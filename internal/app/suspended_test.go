package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/redistest"
	"sluice/internal/simulator"
)

// suspensions are accounts whose provider refuses what they come with: before
// and after are what the configuration says of them until and since it is
// mended. HERE is the provider's host, THERE that of another region, which
// knows neither bot nor project.
var suspensions = []struct {
	account, name string
	with          string // the rest of the account
	before, after string
}{
	{
		"cloud", "whatsapp-cloud with a wrong access token",
		`provider: whatsapp-cloud, base_url: "HERE/v23.0", phone_number_id: "1", app_secret: s, verify_token: v`,
		`access_token: wrong`, `access_token: right-cloud`,
	},
	{
		"v2", "whatsapp-v2 with a wrong access token",
		`provider: whatsapp-v2, base_url: "HERE/v2", sender: "+15550004444", app_secret: s, verify_token: v`,
		`access_token: wrong`, `access_token: right-v2`,
	},
	{
		"onprem", "whatsapp-onprem with a wrong password",
		`provider: whatsapp-onprem, base_url: "HERE", username: admin, callback_token: callbacks`,
		`password: Wrong-password-1`, `password: Right-password-1`,
	},
	{
		"onprem-token", "whatsapp-onprem with a wrong token",
		`provider: whatsapp-onprem, base_url: "HERE/", sender: "+15550006666", callback_token: callbacks`,
		`token: wrong`, `token: right-onprem`,
	},
	{
		"v1", "sinch-whatsapp with a wrong token",
		`provider: sinch-whatsapp, base_url: "HERE", region: eu1, bot_id: bot-one, callback_secret: s`,
		`token: wrong`, `token: right-v1`,
	},
	{
		"v1-region", "sinch-whatsapp in a region that isn't the bot's",
		`provider: sinch-whatsapp, bot_id: bot-two, token: right-v1, callback_secret: s`,
		`base_url: "THERE", region: us1`, `base_url: "HERE", region: eu1`,
	},
	{
		"conversation", "sinch-conversation with a wrong key's secret",
		`provider: sinch-conversation, base_url: "HERE", auth_url: "HERE/oauth2/token", region: eu, project_id: p1, app_id: a1, key_id: k1, webhook_secret: s`,
		`key_secret: wrong`, `key_secret: right-conversation`,
	},
	{
		"conversation-region", "sinch-conversation in a region that isn't the app's",
		`provider: sinch-conversation, project_id: p2, app_id: a2, key_id: k2, key_secret: right-conversation, webhook_secret: s`,
		`base_url: "THERE", auth_url: "THERE/oauth2/token", region: us`, `base_url: "HERE", auth_url: "HERE/oauth2/token", region: eu`,
	},
}

// heldBody is what GET /v1/accounts/{id} tells of a hold.
type heldBody struct {
	Hold *struct {
		Until         time.Time
		Reason, Scope string
	}
	Lanes struct {
		Transactional struct{ Pending, Active int64 }
	}
}

func TestWrongCredentialsHoldTheAccountUntilTheConfigurationIsMended(t *testing.T) {
	t.Parallel()
	port, here, there := open(t), open(t), open(t)
	url := redistest.Start(t)
	text := func(mended bool) string {
		var b strings.Builder
		fmt.Fprintf(&b, `
redis: {url: %q}
api: {admin_listen: "127.0.0.1:0", public_url: "http://%s", keys: [KEY]}
worker: {admin_listen: "127.0.0.1:0"}
network: {allow_hosts: ["127.0.0.0/8"]}
defaults: {max_attempts: 1, rate: 50}
accounts:
`, url, port.Addr())
		for _, s := range suspensions {
			how := s.before
			if mended {
				how = s.after
			}
			fmt.Fprintf(&b, "  - {id: %s, %s, %s}\n", s.account, s.with, how)
		}
		return keyed(strings.NewReplacer("THERE", "http://"+there.Addr(), "HERE", "http://"+here.Addr()).Replace(b.String()))
	}
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	save := func(mended bool) *config.Config {
		t.Helper()
		if err := os.WriteFile(path, []byte(text(mended)), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	simulate(t, here, SimulatedAccounts(save(true)))
	// The same key is good for another project there.
	simulate(t, there, []simulator.Account{{
		ID: "another", Dialect: simulator.SinchConversation, ProjectID: "p9", AppID: "a9", KeyID: "k2", KeySecret: "right-conversation",
	}})
	i := launch(t, save(false), port, true, func(*Directory) {})

	const each = 3
	posted := make(map[string][]message)
	for _, s := range suspensions {
		for range each {
			posted[s.account] = append(posted[s.account], i.post(t, s.account, ""))
		}
	}
	state := func(account string) (a heldBody) {
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+account, "", &a)
		return a
	}
	for _, s := range suspensions {
		t.Run("held: "+s.name, func(t *testing.T) {
			await(t, "the account is held and nothing is under way", func() bool {
				a := state(s.account)
				return a.Hold != nil && a.Lanes.Transactional.Active == 0
			})
			hold := state(s.account).Hold
			if left := time.Until(hold.Until); hold.Reason == "" || left <= 0 || left > 31*time.Second {
				t.Errorf("held for %v: %q", left, hold.Reason)
			}
			for _, m := range posted[s.account] {
				m = i.get(t, m.ID)
				if m.Status != "queued" {
					t.Errorf("a message is %s", m.Status)
				}
				for _, a := range m.Attempts {
					if a.Outcome != "suspended" {
						t.Errorf("an attempt is %+v", a)
					}
				}
			}
		})
	}

	saved := time.Now()
	save(true)
	for _, s := range suspensions {
		t.Run("sent: "+s.name, func(t *testing.T) {
			for _, m := range posted[s.account] {
				await(t, "the message is read", func() bool { m = i.get(t, m.ID); return m.Status == "read" })
				// No attempt was spent, for there is only one.
				if last := m.Attempts[len(m.Attempts)-1]; last.Outcome != "accepted" {
					t.Errorf("the last attempt is %+v", last)
				}
				if took := m.reached("accepted").Sub(saved); took > steerBound+slack {
					t.Errorf("it was sent %v after the file was saved", took)
				}
			}
			if hold := state(s.account).Hold; hold != nil {
				t.Errorf("the account is still held: %+v", hold)
			}
		})
	}
}
