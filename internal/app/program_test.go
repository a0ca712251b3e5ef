package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/internal/redistest"
	"sluice/internal/telemetry"
)

func TestAHealthcheckAsksTheMachineItself(t *testing.T) {
	for listen, want := range map[string]string{
		":8080":          "127.0.0.1:8080",
		"0.0.0.0:8080":   "127.0.0.1:8080",
		"[::]:8080":      "127.0.0.1:8080",
		"127.0.0.2:8080": "127.0.0.2:8080",
		"[::1]:8080":     "[::1]:8080",
		"localhost:8080": "localhost:8080",
	} {
		if got, err := reachable(listen); err != nil || got != want {
			t.Errorf("reachable(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
	if _, err := reachable("8080"); err == nil {
		t.Error("an address without a port is reachable")
	}
}

func TestNewLoggerDoesAsTheEnvironmentSays(t *testing.T) {
	for _, c := range []struct {
		name    string
		environ []string
		want    string // a part of what is written, or of the error
	}{
		{"nothing", nil, `{"time":`},
		{"text", []string{"SLUICE_LOG_FORMAT=text"}, "level=INFO msg=info\n"},
		{"empty values count as none", []string{"SLUICE_LOG_FORMAT=", "SLUICE_LOG_LEVEL="}, `{"time":`},
		{"debug", []string{"SLUICE_LOG_LEVEL=debug", "SLUICE_LOG_FORMAT=text"}, "level=DEBUG msg=debug\n"},
		{"a level nobody knows", []string{"SLUICE_LOG_LEVEL=loud"}, "SLUICE_LOG_LEVEL: must be debug, info, warn or error"},
		{"a format nobody knows", []string{"SLUICE_LOG_FORMAT=xml"}, "SLUICE_LOG_FORMAT: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			logger, err := NewLogger(c.environ, &out, telemetry.JSON)
			if err != nil {
				out.WriteString(err.Error())
			} else {
				logger.Debug("debug")
				logger.Info("info")
			}
			if got := out.String(); !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q in it", got, c.want)
			}
		})
	}
}

type fakeProcess struct{ err error }

func (f fakeProcess) Run(context.Context) error { return f.err }

func TestMainTurnsWhatHappenedIntoAnExitCode(t *testing.T) {
	broken := errors.New("it broke")
	for _, c := range []struct {
		name   string
		args   []string
		start  error
		run    error
		code   int
		stderr string
	}{
		{name: "it runs and ends", code: ExitDone},
		{name: "it can't start", start: broken, code: ExitFailed, stderr: "p: it broke\n"},
		{name: "it breaks", run: broken, code: ExitFailed, stderr: "p: it broke\n"},
		{name: "no configuration", args: []string{"-config", filepath.Join(t.TempDir(), "none")}, code: ExitFailed, stderr: "p: read configuration: stat "},
		{name: "an unknown command", args: []string{"dance"}, code: ExitMisuse, stderr: `p: unknown command "dance"`},
		{name: "an unknown flag", args: []string{"-dance"}, code: ExitMisuse, stderr: "flag provided but not defined: -dance"},
		{name: "help", args: []string{"-h"}, code: ExitDone, stderr: "p does things"},
		{name: "version", args: []string{"version"}, code: ExitDone},
		{name: "a healthcheck of nothing", args: []string{"healthcheck"}, code: ExitFailed, stderr: "p: healthcheck: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Program{
				Name: "p", Summary: "does things",
				New:    func(context.Context, Options) (Process, error) { return fakeProcess{c.run}, c.start },
				Listen: func(*config.Config) string { return "127.0.0.1:1" },
			}
			var stdout, stderr bytes.Buffer
			code := p.Main(c.args, []string{"SLUICE_CONFIG=../../configs/compose.yaml"}, &stdout, &stderr)
			if code != c.code || !strings.HasPrefix(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
				t.Errorf("code %d, want %d; standard error %q, want %q", code, c.code, stderr.String(), c.stderr)
			}
		})
	}
}

func TestAPortFinishesTheRequestsUnderWay(t *testing.T) {
	p := open(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- p.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-leave
			if r.Context().Err() == nil {
				_, _ = io.WriteString(w, "finished")
			}
		}))
	}()
	got := make(chan string, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr(), http.NoBody)
		if err != nil {
			got <- err.Error()
			return
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-entered
	cancel()
	await(t, "nothing new is let in", func() bool {
		_, err := OpenPort(t.Context(), "again", p.Addr(), discard)
		return err == nil
	})
	close(leave)
	if body := <-got; body != "finished" {
		t.Errorf("the answer is %q", body)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close after Serve = %v", err)
	}
}

func TestWhatCannotBeOpenedLeavesNothingOpen(t *testing.T) {
	taken := open(t)
	url := redistest.Start(t)
	for name, c := range map[string]struct{ text, want string }{
		"the API's port":       {`{redis: {url: "` + url + `"}, api: {listen: "` + taken.Addr() + `"}, worker: {admin_listen: "127.0.0.1:0"}}`, "api.listen: "},
		"the API's admin port": {`{redis: {url: "` + url + `"}, api: {listen: "127.0.0.1:0", admin_listen: "` + taken.Addr() + `"}, worker: {admin_listen: "127.0.0.1:0"}}`, "api.admin_listen: "},
		"the worker's port":    {`{redis: {url: "` + url + `"}, api: {listen: "127.0.0.1:0"}, worker: {admin_listen: "` + taken.Addr() + `"}}`, "worker.admin_listen: "},
		"Redis":                {`{redis: {url: "redis://127.0.0.1:1/0"}, api: {listen: "127.0.0.1:0"}, worker: {admin_listen: "127.0.0.1:0"}}`, "redis.url: no Redis answers: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Config: parse(t, c.text), Log: discard}
			api, apiErr := NewAPI(t.Context(), o)
			if apiErr == nil {
				_ = api.Close()
			}
			worker, workerErr := NewWorker(t.Context(), o)
			if workerErr == nil {
				_ = worker.Close()
			}
			for _, err := range []error{apiErr, workerErr} {
				if err != nil && strings.HasPrefix(err.Error(), c.want) {
					return
				}
			}
			t.Errorf("NewAPI: %v, NewWorker: %v; want %s", apiErr, workerErr, c.want)
		})
	}
}
