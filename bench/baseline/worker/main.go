// Command worker is a bare asynq worker that makes the HTTP call a message
// wants, as asynq's README shows, and records nothing. Given a number it first
// enqueues so many tasks; then it handles them.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"
)

// concurrency is the best of those tried, 10 to 200, on two cores.
const concurrency = 64

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: worker REDIS URL TOKEN BODY TASKS")
		os.Exit(2)
	}
	redis, url, token, body := asynq.RedisClientOpt{Addr: os.Args[1], PoolSize: 2 * concurrency}, os.Args[2], os.Args[3], []byte(os.Args[4])
	tasks, err := strconv.Atoi(os.Args[5])
	if err == nil && tasks > 0 {
		err = fill(asynq.NewClient(redis), body, tasks)
	} else if err == nil {
		err = work(asynq.NewServer(redis, asynq.Config{Concurrency: concurrency, LogLevel: asynq.WarnLevel}), url, token)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func fill(client *asynq.Client, body []byte, tasks int) error {
	var g errgroup.Group
	g.SetLimit(concurrency)
	for range tasks {
		g.Go(func() error {
			_, err := client.Enqueue(asynq.NewTask("message:send", body))
			return err
		})
	}
	return g.Wait()
}

func work(server *asynq.Server, url, token string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}}
	return server.Run(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(t.Payload())) //nolint:gosec // the harness names the simulator
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req) //nolint:gosec // as above
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	}))
}
