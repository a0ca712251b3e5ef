//go:build unix

package e2e

import (
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	shellWord  = regexp.MustCompile(`(?:'[^']*'|[^\s'])+`)
	shownID    = regexp.MustCompile(`(?m)^id +(\S+)$`)
)

// commandsOf are the commands of a page's shell blocks, parted into words.
func commandsOf(t *testing.T, page string) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			var words []string
			for _, word := range shellWord.FindAllString(line, -1) {
				if word == "#" {
					break
				}
				words = append(words, strings.ReplaceAll(word, "'", ""))
			}
			if len(words) > 0 {
				all = append(all, words)
			}
		}
	}
	return all
}

// reader does what a page says, with a running sluice dev.
type reader struct {
	*demo
	variables map[string]string
	config    string // what sluice.yaml is
}

func (r *reader) do(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "go", "bin/sluice", "alias": // dev runs, and provision is known
	case "export":
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			r.variables[name] = value
		}
	case "curl":
		r.curl(t, words[1:])
	case "provision":
		r.provision(t, words[1:])
	default:
		t.Errorf("nobody knows how to do %q", words)
	}
}

func (r *reader) curl(t *testing.T, words []string) {
	t.Helper()
	var method, url, body string
	var headers []string
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-sS":
		case "-X":
			i++
			method = words[i]
		case "-d":
			i++
			body = words[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			headers = append(headers, name, value)
		default:
			url = words[i]
		}
	}
	if method == "" && body != "" {
		method = http.MethodPost
	}
	to := client{addr: r.addr}
	path, ours := strings.CutPrefix(url, "http://127.0.0.1:8080")
	if !ours {
		to, path = r.simulator, strings.TrimPrefix(url, "http://127.0.0.1:8090")
	}
	a, err := to.ask(t.Context(), method, path, body, headers...)
	if err != nil || a.status >= 300 || strings.Contains(a.body, `"verified":false`) {
		t.Errorf("curl %q: %v, %d %s", words, err, a.status, a.body)
	}
}

func (r *reader) provision(t *testing.T, words []string) {
	t.Helper()
	args := []string{"provision", "--base-url=http://" + r.simulator.addr}
	for _, word := range words {
		if word == "sluice.yaml" {
			word = r.config
		}
		args = append(args, os.Expand(word, func(name string) string { return r.variables[name] }))
	}
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(r.variables)) {
		environ = append(environ, name+"="+r.variables[name])
	}
	p := launch(t, environ, "sluice", args...)
	p.exit(t, 0)
	if found := shownID.FindStringSubmatch(p.stdout.String()); found != nil && slices.Contains(words, "create") {
		r.variables[strings.ToUpper(strings.TrimSuffix(words[0], "s"))] = found[1] // SENDER, WEBHOOK
	}
}

func TestTheCommandsOfTheDocumentsWork(t *testing.T) {
	t.Parallel()
	d := launchDev(t, t.TempDir())
	for _, page := range []string{"simulator.md", "provisioning.md"} {
		r := &reader{demo: d, variables: make(map[string]string), config: write(t, t.TempDir(), "sluice.yaml", strings.ReplaceAll(provisioned, "demo", "demo-project"))}
		commands := commandsOf(t, page)
		if len(commands) < 15 {
			t.Errorf("%s has %d commands", page, len(commands))
		}
		for _, words := range commands {
			r.do(t, words)
		}
	}
	d.stop(t)
}
