package media

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"sluice/internal/gateway"
)

// Put gives a file to a provider: its content type, its size (-1: unknown) and
// its bytes. The version, without spaces, is what its server lets it be told
// from other files by; empty: nothing. It answers with the provider's id for the
// file and how long that lasts, or with why there is none; the error's class says
// whether another try may do better. It reads the body as it comes, and no
// longer than it runs; not at all, if the provider has this version.
type Put = func(ctx context.Context, contentType, version string, size int64, body io.Reader) (id string, life time.Duration, refused *gateway.Error)

// upload is what came of the last Put of a file.
type upload struct {
	holder  string
	id      string
	refused *gateway.Error // in place of an id
	until   time.Time
}

// serves reports whether the upload is an answer for the holder.
func (u *upload) serves(holder string, now time.Time) bool {
	return u.holder == holder && now.Before(u.until)
}

func (u *upload) reply() reply {
	if u.refused == nil {
		return reply{id: u.id}
	}
	why := *u.refused // the caller's own
	return reply{refused: &why, retryable: passes(why.Class)}
}

// passes reports whether another try may get a better answer.
func passes(c gateway.Class) bool {
	switch c {
	case gateway.ClassTransient, gateway.ClassThrottled, gateway.ClassSuspended, gateway.ClassUnknown:
		return true
	default:
		return false
	}
}

// newUpload says how long the answer of a Put holds. An id is given up a little
// before its end, for the message that names it is still to be sent.
func newUpload(holder, id string, life time.Duration, refused *gateway.Error, now time.Time) upload {
	u := upload{holder: holder, id: id, refused: refused}
	switch {
	case refused == nil:
		u.until = now.Add(max(life-life/30, badFor))
	case passes(refused.Class):
		u.until = now.Add(unreachableFor)
	default:
		u.until = now.Add(badFor)
	}
	return u
}

// finding is all that is known of a link.
type finding struct {
	facts
	upload upload
}

func (f *finding) forget(id string) {
	if f.upload.id == id {
		f.upload = upload{}
	}
}

// want is what somebody asks of a link.
type want struct {
	kind   gateway.MediaKind
	rule   gateway.MediaRule
	holder string // who gives the id
	put    Put    // nil: no id is asked for
}

// reply is what somebody is told.
type reply struct {
	id        string
	refused   *gateway.Error
	retryable bool
}

// reply tells what is asked, if that is known.
func (f *finding) reply(w want, now time.Time) (a reply, known bool) {
	v, known := f.verdict(w.kind, w.rule)
	if !known || !v.ok() || w.put == nil {
		return v.reply(), known
	}
	if !f.upload.serves(w.holder, now) {
		return reply{}, false
	}
	return f.upload.reply(), true
}

// hand gives the file to the provider as it comes from its server.
func (f *finding) hand(ctx context.Context, w want, body io.Reader) error {
	size := f.size
	if f.more {
		size = -1
	}
	s := &source{from: body, limit: w.rule.MaxBytes}
	id, life, refused := w.put(ctx, f.contentType(), f.version(), size, s)
	read, err := s.close()
	switch {
	case errors.Is(err, errTooLong):
		f.size, f.more = read, true
		return nil
	case err != nil:
		return err
	case f.more && read == 0: // nobody needed it, but its size is to be known
		if err := f.measure(body, w.rule); err != nil {
			return err
		}
	case f.more:
		f.size, f.more = max(f.size, read), false
	}
	f.upload = newUpload(w.holder, id, life, refused, time.Now())
	return nil
}

var (
	errTooLong = errors.New("the file is longer than the limit")
	errHanded  = errors.New("the upload has ended")
)

// source is a file on its way. It ends with an error rather than let a byte
// beyond the limit pass. An HTTP client may go on reading after it has
// answered; then source gives it nothing more.
type source struct {
	from  io.Reader
	limit int64

	mu     sync.Mutex
	read   int64
	err    error // why it broke off
	closed bool
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	room, closed := s.limit+1-s.read, s.closed
	s.mu.Unlock()
	if closed {
		return 0, errHanded
	}
	n, err := s.from.Read(p[:min(int64(len(p)), room)])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += int64(n)
	if s.read > s.limit {
		n, err = 0, errTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// close says how many bytes were read and what broke the file off, if anything.
func (s *source) close() (read int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.read, s.err
}
