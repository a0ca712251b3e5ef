package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"
)

// formPart is a part of an upload's form; a file if it has a content type.
type formPart struct{ name, contentType, value string }

func uploadCloud(t *testing.T, s *Simulator, parts ...formPart) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + p.name + `"`}}
		if p.contentType != "" {
			h = textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + p.name + `"; filename="a"`}, "Content-Type": {p.contentType}}
		}
		w, err := form.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(p.value))
	}
	_ = form.Close()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v23.0/106540352242922/media", &body)
	req.Header.Set("Authorization", "Bearer EAATOKEN")
	req.Header.Set("Content-Type", form.FormDataContentType())
	return do(t, s, req)
}

func TestCloudKeepsFiles(t *testing.T) {
	now := time.Now()
	other := cloudAccount()
	other.ID, other.SenderID, other.Token = "other", "999", "OTHER"
	s := start(t, Options{Accounts: []Account{cloudAccount(), other}, Now: func() time.Time { return now }}, &gateway{})
	product, kind, file := formPart{"messaging_product", "", "whatsapp"}, formPart{"type", "", "image/jpeg"}, formPart{"file", "image/jpeg", "\xff\xd8 picture"}
	got := uploadCloud(t, s, product, file, kind)
	var uploaded struct{ ID string }
	decode(t, got.body, &uploaded)
	diff(t, "status", got.status, http.StatusOK)
	diff(t, "the body is the id only", got.body, `{"id":"`+uploaded.ID+`"}`)
	if strings.Trim(uploaded.ID, "0123456789") != "" || uploaded.ID == "" {
		t.Errorf("id %s", uploaded.ID)
	}
	diff(t, "the type of the file will do", uploadCloud(t, s, product, file).status, http.StatusOK)

	path := "/v23.0/" + uploaded.ID
	sum := sha256.Sum256([]byte("\xff\xd8 picture"))
	var told struct{ URL string }
	got = get(t, s, path+"?phone_number_id=106540352242922", "EAATOKEN")
	decode(t, got.body, &told)
	sameJSON(t, "resolved", got.body, fmt.Sprintf(`{"messaging_product":"whatsapp","url":%q,"mime_type":"image/jpeg","sha256":%q,"file_size":10,"id":%q}`, told.URL, hex.EncodeToString(sum[:]), uploaded.ID))
	checkCloudProblem(t, get(t, s, path+"?phone_number_id=999", "EAATOKEN"), cloudProblem{400, 100, titleParameter, "phone_number_id"})
	u, err := url.Parse(told.URL)
	if err != nil || u.Host != "example.com" {
		t.Fatalf("URL %s: %v", told.URL, err)
	}
	got = get(t, s, u.RequestURI(), "EAATOKEN")
	diff(t, "download", []any{got.status, got.header.Get("Content-Type"), got.body}, []any{200, "image/jpeg", "\xff\xd8 picture"})
	diff(t, "download without a token", get(t, s, u.RequestURI(), "").status, http.StatusUnauthorized)
	checkCloudProblem(t, get(t, s, path, "OTHER"), cloudProblem{404, 100, titleParameter, "Object with ID '" + uploaded.ID + "'"})
	now = now.Add(5 * time.Minute)
	diff(t, "download after five minutes", get(t, s, u.RequestURI(), "EAATOKEN").status, http.StatusNotFound)

	picture := cloudBody(`"type":"image","image":{"id":"` + uploaded.ID + `"}`)
	diff(t, "a send", sendCloud(t, s, picture).status, http.StatusOK)
	checkCloudProblem(t, do(t, s, request(t, "/v23.0/999/messages", "OTHER", picture)), cloudProblem{400, 131009, titleInvalid, uploaded.ID})
	now = now.Add(30*24*time.Hour - 5*time.Minute)
	checkCloudProblem(t, sendCloud(t, s, picture), cloudProblem{400, 131009, titleInvalid, "there is no file with the media id " + uploaded.ID})

	decode(t, uploadCloud(t, s, product, file, kind).body, &uploaded)
	remove := func() answer {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v23.0/"+uploaded.ID, nil)
		req.Header.Set("Authorization", "Bearer EAATOKEN")
		return do(t, s, req)
	}
	diff(t, "delete", remove().body, `{"success":true}`)
	checkCloudProblem(t, remove(), cloudProblem{404, 100, titleParameter, uploaded.ID})
	checkCloudProblem(t, sendCloud(t, s, cloudBody(`"type":"image","image":{"id":"`+uploaded.ID+`"}`)), cloudProblem{400, 131009, titleInvalid, uploaded.ID})

	for _, tt := range []struct {
		name  string
		parts []formPart
		want  cloudProblem
	}{
		{"no product", []formPart{file, kind}, cloudProblem{400, 100, titleParameter, "messaging_product is required"}},
		{"no file", []formPart{product, kind}, cloudProblem{400, 100, titleParameter, "file is required"}},
		{"an unknown field", []formPart{product, file, {"caption", "", "x"}}, cloudProblem{400, 100, titleParameter, "caption is unknown"}},
		{"a type that isn't taken", []formPart{product, file, {"type", "", "image/gif"}}, cloudProblem{400, 100, titleParameter, "image/gif"}},
		{"a sticker that is too big", []formPart{product, {"file", "image/webp", strings.Repeat("x", 501<<10)}}, cloudProblem{400, 131053, "(#131053) Media upload error", "bytes"}},
		{"an empty file", []formPart{product, {"file", "image/jpeg", ""}}, cloudProblem{400, 131053, "(#131053) Media upload error", "bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkCloudProblem(t, uploadCloud(t, s, tt.parts...), tt.want) })
	}
	t.Run("no form", func(t *testing.T) {
		checkCloudProblem(t, do(t, s, request(t, "/v23.0/106540352242922/media", "EAATOKEN", "{}")), cloudProblem{400, 100, titleParameter, "multipart/form-data"})
	})
	t.Run("a wrong token", func(t *testing.T) {
		checkCloudProblem(t, do(t, s, request(t, "/v23.0/106540352242922/media", "stale", "{}")), cloudProblem{401, 190, "(#190) Access token has expired", "Invalid OAuth access token"})
	})
}

func TestUploadsFindRoomByForgettingTheOldest(t *testing.T) {
	u := newUploads(time.Now)
	acc := newAccount(cloudAccount(), nil, 0, time.Now())
	for i := range uploadsCount + 5 {
		u.put(fmt.Sprint(i), acc, "image/jpeg", []byte("x"), time.Hour)
	}
	_, oldest := u.get("4", acc)
	_, kept := u.get("5", acc)
	diff(t, "kept", []any{oldest, kept, len(u.files), u.size}, []any{false, true, uploadsCount, uploadsCount})
	u.put("big", acc, "video/mp4", make([]byte, uploadsSize), time.Hour)
	diff(t, "the newest is kept, however big", []any{len(u.files), u.size}, []any{1, uploadsSize})
}
