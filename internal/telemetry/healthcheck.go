package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// healthcheckTimeout bounds a check whose context has no end.
const healthcheckTimeout = 5 * time.Second

// maxProblem is how much of a refusal is read, in bytes.
const maxProblem = 64 << 10

// Healthcheck asks a health endpoint and returns nil if it answers 200. It is
// what a container runs to ask the process beside it, so it uses no proxy and
// follows no redirect.
func Healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	// A transport of its own, so that nothing is left open behind the check.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p); err != nil || p.Detail == "" {
		return fmt.Errorf("healthcheck: %s answers %s", req.URL.Redacted(), resp.Status)
	}
	return fmt.Errorf("healthcheck: %s answers %s: %s", req.URL.Redacted(), resp.Status, p.Detail)
}
