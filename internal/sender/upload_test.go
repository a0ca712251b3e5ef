package sender

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
	"sluice/internal/media"
)

var _ Media = (*media.Judge)(nil)

const (
	fileLink = "https://media.test/files/a.jpg?for=46732001122" // the recipient, whom no log may show
	fileBody = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
)

// fakeUploader takes files, as far as its host does.
type fakeUploader struct {
	*fakeProvider
	keeper    string
	newUpload func() error
	lost      map[int]bool // statuses that say that a file is lost
}

func (p *fakeUploader) MediaRule(gateway.MediaKind) gateway.MediaRule {
	return gateway.MediaRule{Types: []string{"image/jpeg"}, MaxBytes: 1 << 10}
}

func (p *fakeUploader) Keeper() string { return p.keeper }

func (p *fakeUploader) NewUpload(ctx context.Context, f Upload) (*http.Request, error) {
	if p.newUpload != nil {
		if err := p.newUpload(); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://provider.test/media/"+f.Name, f.Body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = f.Size
	req.Header.Set("Content-Type", f.Type)
	return req, nil
}

func (p *fakeUploader) InterpretUpload(a Answer) (string, time.Duration, *gateway.Error) {
	if r := p.Interpret(a); r.Error != nil {
		return "", 0, r.Error
	}
	return string(a.Body), 30 * 24 * time.Hour, nil
}

func (p *fakeUploader) LostUpload(a Answer) bool {
	if p.lost == nil {
		panic(secret)
	}
	return p.lost[a.Status]
}

// fakeHost is a transport: the file's server, the provider's upload, and the
// rest of the world's net.
type fakeHost struct {
	rest http.RoundTripper

	mu      sync.Mutex
	next    []wire // for the next uploads
	ids     []string
	uploads int
	chunk   time.Duration // pause before each read of a file
	form    []string      // path, type, length and body of the last
	gets    int           // of the file
	version string        // of the file; empty: the first
}

func orFirst(version string) string {
	if version == "" {
		return `"1"`
	}
	return version
}

func (h *fakeHost) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, header http.Header, body string) *http.Response {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}
	}
	switch {
	case r.URL.Host == "media.test":
		h.mu.Lock()
		defer h.mu.Unlock()
		h.gets++
		return answer(200, http.Header{"Content-Type": {"image/jpeg"}, "Etag": {orFirst(h.version)}}, fileBody), nil
	case !strings.HasPrefix(r.URL.Path, "/media/"):
		return h.rest.RoundTrip(r)
	}
	h.mu.Lock()
	h.uploads++
	var w wire
	if len(h.next) > 0 {
		w, h.next = h.next[0], h.next[1:]
	}
	chunk := h.chunk
	h.mu.Unlock()
	if w.refuse {
		return nil, errRefused
	}
	var body []byte
	for {
		b := make([]byte, 8)
		if err := pause(r.Context(), chunk); err != nil {
			return nil, err
		}
		n, err := r.Body.Read(b)
		body = append(body, b[:n]...)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if w.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if w.status > 200 {
		return answer(w.status, http.Header{}, ""), nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := "file-" + strconv.Itoa(h.uploads)
	if odd := w.header.Get("Id"); odd != "" {
		id = odd
	}
	h.ids = append(h.ids, id)
	h.form = []string{r.URL.Path, r.Header.Get("Content-Type"), strconv.FormatInt(r.ContentLength, 10), string(body)}
	resp := answer(200, http.Header{}, id+"\n")
	if w.cut {
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(id), broken{}))
	}
	return resp, nil
}

// uploads is a world whose account has its files uploaded.
type uploads struct {
	*world
	host *fakeHost
	with *fakeUploader
}

func withUploads(t *testing.T, f func(u *uploads)) {
	t.Helper()
	u := &uploads{}
	change := func(o *Options) {
		u.host = &fakeHost{rest: o.Client.Transport}
		o.Client = &http.Client{Transport: u.host}
		o.Media = media.NewChecker(&http.Client{Transport: u.host}, media.Options{}).For(shop)
		plain := o.Account
		o.Account = func() (*gateway.Account, Provider) {
			account, p := plain()
			account.CheckMedia, account.UploadMedia = true, true
			if u.with == nil {
				u.with = &fakeUploader{fakeProvider: p.(*fakeProvider), lost: map[int]bool{}}
			}
			return account, u.with
		}
	}
	inBubbleWith(t, change, func(w *world) {
		u.world = w
		f(u)
	})
}

func linked(m *kept) {
	m.Content = gateway.Content{Type: gateway.TypeImage, Image: &gateway.Media{Link: fileLink, Caption: "a picture"}}
}

// expectUploads compares how many were made, and what the last call named.
func (u *uploads) expectUploads(want int, id string) {
	u.Helper()
	if u.host.uploads != want {
		u.Errorf("%d uploads, want %d", u.host.uploads, want)
	}
	if n := len(u.provider.calls); n == 0 || u.provider.calls[n-1].Message.Content.Image.ID != id {
		u.Errorf("%d calls, the last one must name %q", n, id)
	}
}

func TestFilesAreUploadedOnceAndSentByTheirID(t *testing.T) {
	withUploads(t, func(u *uploads) {
		first, second := u.post(linked), u.post(linked)
		u.process(first)
		u.process(second)
		u.expectUploads(1, "file-1")
		for i, task := range []gateway.Task{first, second} {
			m := u.expect(task, gateway.StatusAccepted)
			if d := cmp.Diff(&gateway.Media{Link: fileLink, Caption: "a picture"}, m.Content.Image); d != "" {
				u.Errorf("the record changed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(&gateway.Media{ID: "file-1", Caption: "a picture"}, u.provider.calls[i].Message.Content.Image); d != "" {
				u.Errorf("sent (-want +got):\n%s", d)
			}
		}
		if d := cmp.Diff([]string{"/media/a.jpg", "image/jpeg", strconv.Itoa(len(fileBody)), fileBody}, u.host.form); d != "" {
			u.Errorf("upload (-want +got):\n%s", d)
		}
		if n := len(u.pacer.waited); n != 2 {
			u.Errorf("%d tokens were taken, want one for each message", n)
		}
	})
}

func TestUploadsHoldNoSlotAndNoToken(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.host.next = []wire{{hang: true}}
		u.host.chunk = time.Second
		done, cancel := u.goProcess(u.post(linked))
		defer cancel()
		if u.slots.taken() != 0 || len(u.pacer.waited) != 0 || len(u.store.begins) != 0 {
			u.Errorf("%d slots, %d tokens, %d intents", u.slots.taken(), len(u.pacer.waited), len(u.store.begins))
		}
		plain := u.post(func(m *kept) { m.Recipient = "+4670000003" })
		u.process(plain)
		u.expect(plain, gateway.StatusAccepted)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			u.Errorf("Process: %v", err)
		}
	})
}

func TestUploadsThatAreRefused(t *testing.T) {
	known := func(c gateway.Class) func() error {
		return func() error { return &gateway.Error{Class: c, Code: "no", Title: "no"} }
	}
	for _, c := range []struct {
		name   string
		wire   wire
		render func() error
		want   gateway.Status
		parked []time.Duration
		held   time.Duration
		class  gateway.Class // of the message's error
	}{
		{name: "for good", wire: wire{status: 400}, want: gateway.StatusRejected, class: gateway.ClassPermanent},
		{name: "for now", wire: wire{status: 503}, want: gateway.StatusQueued, parked: []time.Duration{mediaDefer}},
		{name: "by a limit", wire: wire{status: 429}, want: gateway.StatusQueued, parked: []time.Duration{mediaDefer}},
		{name: "by a host that doesn't listen", wire: wire{refuse: true}, want: gateway.StatusQueued, parked: []time.Duration{mediaDefer}},
		{name: "by an answer that breaks off", wire: wire{cut: true}, want: gateway.StatusQueued, parked: []time.Duration{mediaDefer}},
		{
			name: "by an id that is none", wire: wire{header: http.Header{"Id": {"two\nlines"}}},
			want: gateway.StatusQueued, parked: []time.Duration{mediaDefer},
		},
		{
			name: "by an id that is too long", wire: wire{header: http.Header{"Id": {strings.Repeat("1", 513)}}},
			want: gateway.StatusQueued, parked: []time.Duration{mediaDefer},
		},
		{
			name: "for its credentials", wire: wire{status: 401}, want: gateway.StatusQueued,
			parked: []time.Duration{0}, held: suspendBase,
		},
		{
			name: "before the call, for want of credentials", render: known(gateway.ClassSuspended), want: gateway.StatusQueued,
			parked: []time.Duration{0}, held: suspendBase,
		},
		{name: "before the call, for now", render: known(gateway.ClassTransient), want: gateway.StatusQueued, parked: []time.Duration{mediaDefer}},
		{name: "by a defect", render: func() error { return errors.New(secret) }, want: gateway.StatusFailed, class: gateway.ClassInternal},
		{name: "by a panic", render: func() error { panic(secret) }, want: gateway.StatusFailed, class: gateway.ClassInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			withUploads(t, func(u *uploads) {
				u.host.next, u.with.newUpload = []wire{c.wire}, c.render
				task := u.post(linked)
				u.process(task)
				m := u.expect(task, c.want)
				if d := cmp.Diff(c.parked, m.defers); d != "" {
					u.Errorf("parked (-want +got):\n%s", d)
				}
				if c.class != "" && (m.Error == nil || m.Error.Class != c.class) {
					u.Errorf("error is %v", m.Error)
				}
				if held := max(time.Until(u.store.holdUntil), 0); held != c.held {
					u.Errorf("held for %v, want %v", held, c.held)
				}
				if shut := !u.desk.ShutUntil(gateway.Bulk).IsZero(); shut != (c.held > 0) {
					u.Errorf("shut: %t", shut)
				}
				if len(m.Attempts) != 0 || m.Spent != 0 {
					u.Errorf("%d attempts, %d spent", len(m.Attempts), m.Spent)
				}
				u.expectCalls(0)
			})
		})
	}
}

func TestUploadsOfASuspendedAccountGoOnAfterTheHold(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.host.next = []wire{{status: 401}, {status: 401}}
		task := u.post(linked)
		u.process(task)
		again := u.keep()[0] // it stays in its lane until the account opens
		second := u.post(linked)
		_, cancel := u.goProcess(second)
		cancel()
		if u.host.uploads != 1 {
			u.Errorf("%d uploads, want none while the account is held", u.host.uploads)
		}
		pass(suspendBase)
		u.process(again)
		again = u.keep()[0]
		pass(suspendBase)
		if u.desk.ShutUntil(gateway.Transactional).IsZero() {
			u.Error("the second hold isn't longer than the first")
		}
		pass(suspendBase)
		u.process(again)
		u.expect(task, gateway.StatusAccepted)
		u.expectUploads(3, "file-3")
		u.process(second)
		u.expect(second, gateway.StatusAccepted)
		u.expectUploads(3, "file-3")
	})
}

func TestUploadIsGivenUpWhenNothingMoves(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.host.chunk = u.account.Timeout - time.Second
		task := u.post(linked)
		done, cancel := u.goProcess(task)
		defer cancel()
		pass(time.Duration(len(fileBody)/8+2) * u.host.chunk)
		if err := <-done; err != nil {
			u.Fatal(err)
		}
		u.expect(task, gateway.StatusAccepted) // slow, but it moved

		u.store.set(func(s *fakeStore) { clear(s.files) })
		u.host.chunk = u.account.Timeout + time.Second
		stuck := u.post(linked)
		began := time.Now()
		u.process(stuck)
		u.expect(stuck, gateway.StatusQueued)
		if took := time.Since(began); took != u.account.Timeout || !strings.Contains(u.log.String(), `"code":"timeout"`) {
			u.Errorf("took %v\n%s", took, u.log)
		}
	})
}

func TestFileThatTheProviderHasLost(t *testing.T) {
	t.Run("is uploaded again for the next attempt", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.with.lost[410] = true
			u.net.next = []wire{{status: 410}}
			task := u.post(linked)
			u.process(task)
			m := u.expect(task, gateway.StatusQueued)
			if m.Error == nil || m.Error.Class != gateway.ClassTransient || m.Error.Code != "410" {
				u.Errorf("error is %v", m.Error)
			}
			if n := u.desk.breaker.cb.Counts().TotalFailures; n != 0 {
				u.Errorf("the breaker counts %d outages", n)
			}
			pass(2 * time.Second)
			u.process(u.keep()[0])
			u.expect(task, gateway.StatusAccepted)
			u.expectUploads(2, "file-2")
		})
	})
	t.Run("twice in a row ends the message", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.with.lost[410] = true
			u.net.rest = wire{status: 410}
			task := u.post(linked)
			u.process(task)
			pass(2 * time.Second)
			u.process(u.keep()[0])
			if m := u.expect(task, gateway.StatusFailed); m.Error.Class != gateway.ClassPermanent || m.Spent != 2 {
				u.Errorf("error %v, %d spent", m.Error, m.Spent)
			}
			next := u.post(linked)
			u.process(next)
			u.expectUploads(3, "file-3")
		})
	})
	t.Run("is forgotten too where the refusal is transient anyway", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.with.lost[503] = true
			u.net.next = []wire{{status: 503}}
			task := u.post(linked)
			u.process(task)
			pass(2 * time.Second)
			u.process(u.keep()[0])
			u.expect(task, gateway.StatusAccepted)
			u.expectUploads(2, "file-2")
		})
	})
	t.Run("is not looked for in other refusals", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.net.next = []wire{{status: 400}}
			task, next := u.post(linked), u.post(linked)
			u.process(task)
			u.expect(task, gateway.StatusFailed)
			u.process(next)
			u.expectUploads(1, "file-1")
		})
	})
	t.Run("nor where a defect keeps the provider's code from looking", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.with.lost = nil
			u.net.next = []wire{{status: 400}}
			task := u.post(linked)
			u.process(task)
			u.expect(task, gateway.StatusFailed)
		})
	})
}

func TestFilesOfAProviderThatWasReplacedMeanwhileAreUploadedAnew(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.slots.SetMax(0)
		task := u.post(linked)
		done, cancel := u.goProcess(task)
		defer cancel()
		u.with = &fakeUploader{fakeProvider: u.provider, keeper: "another number"}
		u.slots.SetMax(1)
		if err := <-done; err != nil {
			u.Fatal(err)
		}
		m := u.expect(task, gateway.StatusQueued)
		if d := cmp.Diff([]time.Duration{behindDefer}, m.defers); d != "" || u.busy() != 0 {
			u.Errorf("parked (-want +got):\n%s", d)
		}
		u.expectCalls(0)
		pass(behindDefer)
		u.process(u.keep()[0])
		u.expect(task, gateway.StatusAccepted)
		u.expectUploads(2, "file-2")
	})
}

func TestFilesOfAProviderThatChangedOtherwiseAreStillItsOwn(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.slots.SetMax(0)
		task := u.post(linked)
		done, cancel := u.goProcess(task)
		defer cancel()
		u.with = &fakeUploader{fakeProvider: u.provider} // other credentials, say
		u.slots.SetMax(1)
		if err := <-done; err != nil {
			u.Fatal(err)
		}
		synctest.Wait()
		u.expect(task, gateway.StatusAccepted)
		next := u.post(linked)
		u.process(next)
		u.expect(next, gateway.StatusAccepted)
		u.expectUploads(1, "file-1")
	})
}

// A callback that says a file is lost reaches another process, which drops it
// from the store.
func TestFileThatTheStoreNoLongerHasIsUploadedAgain(t *testing.T) {
	withUploads(t, func(u *uploads) {
		task := u.post(linked)
		u.process(task)
		m := u.expect(task, gateway.StatusAccepted)
		want := []gateway.KeptFile{{Key: gateway.NewFileKey("", fileLink), ID: "file-1", Life: 30 * 24 * time.Hour}}
		if d := cmp.Diff(want, m.files, cmpopts.IgnoreFields(gateway.KeptFile{}, "Version")); d != "" {
			u.Errorf("the intent names (-want +got):\n%s", d)
		}
		u.store.set(func(s *fakeStore) { clear(s.files) })
		for range 2 {
			u.process(u.post(linked))
			u.expectUploads(2, "file-2")
		}
	})
}

func TestFileThatAnotherWorkerHasUploadedIsNotUploadedAgain(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.process(u.post(linked))
		takenOver := func() {
			u.desk.Media = media.NewChecker(&http.Client{Transport: u.host}, media.Options{}).For(shop)
		}
		takenOver()
		for range 2 {
			u.process(u.post(linked))
			u.expectUploads(1, "file-1")
		}
		if u.host.gets != 2 {
			u.Errorf("the file was fetched %d times, want once by each worker", u.host.gets)
		}
		takenOver()
		u.host.version = `"2"`
		u.process(u.post(linked))
		u.expectUploads(2, "file-2")
	})
}

// Without a word of the store nobody knows whether the id is still good.
func TestUploadsWaitForTheStore(t *testing.T) {
	for _, act := range []string{"file", "keep file"} {
		t.Run(act, func(t *testing.T) {
			withUploads(t, func(u *uploads) {
				u.store.awayFrom[act] = 2
				task := u.post(linked)
				began := time.Now()
				u.process(task)
				u.expect(task, gateway.StatusAccepted)
				if waited := time.Since(began); waited != 2*writePause {
					u.Errorf("waited %v", waited)
				}
				u.expectUploads(1, "file-1")
			})
		})
	}
	t.Run("and end with the desk", func(t *testing.T) {
		withUploads(t, func(u *uploads) {
			u.store.awayFrom["file"] = 1 << 30
			task := u.post(linked)
			done, cancel := u.goProcess(task)
			defer cancel()
			pass(time.Second)
			u.desk.Stop()
			if err := <-done; !errors.Is(err, context.Canceled) {
				u.Errorf("Process: %v", err)
			}
			u.expect(task, gateway.StatusQueued)
			u.expectCalls(0)
		})
	})
}

func TestStopEndsUploads(t *testing.T) {
	withUploads(t, func(u *uploads) {
		u.host.next = []wire{{hang: true}}
		task := u.post(linked)
		done, cancel := u.goProcess(task)
		defer cancel()
		u.desk.Stop()
		synctest.Wait()
		if err := <-done; !errors.Is(err, context.Canceled) {
			u.Errorf("Process: %v", err)
		}
		if m := u.expect(task, gateway.StatusQueued); len(m.defers) != 0 {
			u.Errorf("parked: %v", m.defers)
		}
	})
}

func TestAccountsThatDoNotUploadHaveFilesLookedAt(t *testing.T) {
	withUploads(t, func(u *uploads) {
		account, _ := u.desk.Account()
		only := *account
		only.UploadMedia = false
		u.desk.Account = func() (*gateway.Account, Provider) { return &only, u.with }
		task := u.post(linked)
		u.process(task)
		u.expect(task, gateway.StatusAccepted)
		u.expectUploads(0, "")
	})
}

func TestWithOwnFilesCopiesWhatFilesLists(t *testing.T) {
	for _, text := range []string{
		`{"type":"image","image":{"link":"L1"}}`,
		`{"type":"video","video":{"link":"L1"}}`,
		`{"type":"audio","audio":{"link":"L1","voice":true}}`,
		`{"type":"document","document":{"link":"L1","filename":"f.pdf"}}`,
		`{"type":"sticker","sticker":{"link":"L1"}}`,
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"link":"L1"}},"action":{}}}`,
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"video","video":{"link":"L1"}},"action":{}}}`,
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"document","document":{"link":"L1"}},"action":{}}}`,
		`{"type":"template","template":{"name":"n","language":{"code":"sv"},"components":[` +
			`{"type":"header","parameters":[{"type":"image","image":{"link":"L1"}},{"type":"text","text":"t"},{"type":"video","video":{"link":"L1"}}]},` +
			`{"type":"body","parameters":[{"type":"document","document":{"link":"L1"}}]},{"type":"button"}]}}`,
		`{"type":"text","text":{"body":"b"}}`,
		`{"type":"interactive","interactive":{"type":"button","action":{}}}`,
	} {
		var c gateway.Content
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		before, _ := json.Marshal(c)
		own := withOwnFiles(c)
		for _, f := range own.Files() {
			f.Media.Link, f.Media.ID = "", "I1"
		}
		if after, _ := json.Marshal(c); string(after) != string(before) {
			t.Errorf("changed: %s", after)
		}
		got, _ := json.Marshal(own)
		if want := strings.ReplaceAll(string(before), `"link":"L1"`, `"id":"I1"`); string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestFileName(t *testing.T) {
	for link, want := range map[string]string{
		"https://media.test/a/b.jpg?x=/c.png": "b.jpg",
		"https://media.test/%C3%BC%20b.pdf":   "ü b.pdf",
		"https://media.test/a/":               "a",
		"https://media.test/":                 "",
		"https://media.test":                  "",
		"://":                                 "",
	} {
		if got := fileName(link); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}
