// Command sluice is the one binary for people: it shows Sluice at work, stands
// in for providers, and makes keys.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"sluice/internal/app"
	"sluice/internal/telemetry"
)

// commands is the whole command line.
type commands struct {
	Dev         devCommand         `cmd:"" help:"Run everything at once: Redis, API, worker, simulated providers."`
	Simulate    simulateCommand    `cmd:"" help:"Stand in for the providers."`
	Keygen      keygenCommand      `cmd:"" help:"Make an API key and the hash that the configuration needs."`
	Provision   provisionCommand   `cmd:"" help:"See and change what Sinch keeps of a project."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a health endpoint; fails unless it answers 200."`
	Version     versionCommand     `cmd:"" help:"Show the version."`
}

const description = `An outbound messaging gateway with a durable queue. See README.md.

Examples:

  sluice dev
  sluice simulate --listen 127.0.0.1:8090 --config configs/sluice.yaml
  sluice keygen
  sluice healthcheck http://127.0.0.1:8080/readyz
`

// session is what a command runs in.
type session struct {
	ctx     context.Context //nolint:containedctx // handed to the one command of this process
	environ []string
	stdout  io.Writer
	stderr  io.Writer
}

func main() {
	ctx, stop := app.SignalContext()
	code := run(os.Args[1:], &session{ctx: ctx, environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}

func run(args []string, s *session) int {
	code, exited := 0, false
	parser, err := kong.New(&commands{},
		kong.Name("sluice"),
		kong.Description(description),
		kong.Writers(s.stdout, s.stderr),
		kong.Exit(func(c int) { code, exited = c, true }),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(s.stderr, "sluice:", err)
		return app.ExitFailed
	}
	chosen, err := parser.Parse(args)
	switch {
	case exited: // --help
		return code
	case err != nil:
		if misuse, ok := errors.AsType[*kong.ParseError](err); ok {
			misuse.Context.Stdout = s.stderr
			_ = misuse.Context.PrintUsage(true)
		}
		fmt.Fprintln(s.stderr, "sluice:", err)
		return app.ExitMisuse
	}
	if err := chosen.Run(s); err != nil {
		fmt.Fprintln(s.stderr, "sluice:", err)
		return app.ExitFailed
	}
	return app.ExitDone
}

type versionCommand struct{}

// Run shows the version.
func (versionCommand) Run(s *session) error {
	_, err := fmt.Fprintln(s.stdout, telemetry.Version())
	return err
}

type healthcheckCommand struct {
	URL string `arg:"" help:"The endpoint, such as http://127.0.0.1:8080/readyz."`
}

// Run asks the endpoint.
func (c healthcheckCommand) Run(s *session) error { return telemetry.Healthcheck(s.ctx, c.URL) }
