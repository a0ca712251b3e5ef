package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

const examplePath = "../../configs/sluice.yaml"

// exampleEnviron is every variable that the example's own lines name, and no
// other; no two have one value.
func exampleEnviron(text string) []string {
	text = regexp.MustCompile(`(?m)^ *# .*$`).ReplaceAllString(text, "")
	var environ []string
	for i, m := range regexp.MustCompile(`\$\{([A-Z_]+)\}`).FindAllStringSubmatch(text, -1) {
		value := fmt.Sprintf("value-%d", i)
		switch {
		case m[1] == "SLUICE_WHSEC":
			value = "whsec_c2VjcmV0"
		case strings.HasSuffix(m[1], "_NEW_PASSWORD"):
			value = fmt.Sprintf("Value-%d", i+10)
		case strings.HasSuffix(m[1], "_HASH"):
			value = fmt.Sprintf("%s%064x", hashPrefix, i)
		}
		environ = append(environ, m[1]+"="+value)
	}
	return environ
}

func example(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheExampleIsValidAndItsSecretsComeFromTheEnvironment(t *testing.T) {
	text := example(t)
	environ := exampleEnviron(text)
	c, err := Load(examplePath, environ)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range c.Accounts {
		got = append(got, string(a.ID)+" "+string(a.Provider))
		for name, v := range fields(reflect.ValueOf(&a).Elem()) {
			secret, ok := reflect.TypeAssert[Secret](v)
			if ok && secret != "" && !slices.ContainsFunc(environ, func(pair string) bool { return strings.HasSuffix(pair, "="+secret.Reveal()) }) {
				t.Errorf("%s: %s is written into the file", a.ID, name)
			}
		}
	}
	if diff := cmp.Diff([]string{"shop-eu whatsapp-cloud", "care sinch-whatsapp"}, got); diff != "" {
		t.Errorf("live accounts (-want +got):\n%s", diff)
	}
}

// uncommented is the example with every key that it leaves out.
func uncommented(t *testing.T) *Config {
	t.Helper()
	const ca = "onprem-ca.pem"
	text := regexp.MustCompile(`(?m)^( *)#([^ \n])`).ReplaceAllString(example(t), "$1$2")
	text = regexp.MustCompile(`\$\{file:/[^}]*\}`).ReplaceAllString(text, "password")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ca), []byte(testCA), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse([]byte(text), dir, exampleEnviron(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCommentedAccountsOfTheExampleAreValidToo(t *testing.T) {
	var got []gateway.ProviderName
	shown := map[string]bool{}
	for _, a := range uncommented(t).Accounts {
		got = append(got, a.Provider)
		for name, v := range fields(reflect.ValueOf(&a).Elem()) {
			shown[name] = shown[name] || !v.IsZero()
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(gateway.ProviderNames())), got); diff != "" {
		t.Errorf("providers of the accounts (-want +got):\n%s", diff)
	}
	for name := range shown {
		// On-premises hosts take one credential of three; zero is a default of
		// the other two.
		if !shown[name] && !slices.Contains([]string{"api_key", "max_in_flight", "paused"}, name) {
			t.Errorf("no account of the example has %s", name)
		}
	}
}

func TestWhatTheExampleCallsADefaultIsOne(t *testing.T) {
	all, want := uncommented(t), defaults()
	if diff := cmp.Diff(want.Redis, all.Redis, same); diff != "" {
		t.Errorf("redis (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(want.Defaults, all.Defaults); diff != "" {
		t.Errorf("defaults (-default +example):\n%s", diff)
	}
	if all.API.Listen != want.API.Listen || all.Worker.AdminListen != want.Worker.AdminListen {
		t.Errorf("listen %q and %q, want %q and %q", all.API.Listen, all.Worker.AdminListen, want.API.Listen, want.Worker.AdminListen)
	}

	// The first account shows the defaults of an account; without what it is
	// and what the example brings, it is the same as one that says nothing.
	shown := all.Accounts[0]
	silent := parse(t, account("rate: 80")).Accounts[0]
	got, plain := all.GatewayAccount(shown), all.GatewayAccount(silent)
	got.ID, got.Sender, got.CallbackURL, got.Tier = plain.ID, plain.Sender, plain.CallbackURL, plain.Tier
	if diff := cmp.Diff(plain, got); diff != "" {
		t.Errorf("account (-default +example):\n%s", diff)
	}
	if shown.BaseURL != silent.BaseURL || shown.Window != silent.Window || shown.Media != silent.Media {
		t.Errorf("account %q %q %v, want %q %q %v", shown.BaseURL, shown.Window, shown.Media, silent.BaseURL, silent.Window, silent.Media)
	}
}
