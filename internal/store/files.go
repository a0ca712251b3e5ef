package store

import (
	"context"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// File is what the provider keeps under the key, or zero. It is forgotten when
// its id expires, or when nobody has asked for as long as records are kept.
func (s *Store) File(ctx context.Context, account gateway.AccountID, key gateway.FileKey) (gateway.KeptFile, error) {
	got, err := s.run(ctx, fileScript, account, string(key))
	if err != nil {
		return gateway.KeptFile{}, unavailable("read an uploaded file of", string(account), err)
	}
	if len(got) != 3 {
		return gateway.KeptFile{}, nil
	}
	return gateway.KeptFile{Key: key, Version: got[0], ID: got[1], Life: time.Duration(number(got[2])) * time.Millisecond}, nil
}

// KeepFile remembers what the provider keeps, in place of what it kept under
// the key before.
func (s *Store) KeepFile(ctx context.Context, account gateway.AccountID, f gateway.KeptFile) error {
	_, err := s.run(ctx, keepFileScript, account, string(f.Key), f.Version, f.ID, f.Life.Milliseconds())
	if err != nil {
		return unavailable("keep an uploaded file of", string(account), err)
	}
	return nil
}

// DropFile forgets the id, unless another has taken its place.
func (s *Store) DropFile(ctx context.Context, account gateway.AccountID, f gateway.KeptFile) error {
	if _, err := s.run(ctx, dropFileScript, account, string(f.Key), f.ID); err != nil {
		return unavailable("drop an uploaded file of", string(account), err)
	}
	return nil
}

// encodeFiles lists the files an attempt names, a line for each.
func encodeFiles(files []gateway.KeptFile) string {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = string(f.Key) + " " + f.ID
	}
	return strings.Join(lines, "\n")
}
