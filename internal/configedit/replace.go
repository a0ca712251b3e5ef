package configedit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrChanged means that somebody else has changed the file meanwhile.
var ErrChanged = errors.New("the file has changed meanwhile")

// Replace puts a new text into the place of the old one, at once: whoever reads
// the file sees the one or the other. Mode and owner stay. A link stays a link.
func Replace(path string, old, text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(real), "."+filepath.Base(real)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(text); err != nil {
		return err
	}
	if err := own(tmp, info); err != nil {
		return err
	}
	if err := tmp.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	// As late as can be: what is between this look and the rename is lost.
	switch now, err := os.ReadFile(real); {
	case err != nil:
		return err
	case !bytes.Equal(now, old):
		return ErrChanged
	}
	return os.Rename(tmp.Name(), real)
}
