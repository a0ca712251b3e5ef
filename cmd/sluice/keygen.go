package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

type keygenCommand struct{}

// Run makes a key. It is shown this once and kept nowhere.
func (keygenCommand) Run(s *session) error {
	key := "sluice_" + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(key))
	_, err := fmt.Fprintf(s.stdout, "key   %s\nhash  sha256:%s\n", key, hex.EncodeToString(sum[:]))
	return err
}
