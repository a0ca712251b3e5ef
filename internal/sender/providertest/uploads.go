package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// uploads checks what must hold of every sender.Uploader.
func (s *Suite) uploads(t *testing.T) {
	const file = "\x00\x01 the bytes of a file \xff\r\n--\r\n"
	uploader := func() sender.Uploader { return s.New(BaseURL).(sender.Uploader) }
	upload := func(ctx context.Context, t *testing.T, size int64, body io.Reader) *http.Request {
		t.Helper()
		req, err := uploader().NewUpload(ctx, sender.Upload{Name: "a.jpg", Type: "image/jpeg", Size: size, Body: body})
		if err != nil {
			t.Fatalf("NewUpload: %v", err)
		}
		return req
	}
	t.Run("the request holds the file and tells its length", func(t *testing.T) {
		for _, size := range []int64{int64(len(file)), -1} {
			req := upload(t.Context(), t, size, strings.NewReader(file))
			body := string(readBody(t, req))
			if !strings.Contains(body, file) {
				t.Errorf("body %q", body)
			}
			if want := int64(len(body)); size >= 0 && req.ContentLength != want || size < 0 && req.ContentLength != -1 {
				t.Errorf("a file of size %d: ContentLength %d, the body has %d bytes", size, req.ContentLength, want)
			}
			if !strings.HasPrefix(req.URL.String(), BaseURL+"/") {
				t.Errorf("URL %s", req.URL)
			}
		}
	})
	t.Run("the file isn't read before the request is written", func(t *testing.T) {
		req := upload(t.Context(), t, -1, untouchable{t})
		if err := req.Context().Err(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file that breaks off breaks the request off", func(t *testing.T) {
		req := upload(t.Context(), t, -1, io.MultiReader(strings.NewReader(file), broken{}))
		if _, err := io.ReadAll(req.Body); !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the request carries the caller's context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		req := upload(ctx, t, -1, strings.NewReader(file))
		cancel()
		if req.Context().Err() == nil {
			t.Error("cancelling the caller's context doesn't cancel the request's")
		}
	})
	t.Run("odd answers", func(t *testing.T) {
		bodies, refusals := oddBodies(), map[string]bool{}
		for _, c := range s.Answers {
			bodies["an answer to a message: "+c.Name] = c.Body
			refusals["an answer to a message: "+c.Name] = true // its id may well be a file's
		}
		for _, secret := range s.Secrets {
			bodies["a secret"] = `{"error":{"code":190,"message":"bad ` + secret + `"},"errors":[{"code":1005,"title":"bad ` + secret + `"}]}`
		}
		for name, body := range bodies {
			for _, status := range []int{200, 201, 204, 302, 400, 401, 403, 404, 413, 429, 500, 503} {
				if refusals[name] && status < 300 {
					continue
				}
				id, expires, refused := uploader().InterpretUpload(sender.Answer{Status: status, Header: http.Header{}, Body: []byte(body)})
				if id != "" || expires != 0 || refused == nil {
					t.Errorf("%s, status %d: id %q for %v, refused %v: nothing was taken", name, status, id, expires, refused)
					continue
				}
				if refused.Class == gateway.ClassUnknown || refused.Code == "" || refused.Title == "" {
					t.Errorf("%s, status %d: refused %+v", name, status, *refused)
				}
				for _, secret := range s.Secrets {
					if strings.Contains(fmt.Sprintf("%+v", *refused), secret) {
						t.Errorf("%s, status %d: a secret in %+v", name, status, *refused)
					}
				}
			}
			uploader().LostUpload(sender.Answer{Status: 400, Body: []byte(body)})
		}
	})
	t.Run("a message that was taken has lost no file", func(t *testing.T) {
		for _, c := range s.Answers {
			if c.Want.Outcome == gateway.OutcomeAccepted && uploader().LostUpload(sender.Answer{Status: c.Status, Header: c.header(), Body: []byte(c.Body)}) {
				t.Errorf("%s: lost", c.Name)
			}
		}
	})
}

type untouchable struct{ *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.Error("the file was read")
	return 0, io.EOF
}

type broken struct{}

var errBroken = errors.New("broken off")

func (broken) Read([]byte) (int, error) { return 0, errBroken }
