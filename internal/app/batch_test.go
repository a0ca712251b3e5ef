package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

type upload struct {
	ID                 string
	Accepted, Rejected int64
	Complete           bool
	Errors             []struct {
		Index   int
		Problem struct{ Type, Detail string }
	}
	Batch *upload // of a problem
}

type batchBody struct {
	ID, Account string
	Total       int64
	Counts      map[string]int64
	Complete    bool
	CancelledAt *time.Time `json:"cancelled_at"`
	DrainETA    *time.Time `json:"drain_eta"`
}

// campaign writes so many lines, each to somebody else.
func campaign(w io.Writer, from, till int) error {
	b := bufio.NewWriterSize(w, 64<<10)
	for n := from; n < till; n++ {
		fmt.Fprintf(b, `{"to":"+4673%07d","type":"text","text":{"body":"Hello %d, the autumn offers are here: https://shop.example/o/%d"},"reference":"autumn-%d"}`+"\n", n, n, n, n)
	}
	return b.Flush()
}

// pour posts what write writes as it comes, and answers with the status.
func (i *installation) pour(ctx context.Context, account, idempotency string, write func(io.Writer) error) (status int, header http.Header, u upload, err error) {
	r, w := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		err := write(w)
		_ = w.CloseWithError(err)
		return nil
	})
	defer func() { _ = r.Close(); _ = g.Wait() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+i.addr+"/v1/batches?account="+account, r)
	if err != nil {
		return 0, nil, u, err
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/x-ndjson")
	if idempotency != "" {
		req.Header.Set("Idempotency-Key", idempotency)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, u, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, u, err
	}
	return resp.StatusCode, resp.Header, u, json.Unmarshal(answer, &u)
}

func (i *installation) batch(t *testing.T, id string) (b batchBody) {
	t.Helper()
	i.ask(t, http.StatusOK, http.MethodGet, "/v1/batches/"+id, "", &b)
	return b
}

// outbox is how many tasks the queue wasn't told of.
func (i *installation) outbox(t *testing.T, account gateway.AccountID) int64 {
	t.Helper()
	n, err := i.api.rdb.ZCard(t.Context(), redisdb.Key(account.Tag(), "out")).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (i *installation) lane(t *testing.T, account string) []string {
	t.Helper()
	ids, err := i.api.rdb.LRange(t.Context(), "asynq:{"+account+":bulk}:pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ids) // the next to leave is last
	return ids
}

func TestABigBatchIsTakenIn(t *testing.T) {
	t.Parallel()
	i := installWith(t, false, "")
	const n = 20_000
	status, _, u, err := i.pour(t.Context(), "cloud", "", func(w io.Writer) error { return campaign(w, 0, n) })
	if err != nil || status != http.StatusAccepted || u.Accepted != n || u.Rejected != 0 || !u.Complete {
		t.Fatalf("%d %+v %v", status, u, err)
	}
	b := i.batch(t, u.ID)
	if b.Total != n || b.Counts["queued"] != n || !b.Complete || b.DrainETA == nil || time.Until(*b.DrainETA) < 900*time.Second {
		t.Errorf("the batch is %+v", b)
	}
	if left := i.outbox(t, "cloud"); left != 0 {
		t.Errorf("%d tasks are left in the outbox", left)
	}
	ids := i.lane(t, "cloud")
	if len(ids) != n {
		t.Fatalf("%d tasks in the lane", len(ids))
	}
	for at, id := range ids {
		if line := gateway.MessageID(id).Line() - 1; line != at {
			t.Fatalf("line %d is at place %d", line, at)
		}
	}
}

func TestABatchIsSentInItsOrder(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	const n = 30
	status, _, u, err := i.pour(t.Context(), "cloud", "", func(w io.Writer) error {
		for line := range n { // two recipients, so that each waits for the one before
			fmt.Fprintf(w, `{"to":"+4673200112%d","type":"text","text":{"body":"%d"},"idempotency_key":"line-%d"}`+"\n", line%2, line, line)
		}
		return nil
	})
	if err != nil || status != http.StatusAccepted || u.Accepted != n {
		t.Fatalf("%d %+v %v", status, u, err)
	}
	await(t, "all are read", func() bool { return i.batch(t, u.ID).Counts["read"] == n })
	var last [2]time.Time
	for line := range n {
		m := i.get(t, string(gateway.BatchID(u.ID).Line(line+1)))
		began := m.reached("sending")
		if began.Before(last[line%2]) {
			t.Errorf("line %d began at %v, the one before at %v", line, began, last[line%2])
		}
		last[line%2] = began
	}
	if b := i.batch(t, u.ID); b.DrainETA != nil || b.Counts["queued"] != 0 {
		t.Errorf("at the end it is %+v", b)
	}
}

func TestABrokenUploadIsPostedAgain(t *testing.T) {
	t.Parallel()
	i := install(t, false)
	const n = 1000
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	_, _, _, err := i.pour(ctx, "cloud", "campaign", func(w io.Writer) error {
		if err := campaign(w, 0, n/2); err != nil {
			return err
		}
		_, _ = io.WriteString(w, `{"to":"+46`)
		await(t, "what came is accepted", func() bool {
			ids := i.batches(t)
			return len(ids) == 1 && i.batch(t, ids[0]).Total == n/2
		})
		leave()
		return ctx.Err()
	})
	if err == nil {
		t.Fatal("the upload didn't break")
	}
	id := i.batches(t)[0]
	if b := i.batch(t, id); b.Complete || b.Counts["queued"] != n/2 {
		t.Errorf("after the break it is %+v", b)
	}
	// Several at once, whoever thinks it has to be repeated.
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			status, _, u, err := i.pour(t.Context(), "cloud", "campaign", func(w io.Writer) error { return campaign(w, 0, n) })
			if err == nil && (status != http.StatusAccepted || u.ID != id || u.Accepted != n || u.Rejected != 0) {
				err = fmt.Errorf("%d %+v", status, u)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if b := i.batch(t, id); !b.Complete || b.Total != n || b.Counts["queued"] != n {
		t.Errorf("posted again it is %+v", b)
	}
	if ids := i.lane(t, "cloud"); len(ids) != n {
		t.Errorf("%d tasks in the lane", len(ids))
	}
	status, header, u, err := i.pour(t.Context(), "cloud", "campaign", func(w io.Writer) error { return campaign(w, 1, n) })
	if err != nil || status != http.StatusAccepted || u.Accepted != 0 || u.Rejected != n-1 || header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("with other lines: %d %d %d %v %v", status, u.Accepted, u.Rejected, header, err)
	}
}

func (i *installation) batches(t *testing.T) (ids []string) {
	t.Helper()
	var page struct{ Items []batchBody }
	i.ask(t, http.StatusOK, http.MethodGet, "/v1/batches?account=cloud", "", &page)
	for _, b := range page.Items {
		ids = append(ids, b.ID)
	}
	return ids
}

func TestNothingOfACancelledBatchBegins(t *testing.T) {
	t.Parallel()
	i := install(t, true)
	const n = 2000
	var answered time.Time
	status, _, u, err := i.pour(t.Context(), "cloud", "", func(w io.Writer) error {
		if err := campaign(w, 0, n/2); err != nil {
			return err
		}
		await(t, "some are sent", func() bool {
			ids := i.batches(t)
			return len(ids) == 1 && i.batch(t, ids[0]).Counts["read"] > 0
		})
		var b batchBody
		i.ask(t, http.StatusOK, http.MethodPost, "/v1/batches/"+i.batches(t)[0]+"/cancel", "", &b)
		answered = time.Now()
		if b.CancelledAt == nil || b.Counts["queued"] != 0 || b.Counts["cancelled"] == 0 {
			t.Errorf("the answer is %+v", b)
		}
		return campaign(w, n/2, n)
	})
	if err != nil || status != http.StatusAccepted || u.Rejected < n/2 || len(u.Errors) != 1000 || !strings.HasSuffix(u.Errors[0].Problem.Type, "conflict") {
		t.Fatalf("%d, accepted %d, rejected %d, %v", status, u.Accepted, u.Rejected, err)
	}
	await(t, "what had begun has ended", func() bool { return i.batch(t, u.ID).Counts["sending"] == 0 })
	for line := range 300 { // far more than the rate allows
		m := i.get(t, string(gateway.BatchID(u.ID).Line(line+1)))
		if began := m.reached("sending"); began.After(answered) {
			t.Errorf("line %d began %v after the answer", line, began.Sub(answered))
		}
		if m.Status == "queued" || m.Status == "scheduled" {
			t.Errorf("line %d is %s", line, m.Status)
		}
	}
}

func TestARedisThatDiesInMidUpload(t *testing.T) {
	t.Parallel()
	i := install(t, false)
	status, header, p, err := i.pour(t.Context(), "cloud", "", func(w io.Writer) error {
		if err := campaign(w, 0, 500); err != nil {
			return err
		}
		await(t, "what came is accepted", func() bool {
			ids := i.batches(t)
			return len(ids) == 1 && i.batch(t, ids[0]).Total >= 400
		})
		i.redis.Down()
		_ = campaign(w, 500, 50_000) // until nobody reads it
		return nil
	})
	if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" || p.Batch == nil || p.Batch.Accepted < 400 || p.Batch.Complete {
		t.Errorf("%d %v %+v %v", status, header, p.Batch, err)
	}
	i.redis.Up(t)
	await(t, "it takes batches again", func() bool {
		status, _, u, err := i.pour(t.Context(), "cloud", "", func(w io.Writer) error { return campaign(w, 0, 10) })
		return err == nil && status == http.StatusAccepted && u.Accepted == 10
	})
}

// BenchmarkBatch takes in campaigns, with a Redis of its own. Beside the lines a
// second it reports what each costs this process, caller included, and Redis: on
// a busy machine these say more.
func BenchmarkBatch(b *testing.B) {
	i := installWith(b, false, "")
	const n = 50_000
	var text bytes.Buffer
	if err := campaign(&text, 0, n); err != nil {
		b.Fatal(err)
	}
	lines := 0
	here, there := processTime(b), redisTime(b, i)
	for b.Loop() {
		status, _, u, err := i.pour(b.Context(), "cloud", "", func(w io.Writer) error {
			_, err := w.Write(text.Bytes())
			return err
		})
		if err != nil || status != http.StatusAccepted || u.Accepted != n {
			b.Fatal(status, u, err)
		}
		lines += n
	}
	b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64((processTime(b)-here).Microseconds())/float64(lines), "µs/line")
	b.ReportMetric(float64((redisTime(b, i)-there).Microseconds())/float64(lines), "redis-µs/line")
}

func processTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func redisTime(tb testing.TB, i *installation) (spent time.Duration) {
	tb.Helper()
	info, err := i.api.rdb.Info(tb.Context(), "cpu").Result()
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		_, value, _ := strings.Cut(info, name+":")
		value, _, _ = strings.Cut(value, "\r")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			tb.Fatal(err)
		}
		spent += time.Duration(seconds * float64(time.Second))
	}
	return spent
}
