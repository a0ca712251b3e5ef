package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api accepts messages and remembers whom they are for.
type api struct {
	mu  sync.Mutex
	got []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Account, To, Type, Priority string
		Text                        struct{ Body string }
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Header.Get("Authorization") != "Bearer key" || len(m.Text.Body) != 100 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, m.Account+" "+m.To+" "+m.Type+" "+m.Priority)
	if r.URL.Path != "/v1/messages" || len(a.got) > 100 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"id":"id of %s","status":"queued"}`, m.To)
}

func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestBurstPostsEachMessageOnce(t *testing.T) {
	var a api
	const connections = 3
	var messages []*Message
	for range connections {
		messages = append(messages, NewMessage("key", "shop", "bulk", 100))
	}
	took, err := Burst(t.Context(), serve(t, &a), connections, 20, func(conn, n int) []byte { return messages[conn].To(100_000_000 + n) })
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, line := range a.got {
		got[line]++
	}
	want := make(map[string]int)
	for n := range 20 {
		want[fmt.Sprintf("shop +461000000%02d7777 text bulk", n)] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for n, d := range took {
		if d <= 0 {
			t.Errorf("post %d took %v", n, d)
		}
	}
}

func TestPacedTellsWhatWasPosted(t *testing.T) {
	var a api
	begun := time.Now()
	posted, err := Paced(t.Context(), serve(t, &a), 5*time.Millisecond, 5, func(_, n int) []byte {
		return NewMessage("key", "shop", "transactional", 100).To(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, p := range posted {
		ids[p.ID] = true
		if p.At.Before(begun) || p.At.After(time.Now()) {
			t.Errorf("posted at %v", p.At)
		}
	}
	if len(ids) != 5 || !ids["id of +460000000047777"] {
		t.Errorf("ids %v", ids)
	}
	if took := time.Since(begun); took < 20*time.Millisecond {
		t.Errorf("five posts, one every 5 ms, took %v", took)
	}
}

func TestAnAnswerThatRefusesIsAnError(t *testing.T) {
	refused := func(_, n int) []byte { return NewMessage("another key", "shop", "bulk", 100).To(n) }
	addr := serve(t, &api{})
	if _, err := Burst(t.Context(), addr, 2, 10, refused); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("burst: %v", err)
	}
	if _, err := Paced(t.Context(), addr, time.Millisecond, 10, refused); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("paced: %v", err)
	}
}

func TestAnAnswerWithoutALengthIsAnError(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "chunked")
	}))
	c, err := Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, _, err := c.Do(NewMessage("key", "shop", "bulk", 100).To(1)); !errors.Is(err, errNoLength) {
		t.Errorf("got %v", err)
	}
}

func TestLinesAreReadWholeHoweverTheyAreRead(t *testing.T) {
	text, err := io.ReadAll(iotest.HalfReader(Lines(7, 3, 50)))
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		var m struct {
			To   string
			Text struct{ Body string }
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || len(m.Text.Body) != 50 {
			t.Errorf("%s: %v", lines.Text(), err)
		}
		to = append(to, m.To)
	}
	if diff := cmp.Diff([]string{"+460000000077777", "+460000000087777", "+460000000097777"}, to); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := iotest.TestReader(Lines(0, 2, 20), []byte(strings.Join([]string{
		`{"to":"+460000000007777","type":"text","text":{"body":"Your order has shipp"}}`,
		`{"to":"+460000000017777","type":"text","text":{"body":"Your order has shipp"}}`, "",
	}, "\n"))); err != nil {
		t.Error(err)
	}
}

func TestIDIsTheFirstOfTheAnswer(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"m1","account":"shop"}`: "m1",
		`{"status":"queued"}`:          "",
		`{"id":"m1`:                    "",
	} {
		if got := ID([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func BenchmarkConn(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	defer srv.Close()
	c, err := Dial(b.Context(), srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	m := NewMessage("key", "shop", "bulk", 300)
	b.ReportAllocs()
	for b.Loop() {
		if err := Accepted(c.Do(m.To(1))); err != nil {
			b.Fatal(err)
		}
	}
}
