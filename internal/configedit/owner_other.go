//go:build !unix

package configedit

import "os"

func own(*os.File, os.FileInfo) error { return nil }
