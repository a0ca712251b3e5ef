// Command worker sends what was taken in. Any number run side by side and share
// the accounts between them.
package main

import (
	"context"
	"os"

	"sluice/internal/app"
	"sluice/internal/config"
)

func main() {
	os.Exit(app.Program{
		Name:    "worker",
		Summary: "sends messages, each account at its pace; any number share the accounts.",
		New:     func(ctx context.Context, o app.Options) (app.Process, error) { return app.NewWorker(ctx, o) },
		Listen:  func(c *config.Config) string { return c.Worker.AdminListen },
	}.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
