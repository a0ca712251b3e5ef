// Package stage starts what is measured, on loopback and as separate processes:
// Redis, API, workers, simulator. Nothing of it outlives Close.
package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/localredis"
	"sluice/internal/redisdb"
)

// Stage is one installation, empty at first.
type Stage struct {
	Config    Config
	Redis     redis.UniversalClient
	Simulator *Process
	API       *Process

	name    string
	bin     string
	dir     string
	at      addresses
	server  *localredis.Server
	started []*Process
	client  *http.Client
}

// Open starts a Redis with the shipped settings, and the simulator. bin is the
// folder that Build made.
func Open(ctx context.Context, bin string, c Config) (_ *Stage, err error) {
	s := &Stage{Config: c, name: "Sluice", bin: bin, client: &http.Client{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "sluice-bench-"); err != nil {
		return nil, err
	}
	if s.at.api, err = freeAddr(ctx); err != nil {
		return nil, err
	}
	if s.at.simulator, err = freeAddr(ctx); err != nil {
		return nil, err
	}
	// As docker-compose.yml has it, but for maxmemory: a million messages that
	// wait are more than a demonstration needs.
	s.server, err = localredis.Start(ctx, s.dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--maxmemory-policy", "noeviction", "--hash-max-listpack-value", "2048")
	if err != nil {
		return nil, err
	}
	s.at.redis = s.server.URL
	if s.Redis, err = redisdb.Open(s.server.URL, redisdb.ForWorker); err != nil {
		return nil, err
	}
	if err := s.Save(func(*Config) {}); err != nil {
		return nil, err
	}
	simulated := filepath.Join(s.dir, "simulator.yaml")
	if err := os.WriteFile(simulated, []byte(c.simulator(s.at)), 0o600); err != nil {
		return nil, err
	}
	if s.Simulator, err = s.start("sluice", nil, nil, "simulate", "--listen", s.at.simulator, "--config", simulated); err != nil {
		return nil, err
	}
	s.Simulator.name = "simulator"
	return s, s.await(ctx, "the simulator answers", func() bool {
		return s.get(ctx, "http://"+s.at.simulator+"/_sim/faults", nil) == nil
	})
}

func (s *Stage) path() string { return filepath.Join(s.dir, "sluice.yaml") }

// Save changes the configuration that API and workers run with; they notice by
// themselves.
func (s *Stage) Save(change func(*Config)) error {
	change(&s.Config)
	return os.WriteFile(s.path(), []byte(s.Config.sluice(s.at)), 0o600)
}

// StartAPI starts the API and returns when it is ready.
func (s *Stage) StartAPI(ctx context.Context) (err error) {
	if s.API, err = s.start("api", []string{"SLUICE_CONFIG=" + s.path()}, nil); err != nil {
		return err
	}
	return s.await(ctx, "the API is ready", func() bool { return s.get(ctx, "http://"+s.at.api+"/readyz", nil) == nil })
}

// StartWorker starts one more worker and returns at once.
func (s *Stage) StartWorker(ctx context.Context) (*Process, error) {
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	return s.start("worker", []string{"SLUICE_CONFIG=" + s.path(), "SLUICE_WORKER_ADMIN_LISTEN=" + admin}, nil)
}

// StartWorkers starts workers and returns when they own every account.
func (s *Stage) StartWorkers(ctx context.Context, n int) ([]*Process, error) {
	var workers []*Process
	for range n {
		w, err := s.StartWorker(ctx)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, s.AwaitOwners(ctx, n)
}

// AwaitOwners returns when there are so many workers and every account has one.
func (s *Stage) AwaitOwners(ctx context.Context, workers int) error {
	return s.await(ctx, "the workers own the accounts", func() bool {
		all, err := s.Workers(ctx)
		owned := 0
		for _, w := range all {
			owned += len(w.Accounts)
		}
		return err == nil && len(all) == workers && owned == s.Config.Accounts
	})
}

// StartBaseline starts a program of bench/baseline; what it writes goes to out.
func (s *Stage) StartBaseline(name string, out io.Writer, args ...string) (*Process, error) {
	s.name = "the bare " + name
	return s.start(filepath.Join("bench", name), nil, out, args...)
}

// Name tells what is measured here: the baseline that runs, or "Sluice".
func (s *Stage) Name() string { return s.name }

// Close ends every process, the Redis last, and removes what they wrote.
func (s *Stage) Close() error {
	for _, p := range s.started {
		p.Kill()
	}
	s.client.CloseIdleConnections()
	var errs []error
	if s.Redis != nil {
		errs = append(errs, s.Redis.Close())
	}
	if s.server != nil {
		s.server.Kill()
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// Drain stops the API and the workers in order, so that what Redis holds
// doesn't change any more.
func (s *Stage) Drain() error {
	var errs []error
	for _, p := range s.started {
		if p.name == "worker" || p.name == "api" {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(errs...)
}

// KeepLogs copies what the programs said into a folder.
func (s *Stage) KeepLogs(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, p := range s.started {
		said, err := os.ReadFile(p.log)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(p.log)), said, 0o600) //nolint:gosec // where the user wants it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Owner is the process of the worker that owns the n-th account. Workers name
// themselves in their logs.
func (s *Stage) Owner(ctx context.Context, n int) (*Process, error) {
	a, err := s.Account(ctx, n)
	if err != nil {
		return nil, err
	}
	if a.Owner == nil {
		return nil, fmt.Errorf("nobody owns %s", AccountID(n))
	}
	for _, p := range s.started {
		if said, err := os.ReadFile(p.log); err == nil && p.name == "worker" && bytes.Contains(said, []byte(*a.Owner)) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no worker is %s", *a.Owner)
}

// APIAddr is where the API listens.
func (s *Stage) APIAddr() string { return s.at.api }

// SimulatorAddr is where the simulator listens.
func (s *Stage) SimulatorAddr() string { return s.at.simulator }

// RedisAddr is Redis' host and port.
func (s *Stage) RedisAddr() string {
	return strings.TrimSuffix(strings.TrimPrefix(s.at.redis, "redis://"), "/0")
}

// CPU is how long Redis has computed.
func (s *Stage) CPU(ctx context.Context) time.Duration {
	info, err := s.Redis.Info(ctx, "server").Result()
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(infoField(info, "process_id"))
	return cpuOf(pid)
}

// Command is how often one was called, those inside scripts included, and for
// how long; of scripts with all they call.
type Command struct {
	Name  string
	Calls int64
	Took  time.Duration
}

// CommandStats are all commands since Redis began.
func (s *Stage) CommandStats(ctx context.Context) (map[string]Command, error) {
	info, err := s.Redis.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("redis info: %w", err)
	}
	return parseCommands(info), nil
}

func parseCommands(info string) map[string]Command {
	all := make(map[string]Command)
	for line := range strings.Lines(info) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, ok := strings.CutPrefix(name, "cmdstat_")
		if !ok {
			continue
		}
		c := Command{Name: name}
		for field := range strings.SplitSeq(rest, ",") {
			key, value, _ := strings.Cut(field, "=")
			n, _ := strconv.ParseInt(value, 10, 64) // other fields aren't whole
			switch key {
			case "calls":
				c.Calls = n
			case "usec":
				c.Took = time.Duration(n) * time.Microsecond
			}
		}
		all[name] = c
	}
	return all
}

// Commands is how many commands Redis has processed, those inside scripts
// included.
func (s *Stage) Commands(ctx context.Context) (int64, error) {
	return s.info(ctx, "stats", "total_commands_processed")
}

// Dataset is how many bytes Redis' data takes, without what it takes by itself.
func (s *Stage) Dataset(ctx context.Context) (int64, error) {
	return s.info(ctx, "memory", "used_memory_dataset")
}

func (s *Stage) info(ctx context.Context, section, field string) (int64, error) {
	info, err := s.Redis.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("redis info: %w", err)
	}
	return strconv.ParseInt(infoField(info, field), 10, 64)
}

// RedisVersion is that of the redis-server which stages start.
func RedisVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, localredis.Program, "--version").Output() //nolint:gosec // a constant
	if err != nil {
		return "", fmt.Errorf("%s: %w", localredis.Program, err)
	}
	_, version, _ := strings.Cut(string(out), "v=")
	version, _, _ = strings.Cut(version, " ")
	return version, nil
}

func infoField(info, field string) string {
	for line := range strings.Lines(info) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == field {
			return value
		}
	}
	return ""
}

// Worker is a line of GET /v1/workers.
type Worker struct {
	ID       string
	Accounts []string
}

// Workers asks the API who is there.
func (s *Stage) Workers(ctx context.Context) ([]Worker, error) {
	var page struct{ Items []Worker }
	err := s.get(ctx, "http://"+s.at.api+"/v1/workers", &page)
	return page.Items, err
}

// Account is what is read of GET /v1/accounts/{id}.
type Account struct {
	Rate    float64
	Breaker string
	Owner   *string
}

// Account asks the API for the n-th account.
func (s *Stage) Account(ctx context.Context, n int) (a Account, err error) {
	return a, s.get(ctx, "http://"+s.at.api+"/v1/accounts/"+string(AccountID(n)), &a)
}

// Batch is the answer to POST /v1/batches.
type Batch struct {
	Accepted, Rejected int
	Complete           bool
}

// PostBatch streams lines as one batch of bulk messages for the n-th account.
func (s *Stage) PostBatch(ctx context.Context, n int, lines io.Reader) (b Batch, err error) {
	url := fmt.Sprintf("http://%s/v1/batches?account=%s&priority=bulk", s.at.api, AccountID(n))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, lines)
	if err != nil {
		return b, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	err = s.do(req, &b)
	return b, err
}

// Fault has the simulator misbehave as the JSON says.
func (s *Stage) Fault(ctx context.Context, fault string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.at.simulator+"/_sim/faults", strings.NewReader(fault))
	if err != nil {
		return err
	}
	return s.do(req, nil)
}

// Seen is how many messages the simulator has accepted, and how many it will
// still report on.
func (s *Stage) Seen(ctx context.Context) (messages, reporting int, err error) {
	var stats struct {
		Ledger    struct{ Last int }
		Callbacks struct{ Pending int }
	}
	err = s.get(ctx, "http://"+s.at.simulator+"/_sim/stats", &stats)
	return stats.Ledger.Last, stats.Callbacks.Pending, err
}

// Stamp is one message as the provider got it.
type Stamp struct {
	ReceivedNS  int64 `json:"received_ns"`
	Account     string
	Correlation string
}

// At is when the provider had read the request.
func (s Stamp) At() time.Time { return time.Unix(0, s.ReceivedNS) }

// MessageID is ours, which the request carried.
func (s Stamp) MessageID() string { return s.Correlation[:min(len(s.Correlation), 32)] }

// Stamps are all messages that the provider got, in the order of arrival.
func (s *Stage) Stamps(ctx context.Context) ([]Stamp, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.at.simulator+"/_sim/stamps", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("stamps: %w", err)
	}
	defer resp.Body.Close()
	var stamps []Stamp
	for dec := json.NewDecoder(resp.Body); ; {
		var st Stamp
		if err := dec.Decode(&st); errors.Is(err, io.EOF) {
			return stamps, nil
		} else if err != nil {
			return nil, fmt.Errorf("stamps: %w", err)
		}
		stamps = append(stamps, st)
	}
}

// statusError is an answer that isn't a success.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

func (s *Stage) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	return s.do(req, into)
}

func (s *Stage) do(req *http.Request, into any) error {
	req.Header.Set("Authorization", "Bearer "+Key)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %w: %s", req.Method, req.URL.Path, statusError(resp.StatusCode), body.String())
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body.Bytes(), into)
}

// startPatience is for everything that is awaited at the start.
const startPatience = time.Minute

func (s *Stage) await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := Await(ctx, 20*time.Millisecond, holds); err != nil {
		return fmt.Errorf("it never came to this: %s: %w", what, err)
	}
	return nil
}

// Await looks every so often until the condition holds.
func Await(ctx context.Context, every time.Duration, holds func() bool) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// freeAddr is an address of loopback that nobody uses. Its port is none that
// the system gives to outgoing connections, so it stays free.
func freeAddr(ctx context.Context) (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port is free")
}

// StartBareHandler starts bench/baseline/handler in the API's place.
func (s *Stage) StartBareHandler(ctx context.Context) (*Process, error) {
	p, err := s.StartBaseline("handler", nil, s.at.api, s.RedisAddr())
	if err != nil {
		return nil, err
	}
	return p, s.await(ctx, "the bare handler answers", func() bool {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.at.api)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Unrecorded is how many messages wait or are in flight by the counters.
func (s *Stage) Unrecorded(ctx context.Context) (total int, err error) {
	pipe := s.Redis.Pipeline()
	var cmds []*redis.SliceCmd
	for _, id := range s.Config.AccountIDs() {
		cmds = append(cmds, pipe.HMGet(ctx, redisdb.Key(id.Tag(), "n"), "tp", "ta", "tk", "bp", "ba", "bk"))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	for _, cmd := range cmds {
		for _, v := range cmd.Val() {
			if text, ok := v.(string); ok {
				n, _ := strconv.Atoi(text) // our own scripts wrote it
				total += n
			}
		}
	}
	return total, nil
}

// Left is how many entries the accounts' indexes of messages still have.
func (s *Stage) Left(ctx context.Context) (total int, err error) {
	pipe := s.Redis.Pipeline()
	var cmds []*redis.IntCmd
	for _, id := range s.Config.AccountIDs() {
		for _, name := range []string{"ix", "timer", "out", "fly", "parkt", "parkb", "no", "poll", "bl", "bx"} {
			cmds = append(cmds, pipe.ZCard(ctx, redisdb.Key(id.Tag(), name)))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	for _, cmd := range cmds {
		total += int(cmd.Val())
	}
	return total, nil
}
