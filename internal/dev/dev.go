// Package dev runs everything at once for somebody who wants to see Sluice
// work: Redis, API, worker and simulated providers, on loopback only.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/app"
	"sluice/internal/simulator"
)

// Options is what is run where.
type Options struct {
	Listen          string // of the API, host:port
	SimulatorListen string
	RedisURL        string // empty: a private one
	Dir             string // where a private redis-server keeps its data
	Embedded        bool   // a private Redis is embedded even if redis-server is installed
	Environ         []string
	Out             io.Writer // what the user reads
	Log             *slog.Logger
	// Ready is called with the addresses once everything answers; it may be nil.
	Ready func(api, simulator string)
}

// Run runs everything until ctx ends, and drains: first what takes messages in
// and sends them, then the providers, Redis last.
func Run(ctx context.Context, o Options) (err error) {
	stage := &stage{}
	defer func() { err = errors.Join(err, stage.close()) }()

	// Ports first: a port in use is the likeliest mishap, and nothing must have
	// been started then.
	port, err := stage.open(ctx, "simulator", o.SimulatorListen, o.Log)
	if err != nil {
		return err
	}
	listen, err := stage.open(ctx, "API", o.Listen, o.Log)
	if err != nil {
		return err
	}

	redis, err := openRedis(ctx, o)
	if err != nil {
		return err
	}
	stage.onClose(redis.stop)

	cfg, err := demoConfig(listen.Addr(), port.Addr(), redis.url)
	if err != nil {
		return err
	}
	sim := simulator.New(simulator.Options{Accounts: app.SimulatedAccounts(cfg), Logger: o.Log})
	stage.onClose(sim.Close)

	process := app.Options{Config: cfg, Log: o.Log, Port: listen}
	api, err := app.NewAPI(ctx, process)
	if err != nil {
		return err
	}
	worker, err := app.NewWorker(ctx, process)
	if err != nil {
		return errors.Join(err, api.Close())
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	carrying, stopProviders := context.WithCancel(context.WithoutCancel(ctx))
	defer stopProviders()
	var outer, g errgroup.Group
	outer.Go(func() error {
		defer stop() // without providers there is nothing to see
		return port.Serve(carrying, sim.Handler())
	})
	outer.Go(func() error { // beside Serve, which would wait for requests that hang
		<-carrying.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
		defer cancel()
		return sim.Close(patience)
	})
	outer.Go(func() error {
		defer stopProviders() // calls in flight want their answers
		// The API goes after the worker: calls that end now are still reported on.
		receiving, stopAPI := context.WithCancel(carrying)
		g.Go(func() error { defer stop(); return api.Run(receiving) })
		g.Go(func() error {
			defer stopAPI()
			defer stop()
			return worker.Run(running)
		})
		g.Go(func() error {
			select {
			case <-redis.gone:
				defer stop()
				// It is needed once more: the drain writes what came of calls.
				return errors.Join(errors.New("redis-server ended; what it kept is in "+o.Dir), redis.back(carrying))
			case <-running.Done():
				return nil
			}
		})
		return g.Wait()
	})
	if err := answering(running, api.Addr()); err == nil {
		welcome(o.Out, api.Addr(), port.Addr(), redis)
		if o.Ready != nil {
			o.Ready(api.Addr(), port.Addr())
		}
	}
	<-running.Done()
	if ctx.Err() != nil {
		fmt.Fprintln(o.Out, "\nDraining: calls under way are finished, "+redis.kept+".")
	}
	return outer.Wait()
}

// closePatience bounds the closing of each part.
const closePatience = 15 * time.Second

// stage is what has been set up, to be taken down in reverse.
type stage struct{ closers []func(context.Context) error }

func (s *stage) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

// open opens a port on loopback: everybody knows the demonstration's key.
func (s *stage) open(ctx context.Context, name, addr string, log *slog.Logger) (*app.Port, error) {
	port, err := app.OpenPort(ctx, name, addr, log)
	if err != nil {
		return nil, err
	}
	s.onClose(func(context.Context) error { return port.Close() })
	if at, err := netip.ParseAddrPort(port.Addr()); err != nil || !at.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("%s: must listen on a loopback address such as 127.0.0.1:8080, not %s", name, addr)
	}
	return port, nil
}

func (s *stage) close() error {
	var errs []error
	for _, closer := range slices.Backward(s.closers) {
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		errs = append(errs, closer(ctx))
		cancel()
	}
	return errors.Join(errs...)
}

// answering waits until the API says that it is ready.
func answering(ctx context.Context, addr string) error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		}
	}
}
