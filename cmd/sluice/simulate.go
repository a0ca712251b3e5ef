package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/app"
	"sluice/internal/config"
	"sluice/internal/simulator"
	"sluice/internal/telemetry"
)

type simulateCommand struct {
	Listen string `default:"127.0.0.1:8090" help:"Where the simulated providers listen."`
	Config string `help:"The configuration whose accounts are simulated; by default SLUICE_CONFIG, or configs/sluice.yaml."`
}

// drainPatience is how long callbacks under way may take at the end.
const drainPatience = 10 * time.Second

// Run serves until a signal.
func (c simulateCommand) Run(s *session) error {
	log, err := app.NewLogger(s.environ, s.stderr, telemetry.JSON)
	if err != nil {
		return err
	}
	path := c.Config
	if path == "" {
		path = config.Path(s.environ)
	}
	cfg, err := config.Load(path, s.environ)
	if err != nil {
		return err
	}
	accounts := app.SimulatedAccounts(cfg)
	if len(accounts) == 0 {
		return fmt.Errorf("%s has no account that can be simulated", path)
	}
	port, err := app.OpenPort(s.ctx, "simulator", c.Listen, log)
	if err != nil {
		return err
	}
	sim := simulator.New(simulator.Options{Accounts: accounts, Logger: log})
	log.Info("the simulator listens", "address", port.Addr(), "accounts", len(accounts))
	g, ctx := errgroup.WithContext(s.ctx)
	g.Go(func() error { return port.Serve(ctx, sim.Handler()) })
	g.Go(func() error { // beside Serve, which would wait for requests that hang
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
		defer cancel()
		return sim.Close(patience)
	})
	return g.Wait()
}
