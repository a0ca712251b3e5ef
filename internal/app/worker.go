package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"sluice/internal/callback/outbound"
	"sluice/internal/gateway"
	"sluice/internal/limits"
	"sluice/internal/media"
	"sluice/internal/netguard"
	"sluice/internal/queue"
	"sluice/internal/redisdb"
	"sluice/internal/sender"
	"sluice/internal/store"
	"sluice/internal/telemetry"
)

// Worker is the process that sends. Any number run side by side and share the
// accounts.
type Worker struct {
	o         Options
	directory *Directory
	rdb       redis.UniversalClient // patient: its commands outlast a blip
	liveness  redis.UniversalClient // hasty: a late renewal is worth nothing
	port      *Port
	admin     http.Handler
	manager   *queue.Manager
	desks     *desks
}

// NewWorker opens the admin port and finds Redis; what is wrong with either
// shows here. Run it, or close it.
func NewWorker(ctx context.Context, o Options) (_ *Worker, err error) {
	w := &Worker{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.directory, err = NewDirectory(o.Config); err != nil {
		return nil, err
	}
	if w.port, err = OpenPort(ctx, "worker.admin_listen", o.Config.Worker.AdminListen, o.Log); err != nil {
		return nil, err
	}
	if w.liveness, err = openRedis(ctx, o.Config, redisdb.ForLiveness); err != nil {
		return nil, err
	}
	rdb, err := redisdb.Open(string(o.Config.Redis.URL), redisdb.ForWorker)
	if err != nil {
		return nil, err
	}
	if w.rdb, err = redisdb.Pipelined(rdb); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}

	registry := telemetry.NewRegistry()
	st := newStore(w.rdb, w.directory)
	w.desks = newDesks(w.directory, st, queue.NewClient(w.rdb, o.Log), o, registry)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	w.manager, err = queue.NewManager(queue.Options{
		Redis: w.rdb, Liveness: w.liveness,
		Accounts: w.directory.Accounts, Revision: w.directory.Revision, Digest: w.directory.Digest,
		Open: w.desks.open, Due: st,
		Log: o.Log, Registerer: registry, Host: host, DrainTimeout: drainTimeout(w.directory),
	})
	if err != nil {
		return nil, fmt.Errorf("build the queue's manager: %w", err)
	}
	w.admin = telemetry.AdminHandler(telemetry.Options{
		Ready:    func(ctx context.Context) error { return ping(ctx, w.liveness) },
		Gatherer: registry,
	})
	return w, nil
}

// drainTimeout lets the longest call of all accounts end, and be recorded.
func drainTimeout(d *Directory) time.Duration {
	longest := 20 * time.Second
	for _, a := range d.now.Load().accounts {
		longest = max(longest, a.Timeout)
	}
	return longest + 10*time.Second
}

// Addr is where the worker's admin address is.
func (w *Worker) Addr() string { return w.port.Addr() }

// Run owns and serves accounts until ctx ends. Then it hands them over and
// finishes the calls it has begun; its admin address answers until the end.
func (w *Worker) Run(ctx context.Context) error {
	admin, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stopAdmin()
		return w.manager.Run(ctx)
	})
	g.Go(func() error { return w.port.Serve(admin, w.admin) })
	g.Go(func() error {
		reload(ctx, w.o, w.directory, w.manager.Refresh)
		return nil
	})
	w.o.Log.InfoContext(ctx, "the worker runs", "admin", w.Addr(), "version", telemetry.Version())
	return errors.Join(g.Wait(), w.Close())
}

// Close gives back what NewWorker opened.
func (w *Worker) Close() error {
	var errs []error
	if w.port != nil {
		errs = append(errs, w.port.Close())
	}
	if w.desks != nil {
		w.desks.close()
	}
	for _, rdb := range []redis.UniversalClient{w.rdb, w.liveness} {
		if rdb != nil {
			errs = append(errs, rdb.Close())
		}
	}
	return errors.Join(errs...)
}

// desks opens the sending side of accounts as this worker comes to own them.
type desks struct {
	o         Options
	directory *Directory
	store     *store.Store
	queue     *queue.Client
	media     *media.Checker
	metrics   *sender.Metrics
	health    *healthMetrics
	courier   *outbound.Courier
}

func newDesks(d *Directory, st *store.Store, q *queue.Client, o Options, r prometheus.Registerer) *desks {
	return &desks{
		o: o, directory: d, store: st, queue: q,
		media:   media.NewChecker(&http.Client{Transport: roundTripper(d.fetch)}, media.Options{Refused: refused}),
		metrics: sender.NewMetrics(r),
		health:  newHealthMetrics(r),
		courier: outbound.New(outbound.Options{
			Store: st, Client: &http.Client{Transport: roundTripper(d.fetch)}, Secrets: d.CallbackSecrets,
			Refused: refused, Version: telemetry.Version(), Log: o.Log, Registerer: r,
		}),
	}
}

// refused recognises what the guard says of a URL that leads inside.
func refused(err error) bool { return errors.Is(err, netguard.ErrRefused) }

// open implements queue.Options.Open.
func (d *desks) open(g queue.Grant) queue.Desk {
	id := g.Lease.Account
	last, ok := d.directory.now.Load().accounts[id]
	if !ok && g.Retired {
		last, ok = d.directory.retired(id), true
	}
	if !ok {
		return nil
	}
	// An account that leaves the configuration sends on as it was until the queue
	// has let go of it.
	current := func() *account {
		if a, ok := d.directory.now.Load().accounts[id]; ok {
			return a
		}
		return last
	}
	client := &http.Client{CheckRedirect: noRedirect, Transport: through(func() *http.Client { return current().client })}
	polls := sender.NewPolls(sender.PollOptions{
		Asked: func() sender.Asked {
			a := current()
			return sender.Asked{Poller: a.poller(), Finder: a.finder(), Timeout: a.Timeout}
		},
		Lease: g.Lease, Store: d.store, Client: client, Log: d.o.Log,
	})
	send := sender.NewDesk(sender.Options{
		Account: func() (*gateway.Account, sender.Provider) {
			a := current()
			return &a.Account, a.provider
		},
		Lease: g.Lease, Alive: g.Alive, Wake: g.Wake,
		Store: recorder{d.store, polls}, Queue: d.queue,
		Pacer: limits.NewPacer(last.Rate, g.FirstSendIn),
		Slots: limits.NewInFlight(last.InFlightCap()),
		Pairs: limits.NewPairs(),
		Media: d.media.For(id), Links: d.directory,
		Client: client,
		Backoff: func(spent int) time.Duration {
			return limits.FullJitter(spent, limits.BackoffBase, limits.BackoffCap, rand.Int64N)
		},
		Log: d.o.Log, Metrics: d.metrics,
	})
	return &desk{Desk: send, round: d.courier.Open(g.Lease, g.Wake), polls: polls, monitor: newMonitor(watch{
		account: id, alive: g.Alive, store: d.store, metrics: d.health, log: d.o.Log,
		reporter: func() sender.Reporter {
			r, _ := current().provider.(sender.Reporter)
			return r
		},
	})}
}

func (d *desks) close() {
	d.directory.Close()
}
