// Command api takes messages in over HTTP, answers questions about them and
// receives the providers' callbacks. Any number run side by side.
package main

import (
	"context"
	"os"

	"sluice/internal/app"
	"sluice/internal/config"
)

func main() {
	os.Exit(app.Program{
		Name:    "api",
		Summary: "takes messages in, tells what became of them, and receives the providers' callbacks.",
		New:     func(ctx context.Context, o app.Options) (app.Process, error) { return app.NewAPI(ctx, o) },
		Listen:  func(c *config.Config) string { return c.API.Listen },
	}.Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
