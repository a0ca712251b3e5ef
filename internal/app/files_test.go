package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/sender"
)

// fileHost serves one picture on loopback, and counts.
type fileHost struct {
	*httptest.Server

	mu   sync.Mutex
	gets int
}

func newFileHost(t *testing.T) *fileHost {
	t.Helper()
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64)), nil); err != nil {
		t.Fatal(err)
	}
	h := &fileHost{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.gets++
		h.mu.Unlock()
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(picture.Bytes()))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *fileHost) fetched() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gets
}

// line stands before the simulator and takes down what is uploaded and sent.
type line struct {
	*httptest.Server

	mu      sync.Mutex
	to      *url.URL
	uploads int
	images  []gateway.Media // of the messages, in their order
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r.SetURL(l.to)
	}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/media"):
			l.mu.Lock()
			l.uploads++
			l.mu.Unlock()
		case strings.HasSuffix(r.URL.Path, "/messages"):
			body, _ := io.ReadAll(r.Body)
			var sent struct{ Image gateway.Media }
			_ = json.Unmarshal(body, &sent)
			l.mu.Lock()
			l.images = append(l.images, sent.Image)
			l.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *line) uploaded() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uploads
}

func (l *line) shown() []gateway.Media {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.images)
}

// work runs a worker until it is told to stop, or the test ends.
func (i *installation) work(t *testing.T) (stop func()) {
	t.Helper()
	w, err := NewWorker(t.Context(), Options{Config: i.config, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestAFileIsUploadedOnceAndSentByItsID(t *testing.T) {
	for _, tc := range []struct {
		name, account, files string // files: where the provider deletes them
	}{
		{"whatsapp-cloud", `phone_number_id: "77", access_token: u, app_secret: s, verify_token: v, base_url: "LINE/v23.0"`, "/v23.0/"},
		{"whatsapp-onprem", `token: u, callback_token: c, base_url: "LINE"`, "/v1/media/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			files, line := newFileHost(t), newLine(t)
			account := fmt.Sprintf("  - {id: uploads, provider: %s, rate: 100, media: upload, %s}\n", tc.name, strings.Replace(tc.account, "LINE", line.URL, 1))
			i := installWith(t, false, account)
			line.to = &url.URL{Scheme: "http", Host: i.providers}
			link, n := files.URL+"/photo.jpg", 0
			post := func() string {
				t.Helper()
				n++
				var m message
				body := fmt.Sprintf(`{"account":"uploads","to":"+4673200%04d","type":"image","image":{"link":%q,"caption":"Hello"}}`, 2000+n, link)
				i.ask(t, http.StatusAccepted, http.MethodPost, "/v1/messages", body, &m)
				return m.ID
			}
			becomes := func(id, status string) (m message) {
				t.Helper()
				await(t, "a message is "+status, func() bool { m = i.get(t, id); return m.Status == status })
				return m
			}
			expect := func(what string, uploads, fetches int) {
				t.Helper()
				if u, f := line.uploaded(), files.fetched(); u != uploads || f != fetches {
					t.Errorf("%s: %d uploads and %d fetches in all, want %d and %d", what, u, f, uploads, fetches)
				}
			}
			stop := i.work(t)

			var first []string
			for range 50 {
				first = append(first, post())
			}
			for _, id := range first {
				becomes(id, "read")
			}
			expect("50 messages", 1, 1)
			shown := line.shown()
			for _, m := range shown {
				if m.ID == "" || m.ID != shown[0].ID || m.Link != "" || m.Caption != "Hello" {
					t.Fatalf("a message shows %+v, the first %+v", m, shown[0])
				}
			}
			if len(shown) != 50 {
				t.Errorf("%d messages were sent", len(shown))
			}

			i.simulate(t, http.MethodDelete, tc.files+shown[0].ID, "u", "")
			if m := becomes(post(), "read"); len(m.Attempts) != 2 {
				t.Errorf("refused for its file, the message took %d attempts", len(m.Attempts))
			}
			expect("the provider has lost the file", 2, 2)

			i.simulate(t, http.MethodPost, "/_sim/faults", "", `{"account":"uploads","fault":"callbacks_failed","code":131053,"count":1}`)
			if m := becomes(post(), "failed"); len(m.Attempts) != 1 {
				t.Errorf("the message took %d attempts", len(m.Attempts))
			}
			expect("a message that fails later", 2, 2)
			becomes(post(), "read")
			expect("the next message", 3, 3)

			stop()
			i.work(t)
			becomes(post(), "read")
			becomes(post(), "read")
			expect("another worker", 3, 4)

			provider := i.api.directory.now.Load().accounts["uploads"].provider.(sender.Uploader)
			key := redisdb.Key(gateway.AccountID("uploads").Tag(), "f:"+string(gateway.NewFileKey(provider.Keeper(), link)))
			if n, err := i.api.rdb.Del(t.Context(), key).Result(); n != 1 || err != nil {
				t.Fatalf("%d keys expire, %v", n, err)
			}
			becomes(post(), "read")
			expect("the id has expired", 4, 5)
			if shown := line.shown(); len(shown) != n+1 { // one was refused for its file
				t.Errorf("%d requests for %d messages", len(shown), n)
			}
		})
	}
}

func TestALinkIsFetchedOnceForEachAccount(t *testing.T) {
	t.Parallel()
	files := newFileHost(t)
	i := installWith(t, true, `  - {id: other, provider: whatsapp-cloud, base_url: "SIMULATOR/v23.0", phone_number_id: "78", access_token: o, app_secret: s, verify_token: v, rate: 100}
`)
	var ids []string
	for n := range 20 {
		for _, account := range []string{"cloud", "other"} {
			var m message
			body := fmt.Sprintf(`{"account":%q,"to":"+4673200%04d","type":"image","image":{"link":%q}}`, account, 2000+n, files.URL+"/photo.jpg")
			i.ask(t, http.StatusAccepted, http.MethodPost, "/v1/messages", body, &m)
			ids = append(ids, m.ID)
		}
	}
	for _, id := range ids {
		await(t, "a message is read", func() bool { return i.get(t, id).Status == "read" })
	}
	if n := files.fetched(); n != 2 {
		t.Errorf("%d fetches, want one for each account", n)
	}
}
