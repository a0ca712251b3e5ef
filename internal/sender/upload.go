package sender

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"time"

	"sluice/internal/gateway"
)

// Upload is a file on its way to a provider.
type Upload struct {
	Name string // the last part of its link's path; may be empty
	Type string // content type
	Size int64  // -1: unknown
	Body io.Reader
}

// Uploader is a Provider that can be given files, and shows them by the ids it
// gave. An upload is no attempt and takes no rate token.
type Uploader interface {
	// Keeper names who keeps the files: an id is good with every provider of the
	// same keeper, whatever its credentials. It holds no secret.
	Keeper() string

	// NewUpload renders the upload. The body is read once, as the request is
	// written. Errors are those of NewRequest.
	NewUpload(ctx context.Context, f Upload) (*http.Request, error)

	// InterpretUpload reads a complete answer to an upload: the file's id and for
	// how long messages may name it, or why there is none. No message is in
	// doubt: what isn't clear is transient.
	InterpretUpload(a Answer) (id string, expires time.Duration, refused *gateway.Error)

	// LostUpload reports whether an answer refuses a message because the
	// provider doesn't know a file, or not any more, by its id.
	LostUpload(a Answer) bool
}

// uploaded is a file that the call names by the provider's id.
type uploaded struct {
	file gateway.File // as the record has it
	kept gateway.KeptFile
}

// keeper names who keeps what is uploaded to the provider; empty: nobody.
func keeper(p Provider) string {
	if u, ok := p.(Uploader); ok {
		return u.Keeper()
	}
	return ""
}

// look judges the file, and has it uploaded where the account wants that. err
// is ctx's.
func (d *Desk) look(ctx context.Context, a *attempt, f gateway.File) (refused *gateway.Error, retryable bool, err error) {
	u, ok := a.provider.(Uploader)
	if !ok || !a.account.UploadMedia {
		refused, retryable = d.Media.Judge(ctx, f, a.provider.MediaRule(f.Kind))
		return refused, retryable, ctx.Err()
	}
	a.askedAt = time.Now()
	refused, retryable = d.upload(ctx, a, u, f)
	return refused, retryable, ctx.Err()
}

// upload has the provider given the file, if nobody did that before. What is
// remembered here counts as long as the store has it too, for others may learn
// that the provider has lost a file.
func (d *Desk) upload(ctx context.Context, a *attempt, u Uploader, f gateway.File) (refused *gateway.Error, retryable bool) {
	key := gateway.NewFileKey(u.Keeper(), f.Media.Link)
	put := func(ctx context.Context, contentType, version string, size int64, body io.Reader) (string, time.Duration, *gateway.Error) {
		kept, refused := d.give(ctx, a, u, key, version, Upload{
			Name: fileName(f.Media.Link), Type: contentType, Size: size, Body: body,
		})
		return kept.ID, kept.Life, refused
	}
	for range 2 {
		id, refused, retryable := d.Media.Upload(ctx, f, a.provider.MediaRule(f.Kind), u.Keeper(), put)
		if refused != nil || id == "" {
			return refused, retryable
		}
		kept, err := d.file(ctx, key)
		if err != nil {
			return notKept(), true
		}
		if kept.ID == id {
			a.files = append(a.files, uploaded{file: f, kept: kept})
			return nil, false
		}
		d.Media.Forget(f, id)
	}
	return notKept(), true
}

// give gives a file to the provider, unless another worker has done that.
func (d *Desk) give(ctx context.Context, a *attempt, u Uploader, key gateway.FileKey, version string, f Upload) (gateway.KeptFile, *gateway.Error) {
	kept, err := d.file(ctx, key)
	if err != nil {
		return gateway.KeptFile{}, notKept()
	}
	if kept.ID != "" && version != "" && kept.Version == version {
		return kept, nil
	}
	began := time.Now()
	id, life, refused := d.put(ctx, a.account.Timeout, u, f)
	line := []any{"message", a.task.Message, "type", f.Type, "took", time.Since(began).Round(time.Microsecond)}
	if refused != nil {
		d.Log.WarnContext(ctx, "file not uploaded", append(line, "class", refused.Class, "code", refused.Code)...)
		return gateway.KeptFile{}, refused
	}
	d.Log.InfoContext(ctx, "file uploaded", line...)
	kept = gateway.KeptFile{Key: key, ID: id, Version: version, Life: life}
	err = d.insist("keep a file", func(ctx context.Context) error { return d.Store.KeepFile(ctx, d.account, kept) })
	if err != nil {
		d.Log.ErrorContext(ctx, "an uploaded file wasn't kept", "message", a.task.Message, "err", err)
		return gateway.KeptFile{}, notKept()
	}
	return kept, nil
}

// file is what the provider keeps, by the store's word.
func (d *Desk) file(ctx context.Context, key gateway.FileKey) (gateway.KeptFile, error) {
	return persist(ctx, func(ctx context.Context) (gateway.KeptFile, error) { return d.Store.File(ctx, d.account, key) })
}

func notKept() *gateway.Error {
	return &gateway.Error{Class: gateway.ClassTransient, Code: "upload_not_kept", Title: "an uploaded file couldn't be kept in mind"}
}

// put makes the upload. It may take longer than a call, but is given up when
// nothing has moved for as long as a call may take.
func (d *Desk) put(ctx context.Context, patience time.Duration, u Uploader, f Upload) (id string, expires time.Duration, refused *gateway.Error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(patience, func() { cancel(context.DeadlineExceeded) })
	defer stalled.Stop()
	f.Body = &moving{from: f.Body, moved: func() { stalled.Reset(patience) }}
	req, err := u.NewUpload(ctx, f)
	if err != nil {
		if known, ok := errors.AsType[*gateway.Error](err); ok {
			return "", 0, known
		}
		d.Log.ErrorContext(ctx, "an upload couldn't be made", "err", defectName(err))
		return "", 0, defect("the upload couldn't be made", false).Error
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return "", 0, notUploaded(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil && resp.StatusCode < http.StatusMultipleChoices {
		return "", 0, notUploaded(ctx, err)
	}
	id, expires, refused = u.InterpretUpload(Answer{Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(body)})
	if refused == nil && (len(id) > maxFileID || !UsableToken(id)) {
		return "", 0, &gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "upload: the answer holds no usable id"}
	}
	return id, expires, refused
}

// maxFileID is several times the length of any provider's ids of files, in
// bytes: they are kept, and named by each message with the file.
const maxFileID = 512

// notUploaded classes an upload that brought no complete answer. No message is
// in doubt.
func notUploaded(ctx context.Context, err error) *gateway.Error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return unanswered(err, false).Error
}

// moving tells of each read.
type moving struct {
	from  io.Reader
	moved func()
}

// Read implements io.Reader.
func (m *moving) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.moved()
	return n, err
}

// fileName is the last part of the link's path, or empty.
func fileName(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	if name := path.Base(u.Path); name != "." && name != "/" {
		return name
	}
	return ""
}

// nameUploads has the call name what was uploaded by the provider's ids. The
// record keeps its links.
func (a *attempt) nameUploads() {
	if len(a.files) == 0 {
		return
	}
	m := *a.call.Message
	m.Content = withOwnFiles(m.Content)
	for _, f := range m.Content.Files() {
		i := slices.IndexFunc(a.files, func(u uploaded) bool { return u.file.Field == f.Field })
		if i >= 0 {
			f.Media.ID, f.Media.Link = a.files[i].kept.ID, ""
		}
	}
	a.call.Message = &m
}

// kept lists what the call names by the provider's ids.
func (a *attempt) kept() []gateway.KeptFile {
	var kept []gateway.KeptFile
	for _, f := range a.files {
		kept = append(kept, f.kept)
	}
	return kept
}

// withOwnFiles is the content with copies of all that Files lists.
func withOwnFiles(c gateway.Content) gateway.Content {
	own := func(files ...**gateway.Media) {
		for _, f := range files {
			if *f != nil {
				m := **f
				*f = &m
			}
		}
	}
	own(&c.Image, &c.Video, &c.Audio, &c.Document, &c.Sticker)
	if c.Interactive != nil && c.Interactive.Header != nil {
		in, h := *c.Interactive, *c.Interactive.Header
		own(&h.Image, &h.Video, &h.Document)
		in.Header, c.Interactive = &h, &in
	}
	if c.Template != nil {
		t := *c.Template
		t.Components = slices.Clone(t.Components)
		for i := range t.Components {
			params := slices.Clone(t.Components[i].Parameters)
			for j := range params {
				own(&params[j].Image, &params[j].Video, &params[j].Document)
			}
			t.Components[i].Parameters = params
		}
		c.Template = &t
	}
	return c
}

// suspend holds the account whose upload was refused for its credentials. The
// message is the first to be sent when that ends.
func (d *Desk) suspend(ctx context.Context, a *attempt, why *gateway.Error) error {
	d.mu.Lock()
	before := d.suspended.strike(a.askedAt)
	d.mu.Unlock()
	result := refusal(why)
	next := decide(result, a.account, a.record.Spent, strikes{suspended: before}, d.Backoff)
	d.hold(result, next.hold, time.Now())
	return d.park(ctx, a.task, next.retryIn, false)
}

// lostUpload is the result of a call that named a file which the provider has
// lost: the next attempt uploads it again. Twice in a row is no loss, and the
// provider's word stands.
func (d *Desk) lostUpload(ctx context.Context, a *attempt, r gateway.Result, answer *Answer) (result gateway.Result, lost bool) {
	u, ok := a.provider.(Uploader)
	if !ok || len(a.files) == 0 || answer == nil || r.Outcome != gateway.OutcomeRejected && r.Outcome != gateway.OutcomeTransient {
		return r, false
	}
	defer func() {
		if v := recover(); v != nil {
			result = r
			d.Log.ErrorContext(ctx, "a provider's code panicked", "message", a.task.Message, "panic", defectName(v), "stack", string(debug.Stack()))
		}
	}()
	if !u.LostUpload(*answer) {
		return r, false
	}
	for _, f := range a.files {
		err := d.insist("drop a file", func(ctx context.Context) error { return d.Store.DropFile(ctx, d.account, f.kept) })
		if err != nil {
			d.Log.ErrorContext(ctx, "a lost file wasn't dropped", "message", a.task.Message, "err", err)
		}
		d.Media.Forget(f.file, f.kept.ID)
	}
	if n := len(a.record.Attempts); r.Outcome == gateway.OutcomeTransient || n > 0 && a.record.Attempts[n-1].Code == r.Error.Code {
		return r, true
	}
	why := *r.Error
	why.Class = gateway.ClassTransient
	return gateway.Result{Outcome: gateway.OutcomeTransient, Scope: gateway.ScopeMessage, Error: &why}, true
}
