package media

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/gateway"
	"sluice/internal/netguard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "tok-5f3a9c"

var imageRule = gateway.MediaRule{Types: imageTypes, MaxBytes: 64 << 10}

func image(link string) gateway.File {
	return gateway.File{Field: "image", Kind: gateway.MediaImage, Media: &gateway.Media{Link: link}}
}

// serve starts a server and returns a link to it that holds a secret, and a
// client that leaves nothing behind.
func serve(t *testing.T, h http.HandlerFunc) (link string, client *http.Client) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return s.URL + "/files/a.jpg?key=" + secret, client
}

// check compares a judge's answer with the code wanted, and makes sure that it
// tells nothing of the link.
func check(t *testing.T, refused *gateway.Error, retryable bool, want string) {
	t.Helper()
	code := ""
	if refused != nil {
		code = refused.Code
		if refused.Class != gateway.ClassMedia || refused.Title == "" || refused.Detail == "" {
			t.Errorf("incomplete: %+v", refused)
		}
		for _, s := range []string{secret, "127.0.0.1", "http:", "/files/"} {
			if strings.Contains(refused.Title+refused.Detail+refused.Error(), s) {
				t.Errorf("the error tells of the link: %+v", refused)
			}
		}
	}
	if code != want {
		t.Errorf("got %q (%+v), want %q", code, refused, want)
	}
	if retryable != (want == CodeUnreachable) {
		t.Errorf("%q: retryable is %t", want, retryable)
	}
}

// answer answers with a declared length.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		if status != http.StatusNoContent && status != http.StatusNotModified {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// chunked answers without a declared length.
func chunked(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, body)
	}
}

// hijacked answers with these very bytes and hangs up.
func hijacked(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, raw)
		_ = conn.Close()
	}
}

// random is the same bytes every time, and can't be packed.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func TestJudge(t *testing.T) {
	exactly, over := padded(jpegFile, 64<<10), padded(jpegFile, 64<<10+1)
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"a good file", answer(200, "image/jpeg", jpegFile), ""},
		{"a good file of undeclared length", chunked("image/jpeg", jpegFile), ""},
		{"a file as large as allowed", answer(200, "image/jpeg", exactly), ""},
		{"a file as large as allowed, of undeclared length", chunked("image/jpeg", exactly), ""},
		{"a byte more", answer(200, "image/jpeg", over), CodeTooLarge},
		{"a byte more, of undeclared length", chunked("image/jpeg", over), CodeTooLarge},
		{"a wrong type", answer(200, "text/html", page), CodeWrongType},
		{"a lie", answer(200, "image/jpeg", page), CodeWrongType},
		{"a wrong type that is too large as well", answer(200, "text/html", padded(page, 64<<10+1)), CodeWrongType},
		{"no declared type", answer(200, "", jpegFile), CodeWrongType},
		{"an empty file", answer(200, "image/jpeg", ""), CodeWrongType},
		{"an empty file of undeclared length", chunked("image/jpeg", ""), CodeWrongType},
		{"no content", answer(204, "image/jpeg", ""), CodeWrongType},
		{"gzip that nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, zipped(exactly))
		}, ""},
		{"gzip that unpacks to more than allowed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, zipped(padded(jpegFile, 16<<20)))
		}, CodeTooLarge},
		{"not modified, though nobody asked", answer(304, "", ""), CodeBadLink},
		{"bad request", answer(400, "text/plain", "no"), CodeBadLink},
		{"unauthorized", answer(401, "text/plain", "no"), CodeBadLink},
		{"forbidden", answer(403, "image/jpeg", jpegFile), CodeBadLink},
		{"not found", answer(404, "image/jpeg", jpegFile), CodeBadLink},
		{"gone", answer(410, "text/plain", "no"), CodeBadLink},
		{"request timeout", answer(408, "text/plain", "later"), CodeUnreachable},
		{"too early", answer(425, "text/plain", "later"), CodeUnreachable},
		{"too many requests", answer(429, "text/plain", "later"), CodeUnreachable},
		{"server error", answer(500, "image/jpeg", jpegFile), CodeUnreachable},
		{"service unavailable", answer(503, "text/plain", "later"), CodeUnreachable},
		{"hung up without an answer", hijacked(""), CodeUnreachable},
		{"hung up in the headers", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"), CodeUnreachable},
		{"hung up in the first bytes", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 9000\r\n\r\n" + jpegFile), CodeUnreachable},
		{"hung up in the middle of chunks", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n" +
			padded(jpegFile, 0x2000) + "\r\n"), CodeUnreachable},
		{"gzip of what can't be packed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, zipped(jpegFile+random(64<<10-len(jpegFile))))
		}, ""},
		{"gzip that never yields anything", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
			empty := []byte(strings.Repeat("\x00\x00\x00\xff\xff", 1<<10)) // stored blocks of no bytes
			for {
				if _, err := w.Write(empty); err != nil {
					return
				}
			}
		}, CodeBadLink},
		{"gzip that is none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, jpegFile)
		}, CodeUnreachable},
		{"less declared than sent: the rest is no part of the file", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 20\r\n\r\n" + jpegFile + "more"), ""},
		{"more declared than allowed, whatever is sent", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 99999999999\r\n\r\n" + padded(jpegFile, 8<<10)), CodeTooLarge},
		{"a declared length below nothing", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: -1\r\n\r\n" + jpegFile), CodeUnreachable},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 1<<10)+"\r\n")
			}
		}, CodeUnreachable},
		{"two lengths that differ", hijacked("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 20\r\nContent-Length: 21\r\n\r\n" + jpegFile), CodeUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, tc.h)
			refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), image(link), imageRule)
			check(t, refused, retryable, tc.want)
		})
	}
}

func TestJudgeAsksForTheFileItself(t *testing.T) {
	link, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Accept-Encoding") != "identity" || r.URL.Query().Get("key") != secret {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		answer(200, "image/jpeg", jpegFile)(w, r)
	})
	refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), image(link), imageRule)
	check(t, refused, retryable, "")
}

func TestJudgeWithoutAFetch(t *testing.T) {
	client := &http.Client{Transport: fakeServer(func(*http.Request) (*http.Response, error) {
		t.Error("fetched")
		return nil, io.EOF
	})}
	for _, tc := range []struct {
		name  string
		media *gateway.Media
		rule  gateway.MediaRule
		want  string
	}{
		{"a file by the provider's id", &gateway.Media{ID: "1037543291543636"}, imageRule, ""},
		{"a link only the provider has the credentials for", &gateway.Media{Link: "https://cdn.example.com/a.jpg", Provider: "cdn-a"}, imageRule, ""},
		{"no file at all", nil, imageRule, ""},
		{"a kind the provider doesn't take", &gateway.Media{Link: "https://cdn.example.com/a.jpg"}, gateway.MediaRule{MaxBytes: 1}, CodeWrongType},
		{"a link that is none", &gateway.Media{Link: "https://%zz/" + secret}, imageRule, CodeBadLink},
		{"a link of another scheme", &gateway.Media{Link: "ftp://cdn.example.com/a.jpg"}, imageRule, CodeBadLink},
		{"a link with a password", &gateway.Media{Link: "https://me:" + secret + "@cdn.example.com/a.jpg"}, imageRule, CodeBadLink},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := gateway.File{Field: "image", Kind: gateway.MediaImage, Media: tc.media}
			refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), f, tc.rule)
			check(t, refused, retryable, tc.want)
		})
	}
}

func TestStickersWithoutAnimationHaveALowerLimit(t *testing.T) {
	const kilobyte = 1 << 10
	rule := func(limit, still int64) gateway.MediaRule {
		return gateway.MediaRule{Types: stickerTypes, MaxBytes: limit, MaxStill: still}
	}
	both := rule(500*kilobyte, 100*kilobyte)
	for _, tc := range []struct {
		name    string
		kind    gateway.MediaKind
		content string
		size    int
		rule    gateway.MediaRule
		want    string
	}{
		{"still, 100 KB", gateway.MediaSticker, stillWebP, 100 * kilobyte, both, ""},
		{"still, more", gateway.MediaSticker, stillWebP, 100*kilobyte + 1, both, CodeTooLarge},
		{"still in the extended form, more", gateway.MediaSticker, stillWebPX, 100*kilobyte + 1, both, CodeTooLarge},
		{"animated, more", gateway.MediaSticker, animatedWebP, 100*kilobyte + 1, both, ""},
		{"animated, 500 KB", gateway.MediaSticker, animatedWebP, 500 * kilobyte, both, ""},
		{"animated, more than that", gateway.MediaSticker, animatedWebP, 500*kilobyte + 1, both, CodeTooLarge},
		{"animated under a rule for still ones", gateway.MediaSticker, animatedWebP, 100*kilobyte + 1, rule(100*kilobyte, 0), CodeTooLarge},
		{"still under a rule that knows no difference", gateway.MediaSticker, stillWebP, 101 * kilobyte, rule(500*kilobyte, 0), ""},
		{"still under a stricter rule", gateway.MediaSticker, stillWebP, 51 * kilobyte, rule(500*kilobyte, 50*kilobyte), CodeTooLarge},
		{"still under a rule that allows still ones more than any", gateway.MediaSticker, stillWebP, 51 * kilobyte, rule(50*kilobyte, 100*kilobyte), CodeTooLarge},
		{"animated where only still ones are taken", gateway.MediaSticker, animatedWebP, 50 * kilobyte, gateway.MediaRule{Types: stickerTypes, MaxBytes: 100 * kilobyte, StillOnly: true}, CodeWrongType},
		{"still where only still ones are taken", gateway.MediaSticker, stillWebPX, 50 * kilobyte, gateway.MediaRule{Types: stickerTypes, MaxBytes: 100 * kilobyte, StillOnly: true}, ""},
		{"a picture is no sticker", gateway.MediaImage, stillWebP, 101 * kilobyte, both, ""},
	} {
		for _, form := range []struct {
			name string
			of   func(contentType, body string) http.HandlerFunc
		}{
			{"declared length", func(ct, body string) http.HandlerFunc { return answer(200, ct, body) }},
			{"undeclared length", chunked},
		} {
			t.Run(tc.name+", "+form.name, func(t *testing.T) {
				link, client := serve(t, form.of("image/webp", padded(tc.content, tc.size)))
				f := gateway.File{Field: string(tc.kind), Kind: tc.kind, Media: &gateway.Media{Link: link}}
				refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), f, tc.rule)
				check(t, refused, retryable, tc.want)
			})
		}
	}
}

func TestOpusOfSeveralChannelsIsNotTakenEverywhere(t *testing.T) {
	stereo := strings.Replace(opusFile, "OpusHead\x01\x01", "OpusHead\x01\x02", 1)
	for _, tc := range []struct {
		name    string
		kind    gateway.MediaKind
		content string
		mono    bool
		want    string
	}{
		{"mono", gateway.MediaAudio, opusFile, true, ""},
		{"stereo", gateway.MediaAudio, stereo, true, CodeWrongType},
		{"stereo where that is taken", gateway.MediaAudio, stereo, false, ""},
		{"stereo as a document", gateway.MediaDocument, stereo, true, ""},
		{"a header that ends before its channels", gateway.MediaAudio, stereo[:len(oggPage)+9], true, CodeWrongType},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, answer(200, "audio/ogg", tc.content))
			f := gateway.File{Field: string(tc.kind), Kind: tc.kind, Media: &gateway.Media{Link: link}}
			rule := gateway.MediaRule{Types: []string{"audio/ogg"}, MaxBytes: 1 << 20, MonoOnly: tc.mono}
			refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), f, rule)
			check(t, refused, retryable, tc.want)
		})
	}
}

func TestRedirects(t *testing.T) {
	for _, tc := range []struct {
		name string
		hops int
		to   string // after the hops; empty: the file
		want string
	}{
		{"three are followed", 3, "", ""},
		{"a fourth is not", 4, "", CodeBadLink},
		{"to another scheme", 1, "ftp://cdn.example.com/" + secret, CodeBadLink},
		{"to nowhere", 1, "http://%zz/" + secret, CodeUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n := strings.Count(r.URL.Path, "x")
				switch {
				case r.Referer() != "":
					t.Errorf("the link before was told on: %q", r.Referer())
				case n < tc.hops && n == tc.hops-1 && tc.to != "":
					w.Header().Set("Location", tc.to)
					w.WriteHeader(http.StatusFound)
				case n < tc.hops:
					http.Redirect(w, r, "/"+strings.Repeat("x", n+1)+"?key="+secret, http.StatusFound)
				default:
					answer(200, "image/jpeg", jpegFile)(w, r)
				}
			})
			link = strings.Replace(link, "/files/a.jpg", "/", 1)
			refused, retryable := NewChecker(client, Options{}).For("shop-eu").Judge(t.Context(), image(link), imageRule)
			check(t, refused, retryable, tc.want)
		})
	}
}

func TestTheClientsOwnRuleForRedirectsHolds(t *testing.T) {
	errMine := errors.New("not there")
	link, client := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusFound) })
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errMine }
	c := NewChecker(client, Options{Refused: func(err error) bool { return errors.Is(err, errMine) }})
	refused, retryable := c.For("shop-eu").Judge(t.Context(), image(link), imageRule)
	check(t, refused, retryable, CodeRefusedAddress)
}

func TestRefusedAddressesAreRecognised(t *testing.T) {
	errRefused := errors.New("refused 10.0.0.1 for " + secret)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errRefused },
	}}
	isRefused := func(err error) bool { return errors.Is(err, errRefused) }
	for _, tc := range []struct {
		name    string
		refused func(error) bool
		want    string
	}{
		{"by the predicate", isRefused, CodeRefusedAddress},
		{"without one they are failures like others", nil, CodeUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refused, retryable := NewChecker(client, Options{Refused: tc.refused}).For("shop-eu").
				Judge(t.Context(), image("https://cdn.example.com/files/a.jpg?key="+secret), imageRule)
			check(t, refused, retryable, tc.want)
		})
	}
}

func TestTheNetworkGuardsRefusalsAreRecognised(t *testing.T) {
	link, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	guard, err := netguard.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	client := guard.Client(5 * time.Second)
	t.Cleanup(client.CloseIdleConnections)
	j := NewChecker(client, Options{Refused: func(err error) bool { return errors.Is(err, netguard.ErrRefused) }}).For("shop-eu")
	for name, link := range map[string]string{
		"a private address":               "https://10.0.0.1/files/a.jpg?key=" + secret,
		"http to a public address":        "http://8.8.8.8/files/a.jpg?key=" + secret,
		"a redirect to a private address": link + "&to=https://169.254.169.254/" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			refused, retryable := j.Judge(t.Context(), image(link), imageRule)
			check(t, refused, retryable, CodeRefusedAddress)
		})
	}
}

// counting counts the bytes read of every body.
type counting struct {
	next http.RoundTripper
	read atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		resp.Body = &countingBody{resp.Body, &c.read}
	}
	return resp, err
}

type countingBody struct {
	io.ReadCloser
	read *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func TestNoMoreIsReadThanNeeded(t *testing.T) {
	endless := func(contentType, start string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, padded(start, 32<<10))
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
	}
	for _, tc := range []struct {
		name  string
		h     http.HandlerFunc
		limit int64
		want  string
		read  int64
	}{
		{"an endless file: the limit and a byte", endless("image/jpeg", jpegFile), 1 << 20, CodeTooLarge, 1<<20 + 1},
		{"a limit below what types are told from", endless("image/jpeg", jpegFile), 100, CodeTooLarge, 101},
		{"an endless file of a wrong type: its head", endless("text/html", page), 1 << 20, CodeWrongType, headSize},
		{"a declared length: the head", answer(200, "image/jpeg", padded(jpegFile, 1<<20)), 1 << 20, "", headSize},
		{"a declared length over the limit: the head", answer(200, "image/jpeg", padded(jpegFile, 2<<20)), 1 << 20, CodeTooLarge, headSize},
		{"an undeclared length: all of it", chunked("image/jpeg", padded(jpegFile, 1<<20)), 1 << 20, "", 1 << 20},
		{"an error page: nothing", answer(404, "image/jpeg", padded(page, 1<<20)), 1 << 20, CodeBadLink, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, tc.h)
			counter := &counting{next: client.Transport}
			c := NewChecker(&http.Client{Transport: counter}, Options{})
			refused, retryable := c.For("shop-eu").Judge(t.Context(), image(link), gateway.MediaRule{Types: imageTypes, MaxBytes: tc.limit})
			check(t, refused, retryable, tc.want)
			if got := counter.read.Load(); got != tc.read {
				t.Errorf("read %d bytes, want %d", got, tc.read)
			}
		})
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	for _, tc := range []struct{ name, sent string }{
		{"that says nothing", ""},
		{"that stops in its headers", "HTTP/1.1 200 OK\r\n"},
		{"that drips", "drip"},
		{"that stops in the content", "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + jpegFile + "\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			link, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				if tc.sent == "drip" {
					_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 60000\r\n\r\n")
					for err == nil {
						time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the server is slow
						_, err = io.WriteString(conn, "x")
					}
					return
				}
				_, _ = io.WriteString(conn, tc.sent)
				_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
			})
			c := NewChecker(client, Options{Timeout: 50 * time.Millisecond})
			refused, retryable := c.For("shop-eu").Judge(t.Context(), image(link), imageRule)
			check(t, refused, retryable, CodeUnreachable)
			if refused != nil && refused.Detail != "the server took too long" {
				t.Errorf("detail %q", refused.Detail)
			}
		})
	}
}

// fakeServer is a server without a network, for tests in virtual time.
type fakeServer func(*http.Request) (*http.Response, error)

func (f fakeServer) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(r *http.Request, status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func TestOneFetchServesAllWhoAskAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		c := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			time.Sleep(time.Second) //nolint:forbidigo // virtual time: the server is slow
			return response(r, 200, "image/jpeg", jpegFile), nil
		})}, Options{})
		var wg sync.WaitGroup
		for _, account := range []gateway.AccountID{"shop-eu", "shop-us"} {
			j := c.For(account)
			for i := range 200 {
				rule := imageRule
				if i%2 == 1 {
					rule = gateway.MediaRule{Types: stickerTypes, MaxBytes: headSize}
				}
				wg.Go(func() {
					refused, retryable := j.Judge(t.Context(), image("https://cdn.example.com/a.jpg"), rule)
					want := ""
					if i%2 == 1 {
						want = CodeWrongType
					}
					check(t, refused, retryable, want)
				})
			}
		}
		start := time.Now()
		wg.Wait()
		if n := fetches.Load(); n != 2 {
			t.Errorf("%d fetches, want one for each account", n)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestWhoGivesUpLeavesTheFetchToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		j := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			select {
			case <-time.After(3 * time.Second):
				return response(r, 200, "image/jpeg", jpegFile), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}, Options{}).For("shop-eu")
		var wg sync.WaitGroup
		ask := func(patience time.Duration, want string) {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				refused, retryable := j.Judge(ctx, image("https://cdn.example.com/a.jpg"), imageRule)
				check(t, refused, retryable, want)
			})
			synctest.Wait()
		}
		ask(time.Second, CodeUnreachable)          // fetches, and gives up
		ask(500*time.Millisecond, CodeUnreachable) // waits, and gives up
		ask(time.Minute, "")                       // waits, then fetches
		wg.Wait()
		if n := fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		ask(0, "") // remembered
		wg.Wait()
	})
}

func TestAJudgeMakesAFewFetchesAtOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		c := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second) //nolint:forbidigo // virtual time: the server is slow
			return response(r, 200, "image/jpeg", jpegFile), nil
		})}, Options{Parallel: 3})
		j := c.For("shop-eu")
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 9 {
			wg.Go(func() {
				refused, retryable := j.Judge(t.Context(), image(fmt.Sprintf("https://cdn.example.com/%d.jpg", i)), imageRule)
				check(t, refused, retryable, "")
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		refused, retryable := j.Judge(ctx, image("https://cdn.example.com/late.jpg"), imageRule)
		check(t, refused, retryable, CodeUnreachable)
		refused, retryable = c.For("shop-us").Judge(t.Context(), image("https://cdn.example.com/0.jpg"), imageRule)
		check(t, refused, retryable, "")
		if d := time.Since(start); d != time.Second {
			t.Errorf("another account waited %v", d)
		}
		wg.Wait()
		if n := most.Load(); n > 4 {
			t.Errorf("%d at one time", n)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestWhatWasFoundIsRememberedForAWhile(t *testing.T) {
	for _, tc := range []struct {
		name string
		resp func(*http.Request) (*http.Response, error)
		want string
		hold time.Duration
	}{
		{"a good file", func(r *http.Request) (*http.Response, error) { return response(r, 200, "image/jpeg", jpegFile), nil }, "", goodFor},
		{"a wrong type", func(r *http.Request) (*http.Response, error) { return response(r, 200, "text/html", page), nil }, CodeWrongType, badFor},
		{"a dead link", func(r *http.Request) (*http.Response, error) { return response(r, 404, "text/html", page), nil }, CodeBadLink, badFor},
		{"a broken server", func(r *http.Request) (*http.Response, error) { return response(r, 502, "text/html", page), nil }, CodeUnreachable, unreachableFor},
		{"a broken line", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, CodeUnreachable, unreachableFor},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fetches int
				j := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
					fetches++
					return tc.resp(r)
				})}, Options{}).For("shop-eu")
				ask := func(want int) {
					t.Helper()
					refused, retryable := j.Judge(t.Context(), image("https://cdn.example.com/a.jpg"), imageRule)
					check(t, refused, retryable, tc.want)
					if fetches != want {
						t.Errorf("%d fetches, want %d", fetches, want)
					}
				}
				ask(1)
				time.Sleep(tc.hold - time.Nanosecond) //nolint:forbidigo // virtual time
				ask(1)
				time.Sleep(time.Nanosecond) //nolint:forbidigo // virtual time
				ask(2)
			})
		})
	}
}

func TestFactsServeEveryRuleTheyReach(t *testing.T) {
	var fetches int
	body := padded(jpegFile, 10<<10)
	j := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
		fetches++
		resp := response(r, 200, "image/jpeg", body)
		resp.ContentLength = -1
		return resp, nil
	})}, Options{}).For("shop-eu")
	for _, step := range []struct {
		name    string
		types   []string
		limit   int64
		want    string
		fetches int
	}{
		{"a limit that leaves too little to tell the type from", imageTypes, 1, CodeWrongType, 1},
		{"a limit below the head", imageTypes, 100, CodeTooLarge, 2},
		{"a lower one", imageTypes, 50, CodeTooLarge, 2},
		{"a higher one needs more", imageTypes, 8 << 10, CodeTooLarge, 3},
		{"a wrong type doesn't", stickerTypes, 1 << 20, CodeWrongType, 3},
		{"one higher than the size does", imageTypes, 1 << 20, "", 4},
		{"then the size is known", imageTypes, 2 << 20, "", 4},
		{"for lower ones too", imageTypes, 10<<10 - 1, CodeTooLarge, 4},
		{"and for the exact one", imageTypes, 10 << 10, "", 4},
	} {
		refused, retryable := j.Judge(t.Context(), image("https://cdn.example.com/a.jpg"), gateway.MediaRule{Types: step.types, MaxBytes: step.limit})
		check(t, refused, retryable, step.want)
		if fetches != step.fetches {
			t.Errorf("%s: %d fetches, want %d", step.name, fetches, step.fetches)
		}
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	var fetches int
	c := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
		fetches++
		return response(r, 200, "image/jpeg", jpegFile), nil
	})}, Options{Remember: 3})
	j := c.For("shop-eu")
	ask := func(n, want int) {
		t.Helper()
		refused, retryable := j.Judge(t.Context(), image(fmt.Sprintf("https://cdn.example.com/%d.jpg", n)), imageRule)
		check(t, refused, retryable, "")
		if fetches != want {
			t.Errorf("link %d: %d fetches, want %d", n, fetches, want)
		}
		if len(c.cache.entries) > 3 || c.cache.oldest.Len() != len(c.cache.entries) || len(c.flights) != 0 {
			t.Errorf("%d entries, %d in order, %d flights", len(c.cache.entries), c.cache.oldest.Len(), len(c.flights))
		}
	}
	for n := range 10 {
		ask(n, n+1)
	}
	ask(9, 10)
	ask(7, 10)
	ask(6, 11) // the oldest went first
	ask(9, 11)
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		j := NewChecker(&http.Client{Transport: fakeServer(func(r *http.Request) (*http.Response, error) {
			if first {
				first = false
				time.Sleep(time.Second) //nolint:forbidigo // virtual time: until the other waits
				panic("a defect")
			}
			return response(r, 200, "image/jpeg", jpegFile), nil
		})}, Options{Parallel: 1}).For("shop-eu")
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = j.Judge(t.Context(), image("https://cdn.example.com/a.jpg"), imageRule)
		})
		synctest.Wait()
		refused, retryable := j.Judge(t.Context(), image("https://cdn.example.com/a.jpg"), imageRule)
		check(t, refused, retryable, "")
		wg.Wait()
	})
}
