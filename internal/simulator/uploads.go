package simulator

import (
	"sync"
	"time"
)

// upload is a file that was uploaded to an account.
type upload struct {
	account     *account
	contentType string
	content     []byte
	expires     time.Time
}

// uploads keeps files by id, the newest as far as they find room.
type uploads struct {
	now func() time.Time

	mu    sync.Mutex
	files map[string]upload
	order []string
	size  int
}

// Uploads that are kept.
const (
	uploadsSize  = 256 << 20 // bytes
	uploadsCount = 20_000
)

func newUploads(now func() time.Time) *uploads {
	return &uploads{now: now, files: make(map[string]upload)}
}

func (u *uploads) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files, u.order, u.size = make(map[string]upload), nil, 0
}

// put keeps a file for so long.
func (u *uploads) put(id string, a *account, contentType string, content []byte, life time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[id] = upload{account: a, contentType: contentType, content: content, expires: u.now().Add(life)}
	u.order = append(u.order, id)
	u.size += len(content)
	for len(u.order) > 1 && (u.size > uploadsSize || len(u.order) > uploadsCount) {
		u.drop(u.order[0])
		u.order = u.order[1:]
	}
}

// drop wants the lock.
func (u *uploads) drop(id string) {
	u.size -= len(u.files[id].content)
	delete(u.files, id)
}

// get is a file of the account that hasn't expired.
func (u *uploads) get(id string, a *account) (upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, ok := u.files[id]
	return f, ok && f.account == a && u.now().Before(f.expires)
}

// owner is the account an id was given to, even if the file has expired; nil
// if there is none.
func (u *uploads) owner(id string) *account {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.files[id].account
}

func (u *uploads) remove(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drop(id)
}

// missing is the first of the ids that names no file of the account, or "".
func (s *Simulator) missingFile(a *account, ids []string) string {
	if s.opts.AnyFile {
		return ""
	}
	for _, id := range ids {
		if _, ok := s.uploads.get(id, a); !ok {
			return id
		}
	}
	return ""
}
