package whatsapponprem_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapponprem"
)

// S2-06 of the reference.
func TestAnUploadIsTheFilesBytes(t *testing.T) {
	const bytes = "\xff\xd8\xff\xe0 a picture"
	req, err := whatsapponprem.New(settings(hostURL)).NewUpload(t.Context(), whatsapponprem.Upload{
		Name: "a.jpg", Type: "image/jpeg", Size: int64(len(bytes)), Body: strings.NewReader(bytes),
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != bytes {
		t.Errorf("body %q, %v", body, err)
	}
	if req.Method != http.MethodPost || req.URL.String() != "https://wa.example.net/v1/media" || req.ContentLength != int64(len(bytes)) {
		t.Errorf("%s %s with %d bytes", req.Method, req.URL, req.ContentLength)
	}
	want := http.Header{"Authorization": {"Bearer OPTOKEN"}, "Content-Type": {"image/jpeg"}, "Accept": {"application/json"}}
	if diff := cmp.Diff(want, req.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestInterpretUpload(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		id     string
		class  gateway.Class // of what is refused
	}{
		{"taken", 200, `{"media":[{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68"}]}`, "f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68", ""},
		{"taken with 201", 201, `{"media":[{"id":"f0"}],"meta":{"version":"v2.45.1"}}`, "f0", ""},
		{"no id", 200, `{"media":[]}`, "", gateway.ClassTransient},
		{"a message's id", 200, `{"messages":[{"id":"f0"}]}`, "", gateway.ClassTransient},
		{"a proxy's 502", 502, `<html>`, "", gateway.ClassTransient},
		{"an id beside a 500", 500, `{"media":[{"id":"f0"}]}`, "", gateway.ClassTransient},
		{"a volume that is full", 500, `{"errors":[{"code":1014,"title":"Internal error"}]}`, "", gateway.ClassTransient},
		{"a file that is refused", 400, `{"errors":[{"code":1009,"title":"Parameter value is not valid"}]}`, "", gateway.ClassPermanent},
		{"a limit", 429, `{"errors":[{"code":1015,"title":"Too many requests"}]}`, "", gateway.ClassThrottled},
		{"a token that is refused", 401, denied, "", gateway.ClassSuspended},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, expires, refused := whatsapponprem.New(settings(hostURL)).InterpretUpload(sender.Answer{Status: c.status, Body: []byte(c.body)})
			if id != c.id || (id != "") != (expires == 30*24*time.Hour) {
				t.Errorf("id %q for %v", id, expires)
			}
			var class gateway.Class
			if refused != nil {
				class = refused.Class
			}
			if class != c.class {
				t.Errorf("refused %v, want class %q", refused, c.class)
			}
		})
	}
}
