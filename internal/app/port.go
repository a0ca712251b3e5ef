package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/api"
)

// shutdownPatience is how long requests under way may take once a port is to be
// closed.
const shutdownPatience = 30 * time.Second

// Port is an open TCP port. Serve it, or close it.
type Port struct {
	listener net.Listener
	log      *slog.Logger
}

// OpenPort opens the address; name says in the error what it is for.
func OpenPort(ctx context.Context, name, addr string, log *slog.Logger) (*Port, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Port{listener: l, log: log}, nil
}

// Addr is the address, with the port that was chosen if any would do.
func (p *Port) Addr() string { return p.listener.Addr().String() }

// Serve answers HTTP until ctx ends, and then finishes the requests under way;
// those that take too long are cut off.
func (p *Port) Serve(ctx context.Context, h http.Handler) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := api.NewHTTPServer(requests, p.Addr(), h, p.log)
	var g errgroup.Group
	failed := make(chan struct{})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failed:
			return nil
		}
		patience, cancel := context.WithTimeout(requests, shutdownPatience)
		defer cancel()
		if err := srv.Shutdown(patience); err != nil {
			cut()
			return errors.Join(fmt.Errorf("requests were cut off: %w", err), srv.Close())
		}
		return nil
	})
	g.Go(func() error {
		if err := srv.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			close(failed)
			return fmt.Errorf("serve %s: %w", p.Addr(), err)
		}
		return nil
	})
	return g.Wait()
}

// Close gives back a port that isn't served.
func (p *Port) Close() error {
	if err := p.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
