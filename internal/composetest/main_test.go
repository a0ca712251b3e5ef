package composetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.uber.org/goleak"

	"sluice/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is the repository, the context that images are built from.
const root = "../.."

// ours are the services that run one of the programs.
var ours = []string{"api", "simulator", "worker"}

// text is a file of the repository.
func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// load reads docker-compose.yml as docker compose does, in an empty
// environment.
func load(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

func service(t *testing.T, name string) types.ServiceConfig {
	t.Helper()
	s, err := load(t).GetService(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// environ is what a process in the service's container finds.
func environ(s types.ServiceConfig) []string {
	var vars []string
	for name, value := range s.Environment {
		if value != nil {
			vars = append(vars, name+"="+*value)
		}
	}
	return vars
}

// outside is the file of this machine that a container sees under a path;
// empty: none.
func outside(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		rest, err := filepath.Rel(v.Target, path)
		if v.Type == types.VolumeTypeBind && err == nil && filepath.IsLocal(rest) {
			return filepath.Join(v.Source, rest)
		}
	}
	return ""
}

// configuration is what the service's container loads.
func configuration(t *testing.T, name string) *config.Config {
	t.Helper()
	s := service(t, name)
	path := outside(s, config.Path(environ(s)))
	if path == "" {
		t.Fatalf("%s: SLUICE_CONFIG names nothing that is mounted", name)
	}
	c, err := config.Load(path, environ(s))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}
