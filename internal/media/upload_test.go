package media

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/gateway"
)

// origin serves one file that changes, to tests in virtual time.
type origin struct {
	mu           sync.Mutex
	body         string
	etag, date   string
	undeclared   bool // its length
	down         bool
	gone         bool
	gets, whole  int // requests, and those answered with the file
	notModified  int
	asked        http.Header
	beforeAnswer func(*http.Request)
}

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	before := o.beforeAnswer
	o.mu.Unlock()
	if before != nil {
		before(r)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets++
	o.asked = r.Header
	switch match, since := r.Header.Get("If-None-Match"), r.Header.Get("If-Modified-Since"); {
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	case o.down:
		return nil, io.ErrUnexpectedEOF
	case o.gone:
		return response(r, 404, "text/html", page), nil
	case match != "" && match == o.etag, match == "" && since != "" && since == o.date:
		o.notModified++
		return response(r, 304, "", ""), nil
	}
	o.whole++
	resp := response(r, 200, "image/jpeg", o.body)
	if o.etag != "" {
		resp.Header.Set("ETag", o.etag)
	}
	if o.date != "" {
		resp.Header.Set("Last-Modified", o.date)
	}
	if o.undeclared {
		resp.ContentLength = -1
	}
	return resp, nil
}

func (o *origin) change(f func(*origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

// shelf is a provider that takes files.
type shelf struct {
	mu      sync.Mutex
	life    time.Duration
	refuse  *gateway.Error
	taken   []string // the files, whole
	types   []string
	sizes   []int64
	slow    time.Duration
	now     int
	most    int
	unheard bool // it answers without having read
}

func (s *shelf) put(ctx context.Context, contentType, _ string, size int64, body io.Reader) (string, time.Duration, *gateway.Error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	slow, refuse, unheard := s.slow, s.refuse, s.unheard
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return "", 0, &gateway.Error{Class: gateway.ClassTransient, Code: "timeout", Title: "it took too long"}
		}
	}
	var all []byte
	if !unheard {
		var err error
		if all, err = io.ReadAll(body); err != nil {
			return "", 0, &gateway.Error{Class: gateway.ClassTransient, Code: "connect", Title: "the connection failed"}
		}
	}
	if refuse != nil {
		return "", 0, refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken, s.types, s.sizes = append(s.taken, string(all)), append(s.types, contentType), append(s.sizes, size)
	return fmt.Sprintf("id-%d", len(s.taken)), cmp.Or(s.life, 30*24*time.Hour), nil
}

// bench is a judge with an origin and a shelf, in virtual time.
type bench struct {
	*testing.T
	*origin
	*shelf
	checker *Checker
	judge   *Judge
}

const link = "https://cdn.example.com/files/a.jpg?key=" + secret

func onBench(t *testing.T, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, origin: &origin{body: jpegFile}, shelf: &shelf{}}
		b.checker = NewChecker(&http.Client{Transport: b.origin}, Options{UploadParallel: 2})
		b.judge = b.checker.For("shop-eu")
		f(b)
	})
}

func (b *bench) upload() (string, *gateway.Error, bool) {
	return b.judge.Upload(b.Context(), image(link), imageRule, "here", b.put)
}

// expect uploads, and compares the id and what it took in all.
func (b *bench) expect(id string, gets, whole, taken int) {
	b.Helper()
	got, refused, retryable := b.upload()
	if got != id || refused != nil || retryable {
		b.Errorf("got %q, %+v, retryable %t, want %q", got, refused, retryable, id)
	}
	if b.gets != gets || b.whole != whole || len(b.taken) != taken {
		b.Errorf("%d requests, %d of them answered with the file, %d uploads, want %d, %d, %d", b.gets, b.whole, len(b.taken), gets, whole, taken)
	}
}

func later(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
}

func TestAFileIsUploadedOnceAndConfirmedByItsValidator(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*origin)
		next func(*origin) // another version of the file
		want string        // the condition
	}{
		{"ETag", func(o *origin) { o.etag = `"v1"` }, func(o *origin) { o.etag, o.body = `"v2"`, pngFile }, "If-None-Match"},
		{"a weak ETag", func(o *origin) { o.etag = `W/"v1"` }, func(o *origin) { o.etag = `W/"v2"` }, "If-None-Match"},
		{"ETag before date", func(o *origin) { o.etag, o.date = `"v1"`, "Sat, 21 Nov 2026 10:00:00 GMT" }, func(o *origin) { o.etag = `"v2"` }, "If-None-Match"},
		{
			"Last-Modified", func(o *origin) { o.date = "Sat, 21 Nov 2026 10:00:00 GMT" },
			func(o *origin) { o.date = "Sat, 21 Nov 2026 10:00:01 GMT" }, "If-Modified-Since",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onBench(t, func(b *bench) {
				b.change(tc.set)
				b.expect("id-1", 1, 1, 1)
				b.expect("id-1", 1, 1, 1)
				later(goodFor)
				b.expect("id-1", 2, 1, 1)
				if b.asked.Get(tc.want) == "" || len(b.asked) != 3 {
					b.Errorf("asked with %v", b.asked)
				}
				b.expect("id-1", 2, 1, 1)
				b.change(tc.next)
				b.change(func(o *origin) { o.body = jpegFile + "more" })
				later(goodFor)
				b.expect("id-2", 3, 2, 2)
				if got := b.taken[1]; got != jpegFile+"more" {
					b.Errorf("uploaded %q", got)
				}
			})
		})
	}
}

func TestAFileWithoutAValidatorIsComparedByWhatIsSeen(t *testing.T) {
	onBench(t, func(b *bench) {
		b.expect("id-1", 1, 1, 1)
		later(goodFor)
		b.expect("id-1", 2, 2, 1)
		b.change(func(o *origin) { o.body = strings.Replace(jpegFile, "JFIF", "JFIG", 1) }) // of the same length
		later(goodFor)
		b.expect("id-2", 3, 3, 2)
	})
}

func TestJudgeAsksIfTheFileHasChanged(t *testing.T) {
	onBench(t, func(b *bench) {
		b.change(func(o *origin) { o.etag = `"v1"` })
		ask := func(rule gateway.MediaRule, want string, gets, whole int) {
			b.Helper()
			refused, retryable := b.judge.Judge(b.Context(), image(link), rule)
			check(b.T, refused, retryable, want)
			if b.gets != gets || b.whole != whole {
				b.Errorf("%d requests, %d files, want %d, %d", b.gets, b.whole, gets, whole)
			}
		}
		ask(imageRule, "", 1, 1)
		later(goodFor)
		ask(imageRule, "", 2, 1)
		later(goodFor - time.Nanosecond)
		ask(imageRule, "", 2, 1)
		later(time.Nanosecond)
		ask(gateway.MediaRule{Types: stickerTypes, MaxBytes: 1 << 20}, CodeWrongType, 3, 1) // the facts serve another rule too
		later(badFor)
		b.change(func(o *origin) { o.gone = true })
		ask(imageRule, CodeBadLink, 4, 1)
		later(badFor)
		b.change(func(o *origin) { o.gone = false })
		ask(imageRule, "", 5, 2) // nothing was left to confirm
	})
}

// Where a redirect leads, the date may be that of another file.
func TestADateBehindARedirectConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []http.Header
		client := &http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Header)
			resp := response(r, 200, "image/jpeg", jpegFile)
			if r.URL.Path != "/today.jpg" {
				resp = response(r, 302, "text/html", page)
				resp.Header.Set("Location", "/today.jpg")
			}
			resp.Header.Set("Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT")
			return resp, nil
		})}
		j := NewChecker(client, Options{}).For("shop-eu")
		for range 2 {
			refused, retryable := j.Judge(t.Context(), image(link), imageRule)
			check(t, refused, retryable, "")
			later(goodFor)
		}
		for _, h := range asked {
			if h.Get("If-Modified-Since") != "" {
				t.Errorf("asked with %v", h)
			}
		}
		if len(asked) != 4 {
			t.Errorf("%d requests", len(asked))
		}
	})
}

func TestAnIDEndsShortlyBeforeItExpires(t *testing.T) {
	onBench(t, func(b *bench) {
		b.change(func(o *origin) { o.etag = `"v1"` })
		b.life = 30 * time.Hour
		b.expect("id-1", 1, 1, 1)
		later(29*time.Hour - time.Nanosecond)
		b.expect("id-1", 2, 1, 1)
		later(time.Nanosecond)
		b.expect("id-2", 3, 2, 2) // the file's facts are fresh, its id isn't
	})
}

func TestAnIDOutlivesItsLinksOutages(t *testing.T) {
	onBench(t, func(b *bench) {
		b.expect("id-1", 1, 1, 1)
		b.change(func(o *origin) { o.down = true })
		later(goodFor)
		b.expect("id-1", 2, 1, 1)
		b.expect("id-1", 2, 1, 1)
		later(unreachableFor)
		b.expect("id-1", 3, 1, 1)
		b.change(func(o *origin) { o.down, o.gone = false, true })
		later(unreachableFor)
		_, refused, retryable := b.upload()
		check(b.T, refused, retryable, CodeBadLink)
		b.change(func(o *origin) { o.gone = false })
		later(badFor)
		b.expect("id-2", 5, 2, 2)
	})
}

func TestForgottenIDsAreUploadedAgain(t *testing.T) {
	onBench(t, func(b *bench) {
		b.change(func(o *origin) { o.etag = `"v1"` })
		b.expect("id-1", 1, 1, 1)
		b.judge.Forget(image(link), "id-0") // somebody else's
		b.expect("id-1", 1, 1, 1)
		b.judge.Forget(image(link), "id-1")
		b.expect("id-2", 2, 2, 2)
		b.judge.Forget(image(link), "id-1") // by a call that was slow
		b.expect("id-2", 2, 2, 2)

		later(goodFor)
		b.change(func(o *origin) {
			o.beforeAnswer = func(*http.Request) { b.judge.Forget(image(link), "id-2") }
		})
		b.expect("id-2", 3, 2, 2) // asked before
		b.change(func(o *origin) { o.beforeAnswer = nil })
		b.expect("id-3", 4, 3, 3)
		b.judge.Forget(gateway.File{}, "id-3")
	})
}

func TestAnotherHolderHasNotTheFile(t *testing.T) {
	onBench(t, func(b *bench) {
		b.expect("id-1", 1, 1, 1)
		other := &shelf{}
		for range 2 {
			if id, refused, _ := b.judge.Upload(b.Context(), image(link), imageRule, "there", other.put); id != "id-1" || refused != nil {
				b.Errorf("got %q, %v", id, refused)
			}
		}
		if len(other.taken) != 1 || b.gets != 2 {
			b.Errorf("%d uploads after %d requests", len(other.taken), b.gets)
		}
	})
}

func TestWhatThePutRefusesIsRememberedForAWhile(t *testing.T) {
	for _, tc := range []struct {
		class     gateway.Class
		retryable bool
		hold      time.Duration
	}{
		{gateway.ClassPermanent, false, badFor},
		{gateway.ClassInternal, false, badFor},
		{gateway.ClassTransient, true, unreachableFor},
		{gateway.ClassThrottled, true, unreachableFor},
		{gateway.ClassSuspended, true, unreachableFor},
	} {
		t.Run(string(tc.class), func(t *testing.T) {
			onBench(t, func(b *bench) {
				b.refuse = &gateway.Error{Class: tc.class, Code: "no", Title: "no"}
				ask := func(gets int) {
					b.Helper()
					id, refused, retryable := b.upload()
					if id != "" || refused == nil || refused.Class != tc.class || retryable != tc.retryable || b.gets != gets {
						b.Errorf("%q, %+v, retryable %t after %d requests, want %d", id, refused, retryable, b.gets, gets)
					}
					*refused = gateway.Error{} // the caller's own
				}
				ask(1)
				ask(1)
				later(tc.hold - time.Nanosecond)
				b.refuse = &gateway.Error{Class: tc.class, Code: "no", Title: "no"} // the first was ours to change
				ask(1)
				later(time.Nanosecond)
				ask(2)
				later(tc.hold)
				b.refuse = nil
				b.expect("id-1", 3, 3, 1)
			})
		})
	}
}

func TestOneUploadServesAllWhoAskAtTheSameTime(t *testing.T) {
	onBench(t, func(b *bench) {
		b.slow = time.Second
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if i%2 == 0 {
					refused, retryable := b.judge.Judge(b.Context(), image(link), imageRule)
					check(b.T, refused, retryable, "")
				}
				if id, refused, _ := b.upload(); id != "id-1" || refused != nil {
					b.Errorf("got %q, %v", id, refused)
				}
			})
		}
		wg.Wait()
		if len(b.taken) != 1 || b.gets > 2 {
			b.Errorf("%d uploads, %d requests", len(b.taken), b.gets)
		}
	})
}

func TestAFewFilesAreUploadedAtOneTime(t *testing.T) {
	onBench(t, func(b *bench) {
		b.slow = time.Second
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				f := image(fmt.Sprintf("https://cdn.example.com/%d.jpg", i))
				if _, refused, _ := b.judge.Upload(b.Context(), f, imageRule, "here", b.put); refused != nil {
					b.Error(refused)
				}
			})
		}
		synctest.Wait()
		refused, retryable := b.judge.Judge(b.Context(), image("https://cdn.example.com/else.jpg"), imageRule)
		check(b.T, refused, retryable, "")
		if d := time.Since(start); d != 0 {
			b.Errorf("a look waited %v for uploads", d)
		}
		wg.Wait()
		if took := time.Since(start); b.most != 2 || took != 3*time.Second {
			b.Errorf("%d at one time, %v in all", b.most, took)
		}
	})
}

func TestWhoGivesUpLeavesTheUploadToAnother(t *testing.T) {
	onBench(t, func(b *bench) {
		b.slow = 10 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(b.Context(), time.Second)
			defer cancel()
			_, refused, retryable := b.judge.Upload(ctx, image(link), imageRule, "here", b.put)
			check(b.T, refused, retryable, CodeUnreachable)
		})
		synctest.Wait()
		b.expect("id-1", 2, 2, 1)
		wg.Wait()
	})
}

func TestAnUploadMayTakeLongerThanALookButNotForEver(t *testing.T) {
	onBench(t, func(b *bench) {
		b.slow = 5*time.Minute - time.Second
		b.expect("id-1", 1, 1, 1)
		b.judge.Forget(image(link), "id-1")
		b.slow = 5*time.Minute + time.Second
		_, refused, retryable := b.upload()
		if refused == nil || refused.Class != gateway.ClassTransient || !retryable {
			b.Errorf("%+v, retryable %t", refused, retryable)
		}
	})
}

func TestWhatIsHandedOver(t *testing.T) {
	long := padded(jpegFile, 64<<10)
	ogg := gateway.MediaRule{Types: []string{"audio/ogg"}, MaxBytes: 1 << 20}
	for _, tc := range []struct {
		name string
		kind gateway.MediaKind
		rule gateway.MediaRule
		h    http.HandlerFunc
		body string
		typ  string
		size int64
	}{
		{"a file of declared length", gateway.MediaImage, imageRule, answer(200, "Image/JPG; q=1", long), long, "image/jpeg", 64 << 10},
		{"a file of undeclared length", gateway.MediaImage, imageRule, chunked("image/jpeg", long), long, "image/jpeg", -1},
		{"a short file of undeclared length", gateway.MediaImage, imageRule, chunked("image/jpeg", jpegFile), jpegFile, "image/jpeg", int64(len(jpegFile))},
		{"a file unpacked from gzip", gateway.MediaImage, imageRule, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, zipped(long))
		}, long, "image/jpeg", -1},
		{"Opus says so", gateway.MediaAudio, ogg, answer(200, "audio/ogg", opusFile), opusFile, "audio/ogg; codecs=opus", int64(len(opusFile))},
		{
			"bytes of no declared type", gateway.MediaDocument,
			gateway.MediaRule{Types: []string{"*/*"}, MaxBytes: 1 << 20},
			answer(200, "", bytesOf), bytesOf, "application/octet-stream", int64(len(bytesOf)),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, tc.h)
			s := &shelf{}
			f := gateway.File{Field: "f", Kind: tc.kind, Media: &gateway.Media{Link: link}}
			id, refused, retryable := NewChecker(client, Options{}).For("shop-eu").Upload(t.Context(), f, tc.rule, "here", s.put)
			check(t, refused, retryable, "")
			if id != "id-1" || s.taken[0] != tc.body || s.types[0] != tc.typ || s.sizes[0] != tc.size {
				t.Errorf("%q: %d bytes, %s, size %d", id, len(s.taken[0]), s.types[0], s.sizes[0])
			}
		})
	}
}

func TestWhatIsRefusedIsNotUploaded(t *testing.T) {
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"a file that is too large", answer(200, "image/jpeg", padded(jpegFile, 64<<10+1)), CodeTooLarge},
		{"one whose length is undeclared", chunked("image/jpeg", padded(jpegFile, 1<<20)), CodeTooLarge},
		{"one that is a byte too large", chunked("image/jpeg", padded(jpegFile, 64<<10+1)), CodeTooLarge},
		{"a wrong type", answer(200, "image/jpeg", page), CodeWrongType},
		{"a dead link", answer(404, "image/jpeg", jpegFile), CodeBadLink},
		{"a broken server", answer(500, "image/jpeg", jpegFile), CodeUnreachable},
		{"one that breaks off", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 60000\r\n\r\n" + padded(jpegFile, 50000)), CodeUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, tc.h)
			s := &shelf{}
			j := NewChecker(client, Options{}).For("shop-eu")
			for range 2 {
				id, refused, retryable := j.Upload(t.Context(), image(link), imageRule, "here", s.put)
				check(t, refused, retryable, tc.want)
				if id != "" || len(s.taken) != 0 {
					t.Errorf("id %q after %d uploads", id, len(s.taken))
				}
			}
		})
	}
}

func TestFilesThatAreNoLinksAreNotUploaded(t *testing.T) {
	j := NewChecker(&http.Client{Transport: &origin{}}, Options{}).For("shop-eu")
	for _, m := range []*gateway.Media{nil, {ID: "7"}, {Link: link, Provider: "cdn-a"}} {
		id, refused, retryable := j.Upload(t.Context(), gateway.File{Kind: gateway.MediaImage, Media: m}, imageRule, "here", nil)
		check(t, refused, retryable, "")
		if id != "" {
			t.Errorf("id %q", id)
		}
	}
}

// A provider that answers before it has read the file leaves its client
// reading: what it reads then must not be the next file's.
func TestNothingIsReadOnceThePutHasEnded(t *testing.T) {
	var left io.Reader
	link, client := serve(t, chunked("image/jpeg", padded(jpegFile, 64<<10)))
	j := NewChecker(client, Options{}).For("shop-eu")
	puts := 0
	put := func(_ context.Context, _, _ string, _ int64, body io.Reader) (string, time.Duration, *gateway.Error) {
		left = body
		puts++
		return "early", time.Hour, nil
	}
	id, refused, _ := j.Upload(t.Context(), image(link), imageRule, "here", put)
	if id != "early" || refused != nil {
		t.Errorf("%q, %v", id, refused)
	}
	if n, err := left.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errHanded) {
		t.Errorf("read %d, %v", n, err)
	}
	if id, _, _ = j.Upload(t.Context(), image(link), imageRule, "here", put); id != "early" || puts != 1 {
		t.Errorf("then %q after %d uploads", id, puts)
	}
}

// The whole way by sockets: the file is far larger than what may lie in memory
// between the two servers, and the receiving end stops reading half way.
func TestAFileFlowsFromServerToServer(t *testing.T) {
	const size = 24 << 20
	var sent atomic.Int64
	link, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		_, _ = io.WriteString(w, jpegFile)
		block := make([]byte, 64<<10)
		for sent.Store(int64(len(jpegFile))); sent.Load() < size; {
			n, err := w.Write(block)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	half, most := make(chan struct{}), int64(0)
	var taken int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.CopyN(io.Discard, r.Body, size/2)
		most = sent.Load() - n
		close(half)
		rest, _ := io.Copy(io.Discard, r.Body)
		taken = n + rest
	}))
	defer receiver.Close()
	j := NewChecker(client, Options{}).For("shop-eu")
	rule := gateway.MediaRule{Types: imageTypes, MaxBytes: 2 * size}
	id, refused, _ := j.Upload(t.Context(), image(link), rule, "here", func(ctx context.Context, _, _ string, size int64, body io.Reader) (string, time.Duration, *gateway.Error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, receiver.URL, body)
		if err != nil {
			t.Error(err)
			return "", 0, nil
		}
		r.ContentLength = size
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return "", 0, nil
		}
		_ = resp.Body.Close()
		return "streamed", time.Hour, nil
	})
	<-half
	if id != "streamed" || refused != nil || taken < size {
		t.Errorf("%q, %v, %d bytes", id, refused, taken)
	}
	if most > size/3 {
		t.Errorf("%d bytes were under way at one time", most)
	}
}

// A put may know from elsewhere that the provider has this version of the file.
func TestAVersionThatTheProviderHasIsNotReadAgain(t *testing.T) {
	for _, tc := range []struct {
		name       string
		etag, date string
		undeclared bool
		uploads    int
	}{
		{"by its tag", `"v1"`, "", false, 1},
		{"by its tag, its length undeclared", `"v1"`, "", true, 1},
		{"by its date and length", "", "Fri, 20 Nov 2026 10:00:00 GMT", false, 1},
		{"by its length alone", "", "", false, 1},
		{"not by its date alone", "", "Fri, 20 Nov 2026 10:00:00 GMT", true, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := &origin{body: padded(jpegFile, 60<<10), etag: tc.etag, date: tc.date, undeclared: tc.undeclared}
			s, had := &shelf{}, map[string]string{}
			put := func(ctx context.Context, contentType, version string, size int64, body io.Reader) (string, time.Duration, *gateway.Error) {
				if strings.ContainsAny(version, " \n") {
					t.Errorf("version %q", version)
				}
				if id := had[version]; id != "" && version != "" {
					return id, time.Hour, nil
				}
				id, life, refused := s.put(ctx, contentType, version, size, body)
				had[version] = id
				return id, life, refused
			}
			var j *Judge
			for i := range 2 { // the second is another process
				j = NewChecker(&http.Client{Transport: o}, Options{}).For("shop-eu")
				for range 2 {
					if id, refused, _ := j.Upload(t.Context(), image(link), imageRule, "here", put); refused != nil || tc.uploads == 1 && id != "id-1" {
						t.Errorf("%q, %v", id, refused)
					}
				}
				if o.gets != i+1 {
					t.Errorf("%d requests", o.gets)
				}
			}
			if len(s.taken) != tc.uploads {
				t.Errorf("%d uploads, want %d", len(s.taken), tc.uploads)
			}
			refused, retryable := j.Judge(t.Context(), image(link), gateway.MediaRule{Types: imageTypes, MaxBytes: 60<<10 - 1})
			check(t, refused, retryable, CodeTooLarge)
			if o.gets != 2 {
				t.Error("its size isn't known")
			}
		})
	}
}
