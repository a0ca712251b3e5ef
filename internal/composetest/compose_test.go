package composetest

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
	"sluice/internal/simulator"
)

// drain is how long a program may take to stop.
const drain = 30 * time.Second

func TestTheServicesAreThese(t *testing.T) {
	want := []string{"api", "redis", "simulator", "worker"}
	got := load(t).ServiceNames()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

func TestEveryContainerLoadsTheSameValidConfiguration(t *testing.T) {
	want, err := filepath.Abs(filepath.Join(root, "configs/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	known := append(config.EnvNames(), "SLUICE_CONFIG", "SLUICE_LOG_LEVEL", "SLUICE_LOG_FORMAT")
	for _, name := range ours {
		s := service(t, name)
		configuration(t, name)
		if got := outside(s, config.Path(environ(s))); got != want {
			t.Errorf("%s: SLUICE_CONFIG is %s, want %s", name, got, want)
		}
		for variable := range s.Environment {
			if !slices.Contains(known, variable) {
				t.Errorf("%s: nothing reads %s", name, variable)
			}
		}
	}
}

func TestTheConfigurationNamesTheContainers(t *testing.T) {
	listens := port(t, listenFlag(t))
	for _, name := range ours {
		c := configuration(t, name)
		wantURL(t, name+": redis.url", c.Redis.URL.Reveal(), "redis", "6379")
		wantURL(t, name+": api.public_url", c.API.PublicURL, "api", port(t, c.API.Listen))
		var providers []string
		for _, a := range c.Accounts {
			providers = append(providers, string(a.Provider))
			wantURL(t, name+": base_url of "+string(a.ID), a.BaseURL, "simulator", listens)
			if a.AuthURL != "" {
				wantURL(t, name+": auth_url of "+string(a.ID), a.AuthURL, "simulator", listens)
			}
		}
		all := []string{"sinch-conversation", "sinch-whatsapp", "whatsapp-cloud", "whatsapp-onprem", "whatsapp-v2"}
		if diff := cmp.Diff(all, slices.Sorted(slices.Values(providers))); diff != "" {
			t.Errorf("%s: providers (-want +got):\n%s", name, diff)
		}
		// Without these the statuses of messages would never come.
		for _, host := range []string{"api", "simulator"} {
			if !slices.Contains(c.Network.AllowHosts, host) {
				t.Errorf("%s: network.allow_hosts lacks %s", name, host)
			}
		}
	}
}

// The curl command above docker-compose.yml works when pasted.
func TestTheKeyAndTheAccountOfTheExplanationAreConfigured(t *testing.T) {
	shown := text(t, "docker-compose.yml")
	c := configuration(t, "api")
	key := regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(shown)
	if key == nil {
		t.Fatal("docker-compose.yml shows no key")
	}
	sum := sha256.Sum256([]byte(key[1]))
	if !slices.ContainsFunc(c.API.Keys, func(k config.Key) bool { return k.Sum() == sum && slices.Contains(k.Scopes, config.ScopeSend) }) {
		t.Errorf("%s is no key that may send", key[1])
	}
	id := regexp.MustCompile(`"account":"([^"]+)"`).FindStringSubmatch(shown)
	if id == nil || !slices.ContainsFunc(c.Accounts, func(a config.Account) bool { return string(a.ID) == id[1] }) {
		t.Errorf("the account %v isn't configured", id)
	}
	for _, name := range []string{"api", "simulator"} {
		published := service(t, name).Ports[0]
		if address := published.HostIP + ":" + published.Published; !strings.Contains(shown, "http://"+address+"/") {
			t.Errorf("the %s isn't shown at %s", name, address)
		}
	}
}

func TestPortsOutsideAreWhereTheProgramsListen(t *testing.T) {
	c := configuration(t, "api")
	want := map[string][]string{
		"api":       {port(t, c.API.Listen), port(t, c.API.AdminListen)},
		"simulator": {port(t, listenFlag(t))},
		"worker":    nil, // two can't share one
		"redis":     nil, // it asks for no password
	}
	got := map[string][]string{}
	for name, s := range load(t).Services {
		got[name] = nil
		for _, p := range s.Ports {
			inside := strconv.FormatUint(uint64(p.Target), 10)
			got[name] = append(got[name], inside)
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network", name, p.Published)
			}
			if p.Published != inside {
				t.Errorf("%s: port %s is %s outside", name, inside, p.Published)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestEveryServiceIsCheckedByWhatItHas(t *testing.T) {
	want := map[string]types.HealthCheckTest{
		"api":       {"CMD", "/api", "healthcheck"},
		"worker":    {"CMD", "/worker", "healthcheck"},
		"simulator": {"CMD", "/sluice", "healthcheck", "http://127.0.0.1:" + port(t, listenFlag(t)) + "/_sim/stats"},
		"redis":     {"CMD-SHELL", "redis-cli ping | grep -q PONG"},
	}
	for name, s := range load(t).Services {
		h := s.HealthCheck
		if h == nil || h.Disable {
			t.Errorf("%s has no health check", name)
			continue
		}
		if diff := cmp.Diff(want[name], h.Test); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if h.Interval == nil || h.Timeout == nil || h.Retries == nil {
			t.Errorf("%s: interval, timeout and retries must be given", name)
		}
		if slices.Contains(ours, name) && h.Test[1] != s.Entrypoint[0] {
			t.Errorf("%s runs %s and is checked by %s", name, s.Entrypoint[0], h.Test[1])
		}
	}
}

func TestTheSimulatorAnswersItsHealthCheck(t *testing.T) {
	test := service(t, "simulator").HealthCheck.Test
	check, err := url.Parse(test[len(test)-1])
	if err != nil {
		t.Fatal(err)
	}
	sim := simulator.New(simulator.Options{})
	t.Cleanup(func() { _ = sim.Close(t.Context()) })
	w := httptest.NewRecorder()
	sim.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, check.Path, nil))
	if w.Code != http.StatusOK {
		t.Errorf("%s answers %d", check.Path, w.Code)
	}
}

func TestServicesWaitForWhatTheyNeed(t *testing.T) {
	want := map[string][]string{
		"api":       {"redis"},
		"redis":     nil,
		"simulator": nil,
		"worker":    {"redis", "simulator"},
	}
	got := map[string][]string{}
	for name, s := range load(t).Services {
		got[name] = s.GetDependencies()
		slices.Sort(got[name])
		for on, d := range s.DependsOn {
			if d.Condition != types.ServiceConditionHealthy || !d.Required {
				t.Errorf("%s doesn't wait until %s is healthy", name, on)
			}
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
}

func TestTwoWorkersRunAndMoreMay(t *testing.T) {
	s := service(t, "worker")
	if got := s.GetScale(); got != 2 {
		t.Errorf("%d workers, want 2", got)
	}
	if s.ContainerName != "" || s.Hostname != "" {
		t.Error("two containers can't have one name")
	}
}

func TestProgramsHaveTheTimeToStop(t *testing.T) {
	for _, name := range ours {
		grace := service(t, name).StopGracePeriod
		if grace == nil || time.Duration(*grace) <= drain {
			t.Errorf("%s is killed after %v, and may drain for %v", name, grace, drain)
		}
	}
	c := configuration(t, "worker")
	for _, a := range c.Accounts {
		if timeout := c.GatewayAccount(a).Timeout; timeout+time.Second >= drain {
			t.Errorf("%s: a call may last %v, longer than a drain", a.ID, timeout)
		}
	}
	// Redis saves what is left on SIGTERM; killed, it loses up to a second.
	if grace := service(t, "redis").StopGracePeriod; grace == nil || time.Duration(*grace) < drain {
		t.Errorf("redis is killed after %v, want %v", grace, drain)
	}
}

func TestNothingRunsAsRootOrMayBecomeIt(t *testing.T) {
	image := dockerfile(t).last("USER")
	for name, s := range load(t).Services {
		user := s.User
		if user == "" && slices.Contains(ours, name) {
			user = image
		}
		if id, _, _ := strings.Cut(user, ":"); id == "" || id == "root" || id == "0" {
			t.Errorf("%s runs as %q", name, user)
		}
		switch {
		case s.Privileged || len(s.CapAdd) > 0:
			t.Errorf("%s has rights of its own", name)
		case !slices.Equal(s.CapDrop, []string{"ALL"}):
			t.Errorf("%s keeps capabilities: drops %v", name, s.CapDrop)
		case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
			t.Errorf("%s may gain rights", name)
		case !s.ReadOnly:
			t.Errorf("%s may write to its image", name)
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
		}
	}
}

// The flags are those of docs/design.md, and a real server takes each of them.
func TestRedisKeepsWhatWasConfirmed(t *testing.T) {
	want := map[string]string{
		"appendonly":              "yes",
		"appendfsync":             "everysec",
		"maxmemory":               "512mb",
		"maxmemory-policy":        "noeviction",
		"hash-max-listpack-value": "2048",
	}
	s := service(t, "redis")
	if len(s.Command) == 0 || s.Command[0] != "redis-server" {
		t.Fatalf("command is %v", s.Command)
	}
	got := map[string]string{}
	for pair := range slices.Chunk(s.Command[1:], 2) {
		name, ok := strings.CutPrefix(pair[0], "--")
		if !ok || len(pair) != 2 {
			t.Fatalf("%v is no flag and its value", pair)
		}
		got[name] = pair[1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}

	client, err := redisdb.Open(redistest.Start(t), redisdb.ForAPI)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for name, value := range got {
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Errorf("redis-server doesn't take %s %s: %v", name, value, err)
		}
	}

	if len(s.Volumes) != 1 || s.Volumes[0].Type != types.VolumeTypeVolume || s.Volumes[0].Target != "/data" {
		t.Errorf("its data lie in %v, want a volume at /data", s.Volumes)
	}
}

// listenFlag is the address that the simulator is told to listen on.
func listenFlag(t *testing.T) string {
	t.Helper()
	command := service(t, "simulator").Command
	if len(command) != 3 || command[0] != "simulate" || command[1] != "--listen" {
		t.Fatalf("the simulator runs %v, want simulate --listen ADDRESS", command)
	}
	return command[2]
}

// port is the port of an address that others can reach: one without a host.
func port(t *testing.T, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "" {
		t.Fatalf("%q isn't an address that other containers reach", address)
	}
	return port
}

func wantURL(t *testing.T, what, raw, host, port string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() != host || u.Port() != port {
		t.Errorf("%s is %s, want %s:%s", what, raw, host, port)
	}
}
