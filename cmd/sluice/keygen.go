package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

type keygenCommand struct {
	Webhook bool `help:"Make a secret instead that callbacks to callers are signed with (callbacks.secrets)."`
}

// Run makes a key or a secret. It is shown this once and kept nowhere.
func (c keygenCommand) Run(s *session) error {
	if c.Webhook {
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails, see crypto/rand
		_, err := fmt.Fprintf(s.stdout, "whsec_%s\n", base64.StdEncoding.EncodeToString(secret[:]))
		return err
	}
	key := "sluice_" + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(key))
	_, err := fmt.Fprintf(s.stdout, "key   %s\nhash  sha256:%s\n", key, hex.EncodeToString(sum[:]))
	return err
}
