package stage

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"sluice/internal/gateway"
)

// Key is the API key of benchmarks. It opens nothing but a process on loopback
// that talks to a simulator.
const Key = "sluice_bench_key_for_loopback_only"

// Config is what a configuration is generated from.
type Config struct {
	Accounts  int
	Rate      int       // of each account a second
	Callbacks bool      // the simulator reports statuses
	Retention Retention // zero: as shipped
}

// Retention is how long things are kept, as the configuration says it.
type Retention struct{ Content, Record string }

// AccountID is the id of the n-th account.
func AccountID(n int) gateway.AccountID { return gateway.AccountID(fmt.Sprintf("bench-%04d", n)) }

// AccountIDs are those of all accounts.
func (c Config) AccountIDs() []gateway.AccountID {
	ids := make([]gateway.AccountID, c.Accounts)
	for i := range ids {
		ids[i] = AccountID(i)
	}
	return ids
}

// addresses is where the parts are.
type addresses struct{ api, simulator, redis string }

// unlimited is the rate that the simulator allows: it shall stamp what comes
// too fast, not refuse it.
const unlimited = 100_000

// sluice is the configuration of the API and the workers.
func (c Config) sluice(at addresses) string { return c.render(at, c.Rate, true) }

// simulator is the configuration that the simulator takes its accounts from.
// Without public_url it knows nowhere to report to.
func (c Config) simulator(at addresses) string { return c.render(at, unlimited, c.Callbacks) }

func (c Config) render(at addresses, rate int, public bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "redis: {url: %q}\napi:\n  listen: %q\n", at.redis, at.api)
	if public {
		fmt.Fprintf(&b, "  public_url: \"http://%s\"\n", at.api)
	}
	fmt.Fprintf(&b, "  keys: [{name: bench, hash: \"sha256:%x\", accounts: [\"*\"], scopes: [send, read, operate]}]\n", sha256.Sum256([]byte(Key)))
	b.WriteString("network: {allow_hosts: [\"127.0.0.0/8\"]}\n")
	if r := c.Retention; r != (Retention{}) {
		fmt.Fprintf(&b, "defaults: {retention: {content: %s, record: %s}}\n", r.Content, r.Record)
	}
	b.WriteString("accounts:\n")
	for i, id := range c.AccountIDs() {
		fmt.Fprintf(&b, "  - {id: %s, provider: whatsapp-cloud, base_url: \"http://%s/v23.0\", phone_number_id: \"%d\", sender: \"+1555%07d\", rate: %d,\n"+
			"     access_token: token-%[3]d, app_secret: secret-%[3]d, verify_token: verify-%[3]d}\n", id, at.simulator, PhoneNumberID(i), i, rate)
	}
	return b.String()
}

// PhoneNumberID is what the simulator knows the n-th account by; its token is
// Token's.
func PhoneNumberID(n int) int { return 100_000 + n }

// Token is the n-th account's at the provider.
func Token(n int) string { return fmt.Sprintf("token-%d", PhoneNumberID(n)) }
