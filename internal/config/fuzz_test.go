package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Whatever the file holds, Parse answers, and an error quotes no secret.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../configs/sluice.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("a: &a [*a]")
	f.Add("accounts: &a [{id: *a}]")
	f.Add("? {a: b}\n: c")
	f.Add("redis: !!binary aGk=")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text), t.TempDir(), []string{"SLUICE_WHSEC=hunter2"})
		if (c == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", c, err)
		}
		if err != nil && !strings.Contains(text, "hunter2") && strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("quoted: %v", err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"20s", "7d", "1.5d", "-1d", "1e300d", "NaNd", "d", "0x1d", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err != nil {
			return
		}
		again, err := parseDuration(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is %v, and that is %v, %v", text, d, again, err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"20s": 20 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "0.5d": 12 * time.Hour, "0": 0,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7", "d", "7 d", "1d12h", "infd", "1e9d", "s"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
}
