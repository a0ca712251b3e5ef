package whatsappcloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

// mediaLife is how long an uploaded file can be sent by its id.
const mediaLife = 30 * day

// Keeper implements sender.Uploader: ids are the number's.
func (p *Provider) Keeper() string { return p.settings.BaseURL + "/" + p.settings.PhoneNumberID }

// NewUpload renders the upload of a file. Its error is a defect: a base URL that
// is none, or a file whose description holds line breaks.
func (p *Provider) NewUpload(ctx context.Context, f sender.Upload) (*http.Request, error) {
	return p.newUpload(ctx, f, rand.Text())
}

// newUpload makes the form in the order of Meta's pages; the file comes last,
// for what stands before and after it is known beforehand. No byte of it is
// held here.
func (p *Provider) newUpload(ctx context.Context, f sender.Upload, boundary string) (*http.Request, error) {
	var before bytes.Buffer
	form := multipart.NewWriter(&before)
	if err := form.SetBoundary(boundary); err != nil {
		return nil, fmt.Errorf("render upload: %w", err)
	}
	fields := [][2]string{{"messaging_product", "whatsapp"}, {"type", f.Type}}
	for _, field := range fields {
		if err := form.WriteField(field[0], field[1]); err != nil {
			return nil, fmt.Errorf("render upload: %w", err)
		}
	}
	if _, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", fileName(f.Name))},
		"Content-Type":        {f.Type},
	}); err != nil {
		return nil, fmt.Errorf("render upload: %w", err)
	}
	after := "\r\n--" + boundary + "--\r\n"
	target := p.settings.BaseURL + "/" + url.PathEscape(p.settings.PhoneNumberID) + "/media"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, io.MultiReader(&before, f.Body, strings.NewReader(after)))
	if err != nil {
		return nil, fmt.Errorf("render upload: %w", err)
	}
	req.ContentLength = -1
	if f.Size >= 0 {
		req.ContentLength = int64(before.Len()) + f.Size + int64(len(after))
	}
	req.Header.Set("Authorization", "Bearer "+p.settings.AccessToken)
	req.Header.Set("Content-Type", form.FormDataContentType())
	return req, nil
}

// fileName is the name without what can't be part of one, and never empty: a
// part without a name is no file.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`/\"`, r) {
			return '_'
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > maxName {
		name = string(runes[len(runes)-maxName:]) // the extension stands at the end
	}
	if name == "" {
		return "file"
	}
	return name
}

// maxName is how many characters of a file's name are told.
const maxName = 100

// InterpretUpload reads the answer to an upload: the file's id and how long it
// can be sent, or why there is none. No message is in doubt: what isn't clear
// may be tried again.
func (p *Provider) InterpretUpload(a sender.Answer) (id string, expires time.Duration, refused *gateway.Error) {
	var body struct {
		ID whatsapp.Loose `json:"id"`
	}
	ok := a.Status >= 200 && a.Status <= 299
	if whatsapp.Decode(a.Body, &body) == nil && ok && body.ID != "" {
		return string(body.ID), mediaLife, nil
	}
	r := p.Interpret(a)
	if r.Outcome == gateway.OutcomeAccepted {
		return "", 0, &gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "upload: the answer holds no file's id"}
	}
	if r.Outcome == gateway.OutcomeUnknown {
		r.Error.Class = gateway.ClassTransient
		if ok {
			r.Error.Title = "answer without a file's id"
		}
	}
	return "", 0, r.Error
}

// LostUpload implements sender.Uploader.
func (p *Provider) LostUpload(a sender.Answer) bool {
	e, ok := readError(a.Body)
	return ok && p.lostFile(&e)
}

// lostFile reports whether an error says that a file isn't known by its id.
// Graph has no code of its own for that: an object it doesn't know is an invalid
// parameter, and so is a parameter that names one; what the parameter was, only
// the words tell.
func (p *Provider) lostFile(e *wireError) bool {
	says := strings.ToLower(string(e.Message) + " " + e.details())
	aboutID := strings.Contains(says, "media id") || strings.Contains(says, "media_id") || strings.Contains(says, "media attachment id")
	switch code, _ := e.number(); code {
	case codeInvalidParameter:
		return aboutID || objectID.MatchString(says) && !p.noSuchSender(e)
	case codeInvalidValue:
		return aboutID
	case codeMediaUpload:
		return aboutID || strings.Contains(says, "expired") || strings.Contains(says, "not found")
	}
	return false
}
