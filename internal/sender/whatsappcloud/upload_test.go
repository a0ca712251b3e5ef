package whatsappcloud

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

var number = Settings{PhoneNumberID: "106540352242922", AccessToken: "EAATOKEN"}

// S3-03 of the reference, with a boundary that is known.
func TestUploadBytes(t *testing.T) {
	const file = "\x00\x00\x00\x18ftypmp42 a film\r\n--\r\n"
	want := "--BOUNDARY\r\n" +
		"Content-Disposition: form-data; name=\"messaging_product\"\r\n\r\n" +
		"whatsapp\r\n" +
		"--BOUNDARY\r\n" +
		"Content-Disposition: form-data; name=\"type\"\r\n\r\n" +
		"video/mp4\r\n" +
		"--BOUNDARY\r\n" +
		"Content-Disposition: form-data; name=\"file\"; filename=\"promo.mp4\"\r\n" +
		"Content-Type: video/mp4\r\n\r\n" +
		file + "\r\n" +
		"--BOUNDARY--\r\n"
	for _, c := range []struct {
		name   string
		size   int64
		length int64
	}{
		{"of known size", int64(len(file)), int64(len(want))},
		{"of unknown size", -1, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := New(number).newUpload(t.Context(), sender.Upload{Name: "promo.mp4", Type: "video/mp4", Size: c.size, Body: strings.NewReader(file)}, "BOUNDARY")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if target := "https://graph.facebook.com/v23.0/106540352242922/media"; req.Method != http.MethodPost || req.URL.String() != target || req.ContentLength != c.length {
				t.Errorf("%s %s with %d bytes, want %d", req.Method, req.URL, req.ContentLength, c.length)
			}
			header := http.Header{"Authorization": {"Bearer EAATOKEN"}, "Content-Type": {"multipart/form-data; boundary=BOUNDARY"}}
			if diff := cmp.Diff(header, req.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUploadsHaveBoundariesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		req, err := New(number).NewUpload(t.Context(), sender.Upload{Type: "image/png", Body: strings.NewReader("x")})
		if err != nil {
			t.Fatal(err)
		}
		seen[req.Header.Get("Content-Type")] = true
	}
	if len(seen) != 3 {
		t.Errorf("boundaries %v", seen)
	}
}

func TestUploadedFilesHaveNames(t *testing.T) {
	for name, want := range map[string]string{
		"a.jpg": "a.jpg", "": "file", "räksmörgås 👍.pdf": "räksmörgås 👍.pdf", "a\r\nX: \"b\\c/d": "a__X: _b_c_d",
		strings.Repeat("å", 200) + ".pdf": strings.Repeat("å", 96) + ".pdf",
	} {
		if got := fileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestInterpretUpload(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		id     string
		class  gateway.Class // of what is refused
		code   string
	}{
		{"taken", 200, `{"id":"1037543291543636"}`, "1037543291543636", "", ""},
		{"taken, the id a number", 200, `{"id":1037543291543636}`, "1037543291543636", "", ""},
		{"no id", 200, `{}`, "", gateway.ClassTransient, "http_200"},
		{"a message's id", 200, `{"messages":[{"id":"wamid.1"}]}`, "", gateway.ClassTransient, "odd_answer"},
		{"an id beside a 500", 500, `{"id":"1"}`, "", gateway.ClassTransient, "http_500"},
		{"a proxy's 502", 502, `<html>`, "", gateway.ClassTransient, "http_502"},
		{"a fault", 500, `{"error":{"code":131000,"message":"Something went wrong"}}`, "", gateway.ClassTransient, "131000"},
		{"a type that isn't taken", 400, `{"error":{"code":100,"message":"(#100) Param file must be a file with one of the following types: image/jpeg"}}`, "", gateway.ClassPermanent, "100"},
		{"a file that is refused", 400, `{"error":{"code":131053,"message":"Media upload error","error_data":{"details":"too large"}}}`, "", gateway.ClassPermanent, "131053"},
		{"a limit of the app", 400, `{"error":{"code":4,"message":"Application request limit reached"}}`, "", gateway.ClassThrottled, "4"},
		{"a token that is refused", 401, `{"error":{"code":190,"message":"Invalid OAuth access token EAATOKEN"}}`, "", gateway.ClassSuspended, "190"},
		{"a number that is gone", 400, `{"error":{"code":100,"error_subcode":33,"message":"Unsupported post request."}}`, "", gateway.ClassSuspended, "100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, expires, refused := New(number).InterpretUpload(sender.Answer{Status: c.status, Body: []byte(c.body)})
			if id != c.id || (id != "") != (expires == 30*24*time.Hour) {
				t.Errorf("id %q for %v", id, expires)
			}
			var class gateway.Class
			var code string
			if refused != nil {
				class, code = refused.Class, refused.Code
			}
			if class != c.class || code != c.code {
				t.Errorf("refused %v, want class %q, code %q", refused, c.class, c.code)
			}
		})
	}
}

func TestLostUpload(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
		want bool
	}{
		{"a parameter that names an attachment", `{"error":{"code":100,"message":"(#100) Param image['id'] is not a valid whatsapp business account media attachment ID"}}`, true},
		{"an object that doesn't exist", `{"error":{"code":100,"error_subcode":33,"message":"Unsupported post request. Object with ID '1037543291543636' does not exist"}}`, true},
		{"the number itself", `{"error":{"code":100,"error_subcode":33,"message":"Object with ID '106540352242922' does not exist"}}`, false},
		{"an invalid value that is a media id", `{"error":{"code":131009,"message":"(#131009) Parameter value is not valid","error_data":{"details":"there is no file with the media id 1037"}}}`, true},
		{"another invalid value", `{"error":{"code":131009,"message":"(#131009) Parameter value is not valid","error_data":{"details":"the header is too long"}}}`, false},
		{"another invalid parameter", `{"error":{"code":100,"message":"(#100) Invalid parameter"}}`, false},
		{"a file that has expired", `{"error":{"code":131053,"message":"Media upload error","error_data":{"details":"Media has expired"}}}`, true},
		{"a file of the wrong type", `{"error":{"code":131053,"message":"Media upload error","error_data":{"details":"unsupported type image/tiff"}}}`, false},
		{"a limit", `{"error":{"code":130429,"message":"media id"}}`, false},
		{"a code that is none", `{"error":{"message":"media id"}}`, false},
		{"no error", `{"messages":[{"id":"wamid.1"}]}`, false},
		{"no JSON", `<html>media id`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := New(number).LostUpload(sender.Answer{Status: 400, Body: []byte(c.body)}); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestKeeperIsTheNumberWhateverTheToken(t *testing.T) {
	keeper := func(change func(*Settings)) string {
		s := Settings{BaseURL: "https://graph.example/v23.0/", PhoneNumberID: "1", AccessToken: "EAATOKEN"}
		change(&s)
		return New(s).Keeper()
	}
	here := keeper(func(*Settings) {})
	if got := keeper(func(s *Settings) { s.AccessToken = "another" }); got != here || strings.Contains(here, "EAATOKEN") {
		t.Errorf("%q with another token, %q before", got, here)
	}
	if got := keeper(func(s *Settings) { s.PhoneNumberID = "2" }); got == here {
		t.Error("another number keeps the same files")
	}
	if got := keeper(func(s *Settings) { s.BaseURL = "https://other.example" }); got == here {
		t.Error("another host keeps the same files")
	}
}
