//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const provisioned = `# By hand.
accounts:
  - {id: shop, provider: sinch-conversation, region: eu, project_id: demo, app_id: one, key_id: k, key_secret: s, webhook_secret: w, sender: "+15550001111", rate: 80}
`

// TestASignalStopsASyncThatHasWrittenNothing has the second page of senders
// never come.
func TestASignalStopsASyncThatHasWrittenNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			stuck, over := make(chan struct{}), make(chan struct{})
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("pageToken") == "" {
					fmt.Fprint(w, `{"senders":[{"id":"s-1","state":"ACTIVE","maxTps":10,"countryCode":"1","phoneNumber":"5550001111",`+
						`"conversationApiAppDetails":{"id":"one","projectId":"demo","region":"EU"}}],"nextPageToken":"two"}`)
					return
				}
				close(stuck)
				select {
				case <-r.Context().Done():
				case <-over:
				}
			}))
			t.Cleanup(provider.Close)
			t.Cleanup(func() { close(over) })
			dir := t.TempDir()
			path := write(t, dir, "sluice.yaml", provisioned)
			p := launch(t, []string{"SLUICE_CONFIG=" + path}, "sluice", "provision", "--base-url="+provider.URL, "--project-id=demo", "--token=t", "senders", "--sync", "--yes")
			await(t, "it asks for the second page", func() bool {
				select {
				case <-stuck:
					return true
				default:
					return p.over()
				}
			})
			p.signal(t, s)
			p.exit(t, 1)
			p.oneLine(t, "GET /whatsapp/senders: ")
			mustHold(t, dir, provisioned)
		})
	}
}

// mustHold fails unless the folder holds sluice.yaml with this text, and nothing
// else.
func mustHold(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(files)+len(hidden) != 1 {
		t.Errorf("the folder holds %q and %q, %v", files, hidden, err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "sluice.yaml"))
	if err != nil || string(got) != text {
		t.Errorf("the file holds, with %v:\n%s", err, got)
	}
}

// The programs together: `sluice simulate` is Sinch for `sluice provision`.
func TestSendersOfTheSimulatorAreSynced(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	full := provisioned + strings.NewReplacer("id: shop", "id: care", "app_id: one", "app_id: two", "+15550001111", "+46732003344", "rate: 80", "rate: 25").
		Replace(strings.Join(strings.Split(provisioned, "\n")[2:], "\n"))
	launch(t, nil, "sluice", "simulate", "--listen", addr, "--config", write(t, t.TempDir(), "all.yaml", full))
	await(t, "the simulator answers", func() bool { return answers(addr) })

	dir := t.TempDir()
	path := write(t, dir, "sluice.yaml", strings.Replace(provisioned, "rate: 80", "rate: 5", 1))
	environ := []string{"SLUICE_CONFIG=" + path, "SINCH_PROJECT_ID=demo", "SINCH_KEY_ID=k", "SINCH_KEY_SECRET=s"}
	sync := func() string {
		t.Helper()
		p := launch(t, environ, "sluice", "provision", "--base-url=http://"+addr, "senders", "--sync", "--yes")
		p.exit(t, 0)
		return p.stdout.String()
	}
	if out := sync(); !strings.Contains(out, "\n    - rate: 5\n    + rate: 80\n") || !strings.Contains(out, "+ sinch-46732003344 (sinch-conversation, sender care, ACTIVE, quality GREEN)\n") {
		t.Errorf("the first run says:\n%s", out)
	}
	if out := sync(); out != path+" is as the senders are\n" {
		t.Errorf("the second run says:\n%s", out)
	}
	mustHold(t, dir, `# By hand.
accounts:
  # Sinch sender shop: ACTIVE, quality GREEN
  - {id: shop, provider: sinch-conversation, region: eu, project_id: demo, app_id: one, key_id: k, key_secret: s, webhook_secret: w, sender: "+15550001111", rate: 80}

  # Sinch sender care: ACTIVE, quality GREEN
  - id: sinch-46732003344
    provider: sinch-conversation
    region: eu
    project_id: demo
    app_id: two
    key_id: "${SINCH_KEY_ID}"
    key_secret: "${SINCH_KEY_SECRET}"
    sender: "+46732003344"
    rate: 25
`)
}
