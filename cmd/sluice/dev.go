package main

import (
	"strings"

	"sluice/internal/app"
	"sluice/internal/dev"
	"sluice/internal/telemetry"
)

type devCommand struct {
	Listen          string `default:"127.0.0.1:8080" help:"Where the API listens."`
	SimulatorListen string `default:"127.0.0.1:8090" help:"Where the simulated providers listen."`
	Dir             string `default:".sluice" help:"Where a private redis-server keeps its data."`
	Embedded        bool   `help:"Keep everything in memory, whatever SLUICE_REDIS_URL says and even if redis-server is installed."`
}

// Run runs everything until a signal.
func (c devCommand) Run(s *session) error {
	log, err := app.NewLogger(s.environ, s.stderr, telemetry.Text)
	if err != nil {
		return err
	}
	app.LogRedis(log)
	return dev.Run(s.ctx, dev.Options{
		Listen: c.Listen, SimulatorListen: c.SimulatorListen,
		RedisURL: variable(s.environ, "SLUICE_REDIS_URL"), Dir: c.Dir, Embedded: c.Embedded,
		Out: s.stdout, Log: log,
	})
}

func variable(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
