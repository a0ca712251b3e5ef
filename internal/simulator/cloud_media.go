package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// How long files can be used, and how long they can be fetched by the URL that
// was told.
const (
	cloudFileLife = 30 * 24 * time.Hour
	cloudURLLife  = 5 * time.Minute
)

// cloudUploads is the types of file that are taken, with their sizes in bytes
// (Cloud API reference, supported media types).
var cloudUploads = map[string]int{
	"image/jpeg": 5 << 20, "image/png": 5 << 20,
	"video/mp4": 16 << 20, "video/3gpp": 16 << 20,
	"audio/aac": 16 << 20, "audio/amr": 16 << 20, "audio/mpeg": 16 << 20, "audio/mp4": 16 << 20, "audio/ogg": 16 << 20,
	"text/plain": 100 << 20, "application/pdf": 100 << 20, "application/msword": 100 << 20, "application/vnd.ms-excel": 100 << 20,
	"application/vnd.ms-powerpoint":                                             100 << 20,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   100 << 20,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         100 << 20,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": 100 << 20,
	"image/webp": 500 << 10,
}

// longestUpload is the most that is read of an upload's request, in bytes.
const longestUpload = 100<<20 + 64<<10

// cloudDownloads is the path of the URLs that files are fetched by.
const cloudDownloads = "/whatsapp_business/attachments/"

func (c *cloud) mediaRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+cloudVersion+"/{phone_number_id}/media", func(w http.ResponseWriter, r *http.Request) {
		if a := c.authorize(w, r); a != nil {
			c.upload(w, r, a)
		}
	})
	mux.HandleFunc("DELETE /"+cloudVersion+"/{phone_number_id}", c.deleteFile)
	mux.HandleFunc("GET "+cloudDownloads, c.download)
}

func (c *cloud) upload(w http.ResponseWriter, r *http.Request, a *account) {
	contentType, content, err := cloudForm(w, r)
	if err != nil {
		c.refuse(refusal{reason: reasonInvalid, code: codeParameter, detail: err.Error()}).write(w)
		return
	}
	most, known := cloudUploads[contentType]
	switch {
	case !known:
		c.refuse(refusal{reason: reasonInvalid, code: codeParameter, detail: "Param file must be a file with one of the following types, not " + contentType}).write(w)
		return
	case len(content) == 0 || len(content) > most:
		c.refuse(refusal{reason: reasonInvalid, code: codeMediaUpload, detail: fmt.Sprintf("the file must have 1 to %d bytes, has %d", most, len(content))}).write(w)
		return
	}
	id := strconv.FormatUint(1_000_000_000_000_000+c.s.run%1_000_000*1_000_000_000+c.s.nextID(), 10)
	c.s.uploads.put(id, a, contentType, content, cloudFileLife)
	reply{status: http.StatusOK, body: mustJSON(map[string]string{"id": id})}.write(w)
}

// cloudForm reads the documented form: messaging_product, type and file.
func cloudForm(w http.ResponseWriter, r *http.Request) (contentType string, content []byte, err error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/form-data" {
		return "", nil, errors.New("Content-Type must be multipart/form-data")
	}
	form := multipart.NewReader(http.MaxBytesReader(w, r.Body, longestUpload), params["boundary"])
	fields := map[string]string{}
	hasFile := false
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, errors.New("the form is broken or too long")
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return "", nil, errors.New("the form is broken or too long")
		}
		name := part.FormName()
		switch {
		case name == "file" && part.FileName() != "":
			hasFile, content = true, value
			fields["file's type"], _, _ = mime.ParseMediaType(part.Header.Get("Content-Type"))
		case name == "messaging_product" || name == "type":
			fields[name] = string(value)
		default:
			return "", nil, fmt.Errorf("%s is unknown", name)
		}
	}
	if fields["messaging_product"] != "whatsapp" {
		return "", nil, errors.New("messaging_product is required")
	}
	if !hasFile {
		return "", nil, errors.New("file is required")
	}
	contentType, _, err = mime.ParseMediaType(orText(fields["type"], fields["file's type"]))
	if err != nil {
		return "", nil, errors.New("type is required")
	}
	return contentType, content, nil
}

// isFile is whether the path's id is a file's, not a number's.
func (c *cloud) isFile(r *http.Request) bool {
	id := r.PathValue("phone_number_id")
	return c.s.bySender[sender{WhatsAppCloud, id}] == nil && c.s.uploads.owner(id) != nil
}

// file finds the file and its account by id and token, or answers.
func (c *cloud) file(w http.ResponseWriter, r *http.Request, id string) (upload, bool) {
	token := bearer(r)
	i := slices.IndexFunc(c.s.accounts, func(a *account) bool {
		return a.Dialect == WhatsAppCloud && token != "" && a.Token == token && c.s.uploads.owner(id) == a
	})
	if i >= 0 {
		if f, ok := c.s.uploads.get(id, c.s.accounts[i]); ok {
			return f, true
		}
	}
	r.SetPathValue("phone_number_id", id)
	c.authorize(w, r) // knows which answer it is
	return upload{}, false
}

// resolveFile tells where a file can be fetched.
func (c *cloud) resolveFile(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("phone_number_id")
	f, ok := c.file(w, r, id)
	if !ok {
		return
	}
	if number := r.URL.Query().Get("phone_number_id"); number != "" && number != f.account.SenderID {
		c.refuse(refusal{reason: reasonInvalid, code: codeParameter, detail: "phone_number_id is not the one the file was uploaded to"}).write(w)
		return
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	sum := sha256.Sum256(f.content)
	q := url.Values{"mid": {id}, "ext": {strconv.FormatInt(c.s.opts.Now().Add(cloudURLLife).Unix(), 10)}}
	reply{status: http.StatusOK, body: mustJSON(map[string]any{
		"messaging_product": "whatsapp", "id": id, "mime_type": f.contentType, "sha256": hex.EncodeToString(sum[:]), "file_size": len(f.content),
		"url": scheme + "://" + r.Host + cloudDownloads + "?" + q.Encode(),
	})}.write(w)
}

func (c *cloud) download(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	until, err := strconv.ParseInt(q.Get("ext"), 10, 64)
	if err != nil || c.s.opts.Now().Unix() >= until {
		http.NotFound(w, r)
		return
	}
	if f, ok := c.file(w, r, q.Get("mid")); ok {
		reply{status: http.StatusOK, header: http.Header{"Content-Type": {f.contentType}}, body: f.content}.write(w)
	}
}

func (c *cloud) deleteFile(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("phone_number_id")
	if _, ok := c.file(w, r, id); ok {
		c.s.uploads.remove(id)
		reply{status: http.StatusOK, body: []byte(`{"success":true}`)}.write(w)
	}
}
