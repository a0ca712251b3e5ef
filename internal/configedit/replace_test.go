package configedit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/configedit"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "link.yaml")
	must(t, os.WriteFile(real, []byte("old"), 0o640))
	must(t, os.Chmod(real, 0o640))
	must(t, os.Symlink("real.yaml", link))

	if err := configedit.Replace(link, []byte("other"), []byte("new")); !errors.Is(err, configedit.ErrChanged) {
		t.Errorf("error %v", err)
	}
	if got, _ := os.ReadFile(real); string(got) != "old" {
		t.Errorf("file %q", got)
	}
	must(t, configedit.Replace(link, []byte("old"), []byte("new")))
	info, err := os.Lstat(real)
	must(t, err)
	if got, _ := os.ReadFile(real); string(got) != "new" || info.Mode() != 0o640 {
		t.Errorf("file %q, mode %v", got, info.Mode())
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
	if err := configedit.Replace(filepath.Join(dir, "none"), nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
