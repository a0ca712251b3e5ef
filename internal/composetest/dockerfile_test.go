package composetest

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instruction is one of a Dockerfile, its continued lines joined.
type instruction struct {
	word string
	args string
}

type instructions []instruction

// dockerfile reads the Dockerfile that docker-compose.yml builds from.
func dockerfile(t *testing.T) instructions {
	t.Helper()
	var found instructions
	joined := strings.ReplaceAll(text(t, service(t, "api").Build.Dockerfile), "\\\n", " ")
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, args, _ := strings.Cut(line, " ")
		found = append(found, instruction{word, strings.TrimSpace(args)})
	}
	return found
}

// all is the arguments of each instruction of a kind.
func (is instructions) all(word string) []string {
	var args []string
	for _, i := range is {
		if i.word == word {
			args = append(args, i.args)
		}
	}
	return args
}

// last is the arguments of the last instruction of a kind, the one that
// counts; empty: there is none.
func (is instructions) last(word string) string {
	all := append([]string{""}, is.all(word)...)
	return all[len(all)-1]
}

// final is the instructions of the last stage, the image.
func (is instructions) final() instructions {
	for i, in := range slices.Backward(is) {
		if in.word == "FROM" {
			return is[i:]
		}
	}
	return nil
}

// built is the folders under cmd that the Dockerfile compiles.
func (is instructions) built() []string {
	var names []string
	for _, run := range is.all("RUN") {
		if _, packages, ok := strings.Cut(run, "go build "); ok {
			for _, m := range regexp.MustCompile(`\./cmd/(\w+)`).FindAllStringSubmatch(packages, -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

func TestTheImageHoldsEveryProgramThatRuns(t *testing.T) {
	d := dockerfile(t)
	built := d.built()
	if diff := cmp.Diff([]string{"api", "worker", "sluice"}, built); diff != "" {
		t.Errorf("programs built (-want +got):\n%s", diff)
	}
	copied := strings.Fields(d.final().all("COPY")[0])
	want := []string{"--from=build", "/out/api", "/out/worker", "/out/sluice", "/"}
	if diff := cmp.Diff(want, copied); diff != "" {
		t.Errorf("programs copied (-want +got):\n%s", diff)
	}
	var entrypoint []string
	if err := json.Unmarshal([]byte(d.final().last("ENTRYPOINT")), &entrypoint); err != nil {
		t.Fatalf("ENTRYPOINT: %v", err) // without brackets it needs a shell
	}
	entrypoints := [][]string{entrypoint}
	for _, name := range ours {
		s := service(t, name)
		entrypoints = append(entrypoints, s.Entrypoint)
		if s.Image != service(t, "api").Image || s.Build == nil {
			t.Errorf("%s runs another image, or can't build its own", name)
		}
	}
	for _, e := range entrypoints {
		if len(e) != 1 || path.Dir(e[0]) != "/" || !slices.Contains(built, path.Base(e[0])) {
			t.Errorf("%v is no program of the image", e)
		}
	}
}

func TestEveryProgramBuiltIsAMainPackage(t *testing.T) {
	for _, name := range dockerfile(t).built() {
		files, err := filepath.Glob(filepath.Join(root, "cmd", name, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("cmd/%s: no Go files (%v)", name, err)
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), files[0], nil, parser.PackageClauseOnly)
		if err != nil || strings.TrimSuffix(f.Name.Name, "_test") != "main" {
			t.Errorf("cmd/%s is no main package (%v)", name, err)
		}
	}
}

// A misspelt variable would be no error of the linker.
func TestTheVersionReachesTheProgram(t *testing.T) {
	d := dockerfile(t)
	if !slices.ContainsFunc(d.all("RUN"), func(run string) bool { return strings.Contains(run, "-X sluice/internal/telemetry.linked=$VERSION") }) {
		t.Error("the build gives no version")
	}
	if !strings.Contains(text(t, "internal/telemetry/version.go"), "\nvar linked string\n") {
		t.Error("telemetry has no variable for the version")
	}
	if !slices.ContainsFunc(d.all("ARG"), func(args string) bool { return slices.Contains(strings.Fields(args), "VERSION") }) {
		t.Error("VERSION is no argument of the build")
	}
	for name := range service(t, "api").Build.Args {
		if name != "VERSION" {
			t.Errorf("docker-compose.yml gives %s, which the Dockerfile doesn't take", name)
		}
	}
}

func TestTheImageIsStaticAndNotRoots(t *testing.T) {
	d := dockerfile(t)
	from := d.all("FROM")
	if len(from) != 2 || from[1] != "gcr.io/distroless/static:nonroot" {
		t.Errorf("stages %q, want one to build and distroless/static:nonroot", from)
	}
	if user := d.final().last("USER"); user != "nonroot:nonroot" {
		t.Errorf("USER %s", user)
	}
	if len(d.final().all("RUN")) > 0 {
		t.Error("the image has no shell to run anything")
	}
	if !strings.Contains(strings.Join(d.all("RUN"), "\n"), "CGO_ENABLED=0 ") {
		t.Error("with cgo the programs would need libraries that the image lacks")
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(text(t, "go.mod"))
	if image := "golang:" + goVersion[1] + " "; !strings.Contains(from[0], image) {
		t.Errorf("built by %s, and go.mod asks for %s", from[0], goVersion[1])
	}
	for _, word := range []string{"ARG", "ENV"} {
		for _, args := range d.all(word) {
			if regexp.MustCompile(`(?i)secret|token|password|_key`).MatchString(args) {
				t.Errorf("%s %s stays in the image's history", word, args)
			}
		}
	}
}

func TestWhatIsCopiedIsThereAndLetIn(t *testing.T) {
	ignore := strings.Split(text(t, ".dockerignore"), "\n")
	if !slices.Contains(ignore, "*") {
		t.Error(".dockerignore lets in all that it doesn't name")
	}
	for _, args := range dockerfile(t).all("COPY") {
		sources := strings.Fields(args)
		if strings.HasPrefix(sources[0], "--from=") {
			continue
		}
		for _, source := range sources[:len(sources)-1] {
			source = strings.TrimSuffix(source, "/")
			if _, err := os.Stat(filepath.Join(root, source)); err != nil {
				t.Errorf("COPY %s: %v", source, err)
			}
			if !slices.Contains(ignore, "!"+source) {
				t.Errorf(".dockerignore keeps %s out", source)
			}
		}
	}
}

func TestTheImageNamesItsConfigurationAndPorts(t *testing.T) {
	final := dockerfile(t).final()
	if !slices.Contains(final.all("COPY"), "configs/ /etc/sluice/") || final.last("ENV") != "SLUICE_CONFIG=/etc/sluice/sluice.yaml" {
		t.Errorf("ENV %s isn't the example that the image holds", final.last("ENV"))
	}
	c := configuration(t, "api")
	want := []string{port(t, c.API.Listen), port(t, listenFlag(t)), port(t, c.Worker.AdminListen), port(t, c.API.AdminListen)}
	slices.Sort(want)
	if diff := cmp.Diff(want, strings.Fields(final.last("EXPOSE"))); diff != "" {
		t.Errorf("EXPOSE (-want +got):\n%s", diff)
	}
}
