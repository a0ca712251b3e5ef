package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"sluice/internal/api"
	"sluice/internal/callback"
	"sluice/internal/gateway"
	"sluice/internal/queue"
	"sluice/internal/redisdb"
	"sluice/internal/store"
	"sluice/internal/telemetry"
)

// API is the process that takes messages in, answers questions about them and
// receives the providers' callbacks.
type API struct {
	o         Options
	directory *Directory
	rdb       redis.UniversalClient
	port      *Port
	handler   http.Handler
	adminPort *Port // nil: metrics are behind a key only
	admin     http.Handler
}

// NewAPI opens the ports and finds Redis; what is wrong with them shows here.
// Run it, or close it.
func NewAPI(ctx context.Context, o Options) (_ *API, err error) {
	a := &API{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.directory, err = NewDirectory(o.Config); err != nil {
		return nil, err
	}
	if a.port = o.Port; a.port == nil {
		if a.port, err = OpenPort(ctx, "api.listen", o.Config.API.Listen, o.Log); err != nil {
			return nil, err
		}
	}
	if addr := o.Config.API.AdminListen; addr != "" {
		if a.adminPort, err = OpenPort(ctx, "api.admin_listen", addr, o.Log); err != nil {
			return nil, err
		}
	}
	rdb, err := openRedis(ctx, o.Config, redisdb.ForAPI)
	if err != nil {
		return nil, err
	}
	if a.rdb, err = redisdb.Pipelined(rdb); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return a, a.build()
}

func (a *API) build() error {
	registry := telemetry.NewRegistry()
	st := newStore(a.rdb, a.directory)
	lanes := queue.NewClient(a.rdb, a.o.Log)
	ready := func(ctx context.Context) error { return ping(ctx, a.rdb) }
	server, err := api.New(api.Options{
		Directory:    a.directory,
		Store:        st,
		Recall:       st,
		Queue:        intake{store: st, queue: lanes},
		States:       states{directory: a.directory, store: st, queue: lanes},
		Operator:     operator{st},
		Batches:      st,
		Suppressions: st,
		Checker:      a.directory,
		CheckURL:     a.directory.CheckURL,
		Callbacks: callback.NewIngress(callback.Options{
			Accounts: a.directory, Store: st, LinkSecret: a.directory.LinkSecrets, Provider: a.directory.Provider,
			OptOutWords: a.directory.OptOutWords,
			Metrics:     callback.NewMetrics(registry), Log: a.o.Log,
		}),
		Ready:      ready,
		Logger:     a.o.Log,
		Registerer: registry,
		Gatherer:   registry,
	})
	if err != nil {
		return fmt.Errorf("build the API: %w", err)
	}
	a.handler = server.Handler()
	a.admin = telemetry.AdminHandler(telemetry.Options{Ready: ready, Gatherer: registry})
	return nil
}

// Addr is where the API listens.
func (a *API) Addr() string { return a.port.Addr() }

// Run serves until ctx ends, finishes the requests under way, and closes.
func (a *API) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.port.Serve(ctx, a.handler) })
	if a.adminPort != nil {
		g.Go(func() error { return a.adminPort.Serve(ctx, a.admin) })
	}
	g.Go(func() error {
		reload(ctx, a.o, a.directory, func() {})
		return nil
	})
	a.o.Log.InfoContext(ctx, "the API listens", "address", a.Addr(), "version", telemetry.Version())
	return errors.Join(g.Wait(), a.Close())
}

// Close gives back what NewAPI opened.
func (a *API) Close() error {
	var errs []error
	for _, p := range []*Port{a.port, a.adminPort} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if a.rdb != nil {
		errs = append(errs, a.rdb.Close())
	}
	return errors.Join(errs...)
}

// intake brings an accepted message to its lane. Whatever fails here is made up
// for by the outbox, which the lane's owner looks through.
type intake struct {
	store *store.Store
	queue *queue.Client
}

// Accepted implements api.Queue.
func (i intake) Accepted(ctx context.Context, messages ...*gateway.Message) error {
	var tasks []gateway.Task
	var lanes []gateway.Priority
	for _, m := range messages {
		if m.SendAt.After(m.CreatedAt) {
			continue // it is parked, and has no task before its time
		}
		tasks = append(tasks, gateway.Task{Message: m.ID, Priority: m.Priority})
		if !slices.Contains(lanes, m.Priority) {
			lanes = append(lanes, m.Priority)
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	account := messages[0].Account
	if err := i.queue.EnqueueAll(ctx, account, tasks); err != nil {
		return err
	}
	var errs []error
	for _, p := range lanes {
		errs = append(errs, i.queue.Ring(ctx, account, p))
	}
	return errors.Join(append(errs, i.store.Enqueued(ctx, account, tasks...))...)
}

// operator tells an account's owner at once what was changed in the store.
type operator struct{ store *store.Store }

// Pause implements api.Operator.
func (o operator) Pause(ctx context.Context, id gateway.AccountID, p gateway.Priority) error {
	if err := o.store.Pause(ctx, id, p); err != nil {
		return err
	}
	return o.store.Remind(ctx, id)
}

// Resume implements api.Operator.
func (o operator) Resume(ctx context.Context, id gateway.AccountID, p gateway.Priority) error {
	if err := o.store.Resume(ctx, id, p); err != nil {
		return err
	}
	return o.store.Remind(ctx, id)
}
