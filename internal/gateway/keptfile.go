package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// FileKey names a linked file together with who keeps it, and tells of neither.
type FileKey string

// NewFileKey makes the key of what the holder keeps of the link.
func NewFileKey(holder, link string) FileKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", holder, link))
	return FileKey(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// KeptFile is a file that was uploaded to a provider, which keeps it under an
// id. It is zero where none is known.
type KeptFile struct {
	Key     FileKey
	ID      string        // the provider's
	Version string        // of the file, without spaces; empty: it can't be told from others
	Life    time.Duration // for how long messages may still name the id
}
