// Package deptest holds the import rules that a linter can't: what a package
// may depend on over any number of steps.
package deptest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of our own import paths.
const module = "sluice/"

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestDependenciesPointInward(t *testing.T) {
	const internal = module + "internal/"
	// What each package of ours may import of ours. Commands may import app and
	// what they show; everything else is listed.
	allowed := map[string][]string{
		"gateway":                  {},
		"redisdb":                  {"gateway"},
		"api":                      {"gateway"},
		"queue":                    {"gateway", "redisdb"},
		"limits":                   {"gateway"},
		"store":                    {"gateway", "redisdb"},
		"callback":                 {"gateway"},
		"callback/outbound":        {"gateway"},
		"media":                    {"gateway"},
		"netguard":                 {},
		"sender":                   {"gateway"},
		"sender/whatsappcloud":     {"gateway", "sender", "sender/whatsapp"},
		"sender/sinchwhatsapp":     {"gateway", "sender"},
		"sender/sinchconversation": {"gateway", "sender"},
		"sender/whatsapponprem":    {"gateway", "sender", "sender/whatsapp"},
		"sender/whatsappv2":        {"gateway", "sender", "sender/whatsapp"},
		"sender/whatsapp":          {"gateway"},
		"sender/providertest":      {"gateway", "sender"},
		"simulator":                {},
		"telemetry":                {},
		"config":                   {"gateway", "netguard", "redisdb"},
		"configedit":               {},
		"provisioning":             {"configedit", "gateway"},
		"localredis":               {},
		"redistest":                {"localredis"},
		"app": {
			"api", "callback", "callback/outbound", "config", "gateway", "limits", "media", "netguard", "queue", "redisdb", "sender",
			"sender/whatsappcloud", "sender/whatsappv2", "sender/whatsapponprem", "sender/sinchwhatsapp", "sender/sinchconversation",
			"simulator", "store", "telemetry",
		},
		"dev": {"app", "config", "localredis", "simulator"},
	}
	for _, p := range list(t, "./internal/...") {
		name := strings.TrimPrefix(p.ImportPath, internal)
		may, known := allowed[name]
		for _, i := range p.Imports {
			other, ours := strings.CutPrefix(i, internal)
			if !ours {
				continue
			}
			if !known {
				t.Errorf("%s imports %s, and no rule speaks of it", name, other)
			} else if !slices.Contains(may, other) {
				t.Errorf("%s must not import %s", name, other)
			}
		}
	}
}

func TestTheDomainDependsOnTheStandardLibraryOnly(t *testing.T) {
	for _, p := range list(t, "-deps", "./internal/gateway") {
		if !p.Standard && p.ImportPath != module+"internal/gateway" {
			t.Errorf("gateway depends on %s", p.ImportPath)
		}
	}
}

func TestOutsideLibrariesHaveOneRoom(t *testing.T) {
	// What is measured against is made of the same libraries, and who measures
	// looks into Redis.
	const baseline, measuring = module + "bench/baseline/", module + "bench/internal/"
	rooms := map[string][]string{
		"github.com/labstack/echo/v4":        {"api", baseline + "handler"},
		"github.com/hibiken/asynq":           {"queue", baseline + "handler", baseline + "worker"},
		"github.com/redis/go-redis/v9":       {"app", "queue", "redisdb", "redistest", "store", measuring + "audit", measuring + "stage", baseline + "loop"},
		"github.com/sony/gobreaker/v2":       {"sender"},
		"github.com/alicebob/miniredis/v2":   {"localredis"},
		"golang.org/x/time/rate":             {"limits"},
		"code.dny.dev/ssrf":                  {"netguard"},
		"github.com/gabriel-vasile/mimetype": {"media"},
		"go.yaml.in/yaml/v3":                 {"config", "configedit"},
	}
	for _, p := range list(t, "./...") {
		name := strings.TrimPrefix(p.ImportPath, module+"internal/")
		for _, i := range p.Imports {
			if rooms := rooms[i]; rooms != nil && !slices.Contains(rooms, name) {
				t.Errorf("%s must not import %s: its room is %s", name, i, strings.Join(rooms, ", "))
			}
		}
	}
}

func TestTheSimulatorKnowsNothingOfTheGateway(t *testing.T) {
	for _, p := range list(t, "-deps", "./internal/simulator") {
		if strings.HasPrefix(p.ImportPath, module) && p.ImportPath != module+"internal/simulator" {
			t.Errorf("simulator depends on %s", p.ImportPath)
		}
	}
}
