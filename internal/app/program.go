package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"strings"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/telemetry"
)

// Exit codes of all programs.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitMisuse = 2
)

// Process is an API or a Worker.
type Process interface {
	Run(context.Context) error
}

// Program is a process as a command: it reads the configuration, runs until a
// signal, and turns what happened into an exit code.
type Program struct {
	Name    string
	Summary string
	New     func(context.Context, Options) (Process, error)
	Listen  func(*config.Config) string // the address whose /readyz its healthcheck asks
}

// Main is the whole program.
func (p Program) Main(args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", config.Path(environ), "the configuration file; SLUICE_CONFIG names it too")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s %s\n\nusage: %s [-config FILE] [healthcheck | version]\n\n", p.Name, p.Summary, p.Name)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "\nenvironment:\n  SLUICE_LOG_LEVEL   debug, info, warn or error\n  SLUICE_LOG_FORMAT  json or text")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitDone
	case err != nil:
		return ExitMisuse
	}
	var err error
	switch command := strings.Join(flags.Args(), " "); command {
	case "":
		err = p.serve(*path, environ, stderr)
	case "healthcheck":
		err = p.healthcheck(*path, environ)
	case "version":
		fmt.Fprintln(stdout, telemetry.Version())
	default:
		fmt.Fprintf(stderr, "%s: unknown command %q\n", p.Name, command)
		flags.Usage()
		return ExitMisuse
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return ExitFailed
	}
	return ExitDone
}

func (p Program) serve(path string, environ []string, stderr io.Writer) error {
	log, err := NewLogger(environ, stderr, telemetry.JSON)
	if err != nil {
		return err
	}
	LogRedis(log)
	cfg, err := config.Load(path, environ)
	if err != nil {
		return err
	}
	ctx, stop := SignalContext()
	defer stop()
	process, err := p.New(ctx, Options{Config: cfg, Environ: environ, Log: log})
	if err != nil {
		return err
	}
	return process.Run(ctx)
}

func (p Program) healthcheck(path string, environ []string) error {
	cfg, err := config.Load(path, environ)
	if err != nil {
		return err
	}
	addr, err := reachable(p.Listen(cfg))
	if err != nil {
		return err
	}
	return telemetry.Healthcheck(context.Background(), "http://"+addr+"/readyz")
}

// reachable is the address at which a listener is reached from its own machine.
func reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("healthcheck: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// SignalContext ends with the first SIGINT or SIGTERM, which asks to drain. The
// second one kills, as if nobody listened.
func SignalContext() (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel)
	return ctx, cancel
}

// NewLogger makes the process's logger as the environment wants it.
func NewLogger(environ []string, w io.Writer, usual telemetry.Format) (*slog.Logger, error) {
	level, format := slog.LevelInfo, usual
	for _, entry := range environ {
		switch name, value, _ := strings.Cut(entry, "="); {
		case value == "":
		case name == "SLUICE_LOG_LEVEL":
			if err := level.UnmarshalText([]byte(value)); err != nil {
				return nil, errors.New("SLUICE_LOG_LEVEL: must be debug, info, warn or error")
			}
		case name == "SLUICE_LOG_FORMAT":
			var err error
			if format, err = telemetry.ParseFormat(value); err != nil {
				return nil, fmt.Errorf("SLUICE_LOG_FORMAT: %w", err)
			}
		}
	}
	return telemetry.NewLogger(w, level, format), nil
}
