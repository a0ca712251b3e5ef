package stage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/simulator"
)

var here = addresses{api: "127.0.0.1:8080", simulator: "127.0.0.1:8090", redis: "redis://127.0.0.1:6379/0"}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text), ".", nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return c
}

func TestTheConfigurationIsAsShippedButForItsAccounts(t *testing.T) {
	made := Config{Accounts: 1000, Rate: 50}
	c := parse(t, made.sluice(here))
	if len(c.Accounts) != 1000 {
		t.Fatalf("%d accounts", len(c.Accounts))
	}
	for i, id := range made.AccountIDs() {
		if a := c.Accounts[i]; a.ID != id || c.GatewayAccount(a).Rate != 50 {
			t.Fatalf("account %d is %s at %v/s", i, a.ID, c.GatewayAccount(a).Rate)
		}
	}
	if diff := cmp.Diff(parse(t, "redis: {url: \"redis://127.0.0.1:6379/0\"}\n").Defaults, c.Defaults); diff != "" {
		t.Errorf("defaults (-shipped +generated):\n%s", diff)
	}
	shorter := Config{Accounts: 1, Rate: 50, Retention: Retention{Content: "1s", Record: "90s"}}
	if r := parse(t, shorter.sluice(here)).Defaults.Retention; r.Content.Seconds() != 1 || r.Record.Seconds() != 90 {
		t.Errorf("retention %+v", r)
	}
}

func TestTheSimulatorStampsWhatComesTooFast(t *testing.T) {
	silent := Config{Accounts: 2, Rate: 50}
	accounts := app.SimulatedAccounts(parse(t, silent.simulator(here)))
	want := simulator.Account{
		ID: "bench-0001", Dialect: simulator.WhatsAppCloud, SenderID: "100001", Number: "+15550000001", Token: Token(1),
		Secret: "secret-100001", VerifyToken: "verify-100001", Rate: unlimited,
	}
	if diff := cmp.Diff(want, accounts[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	talking := Config{Accounts: 1, Callbacks: true}
	if url := app.SimulatedAccounts(parse(t, talking.simulator(here)))[0].CallbackURL; url != "http://127.0.0.1:8080/callbacks/bench-0000" {
		t.Errorf("it reports to %q", url)
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	got := parseMemory("Name:\tapi\nVmPeak:\t 1270000 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t8\n")
	if want := (Memory{Now: 10 << 20, Most: 20 << 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCommandStatsAreReadOfEachCommand(t *testing.T) {
	got := parseCommands("# Commandstats\r\ncmdstat_evalsha:calls=12,usec=345,usec_per_call=28.75,rejected_calls=0,failed_calls=0\r\ncmdstat_config|get:calls=1,usec=2\r\n")
	want := map[string]Command{
		"evalsha":    {Name: "evalsha", Calls: 12, Took: 345 * time.Microsecond},
		"config|get": {Name: "config|get", Calls: 1, Took: 2 * time.Microsecond},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInfoFieldsAreFoundByTheirWholeName(t *testing.T) {
	info := "# Stats\r\nused_memory_dataset_perc:90%\r\nused_memory_dataset:1234\r\n"
	if got := infoField(info, "used_memory_dataset"); got != "1234" {
		t.Errorf("got %q", got)
	}
}
