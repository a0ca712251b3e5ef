package redisdb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

func TestPipelinedScriptsAnswerAsOthersDo(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		rdb := pipelined(t, url, redisdb.ForAPI)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx := context.Background()
				double := redis.NewScript("return ARGV[1] * 2")
				if got, err := double.Run(ctx, rdb, []string{"k"}, i).Int(); err != nil || got != 2*i {
					t.Errorf("%d doubled is %d, %v", i, got, err)
				}
				if err := redis.NewScript("return nil").Run(ctx, rdb, nil).Err(); err != redis.Nil { //nolint:errorlint // asynq compares so
					t.Errorf("nothing comes back as %v", err)
				}
				if err := redis.NewScript("return redis.error_reply('BUSYKEY no')").Run(ctx, rdb, nil).Err(); !redis.HasErrorPrefix(err, "BUSYKEY") {
					t.Errorf("an error comes back as %v", err)
				}
				if err := rdb.EvalSha(ctx, strings.Repeat("0", 40), nil).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
					t.Errorf("an unknown script comes back as %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// server speaks enough of Redis to answer scripts: handle gets a script's name
// and gives its reply; empty closes the connection.
func server(t *testing.T, handle func(script string) string) (url string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c, handle)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "redis://" + l.Addr().String() + "/0"
}

func serve(c io.ReadWriter, handle func(string) string) {
	r := bufio.NewReader(c)
	number := func() int {
		s, err := r.ReadString('\n')
		if err != nil {
			return -1
		}
		n, _ := strconv.Atoi(strings.TrimSpace(s[1:]))
		return n
	}
	for {
		var args []string
		n := number()
		for range n {
			b := make([]byte, number()+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			args = append(args, string(b[:len(b)-2]))
		}
		reply := "-ERR unknown command\r\n"
		switch {
		case len(args) == 0:
			return
		case strings.EqualFold(args[0], "evalsha"):
			reply = handle(args[1])
		case strings.EqualFold(args[0], "client"):
			reply = "+OK\r\n"
		}
		if reply == "" {
			return
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

// What a node refuses for a while is tried again, as by the plain client, though
// it came together with others that were answered.
func TestPipelinedScriptsOutlastWhatPasses(t *testing.T) {
	for _, refusal := range []string{
		"LOADING Redis is loading the dataset in memory",
		"READONLY You can't write against a read only replica. script: x, on @user_script:1.",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
	} {
		t.Run(strings.Fields(refusal)[0], func(t *testing.T) {
			var refused atomic.Int32
			held, gate := make(chan struct{}), make(chan struct{})
			url := server(t, func(script string) string {
				switch script {
				case "hold":
					close(held)
					<-gate
				case "write":
					if refused.Add(1) <= 3 {
						return "-" + refusal + "\r\n"
					}
				}
				return "+" + script + "\r\n"
			})
			rdb := pipelined(t, url, redisdb.ForWorker)
			var wg sync.WaitGroup
			ask := func(script string) {
				wg.Go(func() {
					if got, err := rdb.EvalSha(context.Background(), script, []string{"k"}).Text(); err != nil || got != script {
						t.Errorf("%s: %q, %v", script, got, err)
					}
				})
			}
			ask("hold")
			<-held
			for i := range 40 { // these gather meanwhile
				ask("read")
				if i == 30 {
					ask("write")
				}
			}
			for range 1000 {
				runtime.Gosched()
			}
			close(gate)
			wg.Wait()
		})
	}
}

func TestPipelinedCallerStopsWaitingWithItsContext(t *testing.T) {
	gate := make(chan struct{})
	url := server(t, func(string) string {
		<-gate
		return "+late\r\n"
	})
	rdb := pipelined(t, url, redisdb.ForAPI)
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := rdb.EvalSha(ctx, "x", nil).Err(); !errors.Is(err, context.Canceled) {
				t.Errorf("it comes back with %v", err)
			}
		})
	}
	cancel(nil)
	wg.Wait()
	close(gate)
	if err := rdb.EvalSha(ctx, "x", nil).Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("later: %v", err)
	}
}

func TestPipelinedClientClosesWhileScriptsWait(t *testing.T) {
	var asked atomic.Int32
	url := server(t, func(string) string {
		asked.Add(1)
		return "+OK\r\n"
	})
	plain, err := redisdb.Open(url, redisdb.ForAPI)
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := redisdb.Pipelined(plain)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := range 1000 {
				if err := rdb.EvalSha(context.Background(), fmt.Sprint(i), nil).Err(); err != nil {
					if !errors.Is(err, redis.ErrClosed) {
						t.Errorf("a script after the end: %v", err)
					}
					return
				}
			}
		})
	}
	for asked.Load() < 100 {
		runtime.Gosched()
	}
	if err := rdb.Close(); err != nil {
		t.Error(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("callers still wait")
	}
}

func TestPipelinedScriptsComeInTheOrderInWhichTheyWereAskedFor(t *testing.T) {
	rdb := pipelined(t, redistest.Start(t), redisdb.ForWorker)
	push := redis.NewScript("return redis.call('RPUSH', KEYS[1], ARGV[1])")
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 200 {
				if err := push.Run(context.Background(), rdb, []string{fmt.Sprint("l", c)}, i).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for c := range 8 {
		for i, v := range rdb.LRange(t.Context(), fmt.Sprint("l", c), 0, -1).Val() {
			if v != strconv.Itoa(i) {
				t.Fatalf("list %d has %s at %d", c, v, i)
			}
		}
	}
}
