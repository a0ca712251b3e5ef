package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sluice/internal/gateway"
)

// DefaultPath is the file that is read when SLUICE_CONFIG doesn't name one.
const DefaultPath = "configs/sluice.yaml"

// Config is a whole, valid configuration. It isn't changed after Load; a
// reload makes another.
type Config struct {
	Redis     Redis     `yaml:"redis"`
	API       API       `yaml:"api"`
	Worker    Worker    `yaml:"worker"`
	Network   Network   `yaml:"network"`
	Callbacks Callbacks `yaml:"callbacks"`
	Defaults  Defaults  `yaml:"defaults"`
	Accounts  []Account `yaml:"accounts"`

	path  string
	stamp stamp
	hash  [sha256.Size]byte
}

// Redis says where everything is kept.
type Redis struct {
	URL          Secret `yaml:"url"`           // may hold a password; see redisdb.Open for its forms
	WaitReplicas int    `yaml:"wait_replicas"` // replicas that must hold a write before it is confirmed, 0 to 16
}

// API configures the HTTP API.
type API struct {
	Listen      string `yaml:"listen"`       // host:port
	AdminListen string `yaml:"admin_listen"` // host:port where metrics are open; empty: nowhere
	PublicURL   string `yaml:"public_url"`   // where providers reach /callbacks/…, without a slash at its end; empty: nowhere
	Keys        []Key  `yaml:"keys"`
}

// Key is one API key, known by its hash only.
type Key struct {
	Name     string   `yaml:"name"`
	Hash     string   `yaml:"hash"`     // "sha256:" and the hex SHA-256 of the whole key
	Accounts []string `yaml:"accounts"` // ids, or EveryAccount
	Scopes   []Scope  `yaml:"scopes"`
}

// EveryAccount in a key's accounts stands for all, those to come included.
const EveryAccount = "*"

// hashPrefix names the only kind of hash there is.
const hashPrefix = "sha256:"

// Sum is the SHA-256 of the key; zeros if Hash is not of its form.
func (k Key) Sum() [sha256.Size]byte {
	sum, _ := parseHash(k.Hash)
	return sum
}

func parseHash(s string) (sum [sha256.Size]byte, ok bool) {
	digits, ok := strings.CutPrefix(s, hashPrefix)
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != sha256.Size {
		return sum, false
	}
	return [sha256.Size]byte(raw), true
}

// Scope is what a key may do.
type Scope string

// The scopes of a key.
const (
	ScopeSend    Scope = "send"    // post and cancel
	ScopeRead    Scope = "read"    // look, and follow events
	ScopeOperate Scope = "operate" // everything else
)

// Worker configures the worker process.
type Worker struct {
	AdminListen string `yaml:"admin_listen"` // host:port of health and metrics
}

// Network says what inside may be reached. All else must be public, by https.
type Network struct {
	AllowHosts []string `yaml:"allow_hosts"` // host names, IP addresses and CIDRs
}

// Callbacks configures the callbacks that callers receive.
type Callbacks struct {
	Secrets []Secret `yaml:"secrets"` // "whsec_" and base64, the signing one first; two while they rotate
}

// Defaults is what accounts have where they say nothing else.
type Defaults struct {
	Rate         float64           `yaml:"rate"` // messages a second
	Timeout      time.Duration     `yaml:"timeout"`
	MaxAttempts  int               `yaml:"max_attempts"`
	TTL          time.Duration     `yaml:"ttl"`
	OnUnknown    gateway.OnUnknown `yaml:"on_unknown"`
	UnknownGrace time.Duration     `yaml:"unknown_grace"`
	Retention    Retention         `yaml:"retention"`
}

// Retention is how long things are kept, counted from a message's end.
type Retention struct {
	Content    time.Duration `yaml:"content"`
	Record     time.Duration `yaml:"record"`
	DeadLetter time.Duration `yaml:"dead_letter"`
}

func defaults() *Config {
	return &Config{
		Redis:  Redis{URL: "redis://localhost:6379/0"},
		API:    API{Listen: ":8080"},
		Worker: Worker{AdminListen: ":9090"},
		Defaults: Defaults{
			Rate: 50, Timeout: 20 * time.Second, MaxAttempts: 8, TTL: 24 * time.Hour,
			OnUnknown: gateway.HoldUnknown, UnknownGrace: time.Minute,
			Retention: Retention{Content: 24 * time.Hour, Record: 7 * 24 * time.Hour, DeadLetter: 30 * 24 * time.Hour},
		},
	}
}

// Path is the file that the environment names, or DefaultPath.
func Path(environ []string) string {
	if p := variables(environ)["SLUICE_CONFIG"]; p != "" {
		return p
	}
	return DefaultPath
}

// Load reads and checks the file at path; environ has the form of os.Environ.
// What is wrong in the file comes all at once, as Problems inside the error.
// No error holds a value, only keys and where they were set.
func Load(path string, environ []string) (*Config, error) {
	// The stamp first: what is saved between the two calls is seen as newer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(data, filepath.Dir(path), environ)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.path, c.stamp = path, stampOf(info)
	return c, nil
}

// Parse is Load for a text that isn't in a file. Relative paths inside it are
// meant from dir. Its revision is zero.
func Parse(data []byte, dir string, environ []string) (*Config, error) {
	vars := variables(environ)
	root, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	c := defaults()
	d := decoder{
		expand: func(s string) (string, error) { return expand(s, vars, dir) },
		places: map[string]string{},
	}
	if root != nil {
		d.decode("", root, reflectValue(c))
	}
	d.overlay(c, vars)
	c.complete(dir)
	if problems := append(d.problems, c.problems().without(d.problems)...); len(problems) > 0 {
		return nil, problems.placed(d.places)
	}
	c.hash = sha256.Sum256(data)
	return c, nil
}

// parseYAML returns the root of the only document; nil if there is nothing in
// it.
func parseYAML(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // no document is an answer, not a failure
	case err != nil:
		return nil, syntaxError(err)
	case len(doc.Content) == 0:
		return nil, nil
	}
	switch err := dec.Decode(&next); {
	case err == nil:
		return nil, Problems{{Place: lineOf(&next), Message: "must be one YAML document"}}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(err)
	}
	return doc.Content[0], nil
}

// syntaxError keeps the one message of the YAML parser that quotes the file
// out of the error: a value that begins with '*' looks like an alias.
func syntaxError(err error) error {
	if strings.Contains(err.Error(), "unknown anchor") {
		return errors.New("yaml: an alias has no anchor; a value that begins with '*' needs quotes")
	}
	return err
}

// complete fills in what follows from other keys.
func (c *Config) complete(dir string) {
	c.API.PublicURL = strings.TrimRight(c.API.PublicURL, "/")
	for i := range c.Accounts {
		c.Accounts[i].complete(dir)
	}
}

// Revision grows with each version of the file: it is the file's modification
// time in Unix milliseconds. Where the same text lies on several machines its
// time may differ; compare Digest first.
func (c *Config) Revision() int64 { return c.stamp.modified / int64(time.Millisecond) }

// Digest is the same for the same text of the file, wherever it lies. It says
// nothing of the environment.
func (c *Config) Digest() string { return hex.EncodeToString(c.hash[:8]) }
