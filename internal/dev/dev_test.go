package dev

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/localredis"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

// redisURL is where a private redis-server says it is.
var redisURL = regexp.MustCompile(`redis://127\.0\.0\.1:[0-9]+/0`)

// command is a printed curl line, split as a shell would.
func command(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end, quote := " ", 0
		if strings.HasPrefix(rest, "'") {
			end, quote = "'", 1
		}
		word, after, found := strings.Cut(rest[quote:], end)
		if quote == 1 && !found || strings.ContainsAny(word, "$`\\") {
			t.Fatalf("a shell wouldn't take this as it is: %s", line)
		}
		words, rest = append(words, word), after
	}
	return words
}

// curl does what the command says, by curl itself if it is installed, and
// decodes the answer.
func curl(t *testing.T, words []string, into any) {
	t.Helper()
	if words[0] != "curl" {
		t.Fatalf("not curl: %q", words)
	}
	var answer []byte
	if _, err := exec.LookPath("curl"); err == nil {
		if answer, err = exec.CommandContext(t.Context(), "curl", words[1:]...).Output(); err != nil {
			t.Fatalf("%q: %v", words, err)
		}
	} else {
		answer = imitate(t, words[1:])
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
}

// imitate is curl, as far as it is needed.
func imitate(t *testing.T, args []string) []byte {
	t.Helper()
	method, url, body, header := http.MethodGet, "", "", http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-sS":
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			method, body = http.MethodPost, args[i]
		default:
			url = args[i]
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Close = header, true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// printed is what a user reads, with braces around what differs.
const printed = `
Sluice is running; Ctrl-C drains and stops.

  API        http://{api}
  API key    sluice_dev_key_for_this_machine_only
  Accounts   demo-cloud, demo-sinch, demo-conversation, demo-v2, demo-onprem
  Simulator  http://{simulator}/_sim/messages
  Redis      {redis}

Send a WhatsApp text through the simulated Cloud API:

  curl -sS http://{api}/v1/messages -H 'Authorization: Bearer sluice_dev_key_for_this_machine_only' -H 'Content-Type: application/json' -d '{"account":"demo-cloud","to":"+46732001122","type":"text","text":{"body":"Hello from Sluice"}}'

Send one through the simulated Sinch WhatsApp API:

  curl -sS http://{api}/v1/messages -H 'Authorization: Bearer sluice_dev_key_for_this_machine_only' -H 'Content-Type: application/json' -d '{"account":"demo-sinch","to":"+46732001122","type":"text","text":{"body":"Hello from Sluice"}}'

See what became of it, with the id from the answer:

  curl -sS http://{api}/v1/messages/ID -H 'Authorization: Bearer sluice_dev_key_for_this_machine_only'

`

func TestThePrintedCommandsSendThroughBothProvidersWithAnyRedis(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name  string
		o     func(*testing.T) Options
		redis string
	}{
		{
			"the one that is named",
			func(t *testing.T) Options { t.Helper(); return Options{RedisURL: redistest.Start(t)} },
			"yours (SLUICE_REDIS_URL)",
		},
		{
			"a private redis-server",
			func(*testing.T) Options { return Options{Dir: dir} },
			"private redis-server at {url}, data in " + dir,
		},
		{
			"an embedded one",
			func(*testing.T) Options { return Options{Embedded: true} },
			"embedded, in memory\n\n  Warning: Messages are kept in memory, and nothing outlives this process.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := run(t, c.o(t))
			out := d.out.String()
			want := strings.NewReplacer("{api}", d.api, "{simulator}", d.simulator, "{redis}", c.redis).Replace(printed)
			if diff := cmp.Diff(want, redisURL.ReplaceAllString(out, "{url}")); diff != "" {
				t.Errorf("what is printed (-want +got):\n%s", diff)
			}

			var sends [][]string
			var look []string
			for line := range strings.Lines(out) {
				switch line = strings.TrimSpace(line); {
				case !strings.HasPrefix(line, "curl "):
				case strings.Contains(line, "/ID "):
					look = command(t, line)
				default:
					sends = append(sends, command(t, line))
				}
			}
			if len(sends) != 2 || look == nil {
				t.Fatalf("%d commands that send, and to look: %q", len(sends), look)
			}
			for i, account := range []string{"demo-cloud", "demo-sinch"} {
				var m message
				curl(t, sends[i], &m)
				if m.Account != account || m.Status != "queued" || m.ID == "" {
					t.Fatalf("the post answers %+v", m)
				}
				words := append([]string(nil), look...)
				words[2] = strings.Replace(words[2], "ID", m.ID, 1)
				await(t, "the message is read", func() bool {
					curl(t, words, &m)
					return m.Status == "read"
				})
				if diff := cmp.Diff([]string{"queued", "sending", "accepted", "sent", "delivered", "read"}, statuses(m)); diff != "" {
					t.Errorf("%s: history (-want +got):\n%s", account, diff)
				}
				if m.ProviderMessageID == "" || len(m.Attempts) != 1 || m.Attempts[0].Number != 1 || m.Attempts[0].Outcome != "accepted" {
					t.Errorf("%s: provider's id %q, attempts %+v", account, m.ProviderMessageID, m.Attempts)
				}
			}
			d.stop(t)
			kept := "what waits stays in Redis"
			if c.name == "an embedded one" {
				kept = "what waits is gone with the memory it was in"
			}
			if !strings.HasSuffix(d.out.String(), "\nDraining: calls under way are finished, "+kept+".\n") {
				t.Errorf("at the end it says %q", strings.TrimPrefix(d.out.String(), out))
			}
		})
	}
}

func TestEveryProviderHasAnAccountThatWorks(t *testing.T) {
	t.Parallel()
	d := run(t, Options{Embedded: true})
	defer d.stop(t)
	for account, want := range map[string]string{
		"demo-cloud": "queued sending accepted sent delivered read",
		"demo-sinch": "queued sending accepted sent delivered read",
		// A receipt of "sent" is none of the Conversation API's.
		"demo-conversation": "queued sending accepted delivered read",
		"demo-v2":           "queued sending accepted sent delivered read",
		"demo-onprem":       "queued sending accepted sent delivered read",
	} {
		m := d.await(t, d.post(t, account).ID, "read")
		if got := strings.Join(statuses(m), " "); got != want || m.ProviderMessageID == "" {
			t.Errorf("%s went %q with provider's id %q, want %q", account, got, m.ProviderMessageID, want)
		}
	}
}

func TestAnEmbeddedRedisSaysWhyItIsUsed(t *testing.T) {
	r, err := embedRedis(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.stop(t.Context()) }()
	const want = "No redis-server is installed. Messages are kept in memory, and nothing outlives this process."
	if r.warn != want {
		t.Errorf("warn = %q", r.warn)
	}
}

// The end comes while a call is open at one account and a message waits at the
// other, which is paused.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    func(*testing.T) Options
	}{
		{"with the Redis that is named", func(t *testing.T) Options { t.Helper(); return Options{RedisURL: redistest.Start(t)} }},
		{"with a private redis-server", func(t *testing.T) Options { t.Helper(); return Options{Dir: t.TempDir()} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := c.o(t)
			d := run(t, o)
			ask(t, http.MethodPost, "http://"+d.simulator+"/_sim/faults", `{"account":"demo-cloud","fault":"slow","delay_ms":1000}`, http.StatusCreated, nil)
			ask(t, http.MethodPost, "http://"+d.api+"/v1/accounts/demo-sinch/pause", "", http.StatusOK, nil)
			flying, waiting := d.post(t, "demo-cloud"), d.post(t, "demo-sinch")
			d.await(t, flying.ID, "sending")
			d.stop(t)

			d = run(t, o)
			// The simulator reports before its slow answer; the API heard it in the drain.
			if m := d.get(t, flying.ID); m.Status != "read" || m.ProviderMessageID == "" || len(m.Attempts) != 1 || m.Attempts[0].Outcome != "accepted" {
				t.Errorf("what was in flight is %+v", m)
			}
			if m := d.get(t, waiting.ID); m.Status != "queued" || len(m.Attempts) != 0 {
				t.Errorf("what waited is %+v", m)
			}
			ask(t, http.MethodPost, "http://"+d.api+"/v1/accounts/demo-sinch/resume", "", http.StatusOK, nil)
			if m := d.await(t, waiting.ID, "read"); len(m.Attempts) != 1 {
				t.Errorf("what waited was sent as %+v", m)
			}
		})
	}
}

func TestAnEmbeddedDemonstrationFinishesTheCallInFlight(t *testing.T) {
	t.Parallel()
	d := run(t, Options{Embedded: true})
	ask(t, http.MethodPost, "http://"+d.simulator+"/_sim/faults", `{"fault":"slow","delay_ms":600}`, http.StatusCreated, nil)
	m := d.post(t, "demo-sinch")
	d.await(t, m.ID, "sending")
	begun := time.Now()
	d.stop(t)
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("it ended after %v, before the call had its answer", took)
	}
}

func TestItEndsWhenThePrivateRedisDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := run(t, Options{Dir: dir})
	rdb, err := redisdb.Open(redisURL.FindString(d.out.String()), redisdb.ForLiveness)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	_ = rdb.ShutdownNoSave(t.Context()) // it can't answer
	d.awaitEnd(t)
	if want := "redis-server ended; what it kept is in " + dir; d.err == nil || !strings.Contains(d.err.Error(), want) {
		t.Errorf("Run = %v, want %s", d.err, want)
	}
}

func TestWhatIsWrongShowsAtOnce(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	used := taken.Addr().String()
	const free = "127.0.0.1:0"
	dir := t.TempDir()
	data := filepath.Join(dir, "redis")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	server, err := localredis.Start(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"the API's port is in use", Options{Listen: used, SimulatorListen: free, Embedded: true}, "API: listen tcp " + used + ": bind: address already in use"},
		{"the simulator's port is in use", Options{Listen: free, SimulatorListen: used, Embedded: true}, "simulator: listen tcp " + used + ": bind: address already in use"},
		{"the API is to be open to all", Options{Listen: ":0", SimulatorListen: free, Embedded: true}, "API: must listen on a loopback address such as 127.0.0.1:8080, not :0"},
		{"the simulator is to be open to all", Options{Listen: free, SimulatorListen: "0.0.0.0:0", Embedded: true}, "simulator: must listen on a loopback address such as 127.0.0.1:8080, not 0.0.0.0:0"},
		{"no Redis is where one is named", Options{Listen: free, SimulatorListen: free, RedisURL: "redis://127.0.0.1:1/0"}, "redis.url: no Redis answers"},
		{"what names Redis is no URL", Options{Listen: free, SimulatorListen: free, RedisURL: "localhost"}, "redis.url: must be a URL"},
		{"another has the folder", Options{Listen: free, SimulatorListen: free, Dir: dir}, "another sluice dev keeps its data in " + dir},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := &text{}
			c.o.Out, c.o.Log = out, slog.New(slog.DiscardHandler)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := Run(ctx, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run = %v, want one line with %q", err, c.want)
			}
			if out.String() != "" {
				t.Errorf("it printed %q", out)
			}
		})
	}
}
