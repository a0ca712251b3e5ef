package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const provisionProject = "11111111-2222-3333-4444-555555555555"

// provisionServer answers each request it knows, and keeps all it was asked.
type provisionServer struct {
	*httptest.Server
	asked []string
}

func newProvisionServer(t *testing.T, answers map[string]string) *provisionServer {
	t.Helper()
	p := &provisionServer{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // the command's own client keeps none open
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		act := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/v1/projects/"+provisionProject)
		asked := act
		if len(body) > 0 {
			asked += " " + string(body)
		}
		p.asked = append(p.asked, asked)
		answer, ok := answers[act]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"errorCode":"sender_not_found","message":"Sender not found","resolution":"Check the id"}`
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(p.Close)
	return p
}

// provision runs the command as `sluice provision` with the server's address
// and credentials.
func (p *provisionServer) provision(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return provisionRun(t, environ, append([]string{"--project-id=" + provisionProject, "--token=jwt-1", "--base-url=" + p.URL}, args...)...)
}

func provisionRun(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"provision"}, args...), &session{ctx: t.Context(), environ: environ, stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

const (
	senderOne = `{"id":"s-1","bearerToken":"very-secret","state":"ACTIVE","maxTps":10,"qualityRating":"GREEN","region":"EU","countryCode":"46",` +
		`"phoneNumber":"732001122","metadata":{"displayName":{"value":"Shop\u001b[2J"}},"conversationApiAppDetails":{"id":"01HAPP","region":"EU","channelStatus":"ACTIVE"}}`
	senderTwo   = `{"id":"s-2","state":"SUSPENDED","maxTps":20.5,"qualityRating":"RED","region":"EU","countryCode":"46","phoneNumber":"732003344"}`
	templateOne = `{"name":"order_update","language":"EN_US","category":"UTILITY","state":"APPROVED","qualityScore":"QUALITY_SCORE_GREEN"}`
	webhookOne  = `{"id":"w-1","target":"https://gw.example.net/cb","secret":"very-secret","triggers":["ALL"]}`
)

func provisionAnswers() map[string]string {
	return map[string]string{
		"GET /whatsapp":                                        `{"state":"ONBOARDED","wabaId":"1","businessDailyLimit":"TIER_1K","compatibleRegions":["EU","US"],"newer":true}`,
		"POST /whatsapp":                                       `{"state":"PENDING_FACEBOOK_VERIFICATION"}`,
		"PATCH /whatsapp":                                      `{"state":"PENDING_FACEBOOK_VERIFICATION"}`,
		"GET /whatsapp/senders":                                `{"senders":[` + senderOne + `],"nextPageToken":"a"}`,
		"GET /whatsapp/senders?pageToken=a":                    `{"senders":[` + senderTwo + `]}`,
		"GET /whatsapp/senders?filterStates=ACTIVE":            `{"senders":[]}`,
		"GET /whatsapp/senders/s-1":                            senderOne,
		"POST /whatsapp/senders":                               senderTwo,
		"PATCH /whatsapp/senders/s-1":                          senderOne,
		"DELETE /whatsapp/senders/s-1":                         ``,
		"PUT /whatsapp/enableTemplateAnalytics":                ``,
		"POST /whatsapp/longLivedAccessToken":                  `{"longLivedAccessToken":"very-secret"}`,
		"POST /whatsapp/wabaDetails":                           `{"wabas":[{"id":"w","numbers":[{"id":"n","displayPhoneNumber":"+46 73","provisioned":true}]},{"id":"v"}]}`,
		"GET /whatsapp/templates":                              `{"templates":[` + templateOne + `]}`,
		"GET /whatsapp/templates/order_update":                 `{"templates":[` + templateOne + `]}`,
		"GET /whatsapp/templates/order_update/languages/EN_US": templateOne,
		"GET /webhooks":                                        `{"webhooks":[` + webhookOne + `]}`,
		"GET /webhooks/w-1":                                    webhookOne,
		"POST /webhooks":                                       webhookOne,
		"PATCH /webhooks/w-1":                                  webhookOne,
		"DELETE /webhooks/w-1":                                 ``,
	}
}

func TestProvisionShowsTablesToPeople(t *testing.T) {
	for _, c := range []struct {
		args  string
		asked []string
		want  string
	}{
		{
			args: "account get", asked: []string{"GET /whatsapp"},
			want: `state             ONBOARDED
waba id           1
waba name         -
daily limit       TIER_1K
ban               -
insights          no
business manager  -
regions           EU, US
currency          -
changes           -
`,
		},
		{
			args: "senders ls", asked: []string{"GET /whatsapp/senders", "GET /whatsapp/senders?pageToken=a"},
			want: `ID   NUMBER        NAME      STATE      QUALITY  MAX TPS  REGION  APP
s-1  +46732001122  Shop [2J  ACTIVE     GREEN    10       EU      01HAPP
s-2  +46732003344  -         SUSPENDED  RED      20.5     EU      -
`,
		},
		{args: "senders --state ACTIVE", asked: []string{"GET /whatsapp/senders?filterStates=ACTIVE"}, want: "ID  NUMBER  NAME  STATE  QUALITY  MAX TPS  REGION  APP\n"},
		{
			args: "senders get s-1", asked: []string{"GET /whatsapp/senders/s-1"},
			want: `id             s-1
number         +46732001122
name           Shop [2J
state          ACTIVE
quality        GREEN
max tps        10
region         EU
app            01HAPP
app region     EU
app channel    ACTIVE
bearer token   ***
changes        -
changes error  -
created        -
modified       -
`,
		},
		{args: "senders rm s-1", asked: []string{"DELETE /whatsapp/senders/s-1"}, want: "sender s-1 is deleted; it stays active for 30 days\n"},
		{
			args: "waba-details --facebook-token F", asked: []string{`POST /whatsapp/wabaDetails {"facebookToken":"F"}`},
			want: `WABA  NUMBER ID  NUMBER  PROVISIONED
w     n          +46 73  yes
v     -          -       -
`,
		},
		{args: "long-lived-token --facebook-code C", asked: []string{`POST /whatsapp/longLivedAccessToken {"facebookCode":"C"}`}, want: "***\n"},
		{args: "long-lived-token --facebook-token T --show-secrets", asked: []string{`POST /whatsapp/longLivedAccessToken {"facebookToken":"T"}`}, want: "very-secret\n"},
		{args: "enable-template-analytics", asked: []string{"PUT /whatsapp/enableTemplateAnalytics"}, want: "template analytics are enabled\n"},
		{
			args: "templates ls", asked: []string{"GET /whatsapp/templates"},
			want: `NAME          LANGUAGE  CATEGORY  STATE     QUALITY              CHANGES  REJECTED FOR
order_update  EN_US     UTILITY   APPROVED  QUALITY_SCORE_GREEN  -        -
`,
		},
		{
			args: "webhooks ls", asked: []string{"GET /webhooks"},
			want: `ID   TARGET                     TRIGGERS
w-1  https://gw.example.net/cb  ALL
`,
		},
		{args: "webhooks rm w-1", asked: []string{"DELETE /webhooks/w-1"}, want: "webhook w-1 is deleted\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			p := newProvisionServer(t, provisionAnswers())
			code, stdout, stderr := p.provision(t, nil, strings.Fields(c.args)...)
			if code != 0 || stderr != "" {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if diff := cmp.Diff(c.want, stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.asked, p.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProvisionSendsWhatFlagsSay(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(data, []byte(`{"wabaName":"from the file","more":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{
			[]string{"account", "create", "--waba-name=Shop", "--display-name=S", "--region=EU"},
			`POST /whatsapp {"wabaName":"Shop","senderDetails":{"displayName":"S","region":"EU"}}`,
		},
		{[]string{"account", "update", "--data=@" + data, "--waba-name=Shop"}, `PATCH /whatsapp {"more":1,"wabaName":"Shop"}`},
		{
			[]string{"senders", "create", "--waba-id=1", "--phone-number-id=2", "--region=EU"},
			`POST /whatsapp/senders {"wabaId":"1","phoneNumberId":"2","region":"EU"}`,
		},
		{
			[]string{"senders", "update", "s-1", "--display-name=Shop", `--details={"email":null}`, "--submit"},
			`PATCH /whatsapp/senders/s-1 {"status":"SUBMIT","details":{"displayName":"Shop","email":null}}`,
		},
		{[]string{"templates", "get", "order_update"}, "GET /whatsapp/templates/order_update"},
		{[]string{"templates", "get", "order_update", "en_US"}, "GET /whatsapp/templates/order_update/languages/EN_US"},
		{
			[]string{"webhooks", "create", "--target=https://gw.example.net/cb", "--secret=s3cr3t", "--trigger=A,B"},
			`POST /webhooks {"target":"https://gw.example.net/cb","secret":"s3cr3t","triggers":["A","B"]}`,
		},
		{[]string{"webhooks", "update", "w-1", "--trigger=ALL"}, `PATCH /webhooks/w-1 {"triggers":["ALL"]}`},
		{[]string{"webhooks", "get", "w-1"}, "GET /webhooks/w-1"},
	} {
		t.Run(strings.Join(c.args[:2], " "), func(t *testing.T) {
			p := newProvisionServer(t, provisionAnswers())
			code, stdout, stderr := p.provision(t, nil, c.args...)
			if code != 0 || strings.Contains(stdout, "very-secret") {
				t.Errorf("exit %d: %s%s", code, stdout, stderr)
			}
			if diff := cmp.Diff([]string{c.want}, p.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProvisionPrintsJSONForScripts(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"webhooks get w-1 --json", `{
  "id": "w-1",
  "secret": "***",
  "target": "https://gw.example.net/cb",
  "triggers": [
    "ALL"
  ]
}
`},
		{"webhooks --json --show-secrets", `[
  {
    "id": "w-1",
    "target": "https://gw.example.net/cb",
    "secret": "very-secret",
    "triggers": [
      "ALL"
    ]
  }
]
`},
		{"senders --state ACTIVE --json", "[]\n"},
		{"senders rm s-1 --json", "{\n  \"deleted\": \"s-1\"\n}\n"},
		{"long-lived-token --facebook-code C --json", "{\n  \"longLivedAccessToken\": \"***\"\n}\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			p := newProvisionServer(t, provisionAnswers())
			code, stdout, stderr := p.provision(t, nil, strings.Fields(c.args)...)
			if code != 0 {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if diff := cmp.Diff(c.want, stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProvisionFailsInTheProvidersWords(t *testing.T) {
	p := newProvisionServer(t, provisionAnswers())
	code, stdout, stderr := p.provision(t, nil, "senders", "get", "s-9")
	if code != 1 || stdout != "" {
		t.Errorf("exit %d: %s", code, stdout)
	}
	if want := "sluice: GET /whatsapp/senders/s-9: sender_not_found: Sender not found. Check the id (HTTP 404)\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestProvisionTellsMisuse(t *testing.T) {
	for _, name := range []string{"SINCH_PROJECT_ID", "SINCH_TOKEN", "SINCH_KEY_ID", "SINCH_KEY_SECRET", "SINCH_WEBHOOK_SECRET", "FACEBOOK_CODE", "FACEBOOK_TOKEN"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil { // t.Setenv puts it back
			t.Fatal(err)
		}
	}
	with := func(args ...string) []string { return append([]string{"--project-id=p", "--token=t"}, args...) }
	for name, args := range map[string][]string{
		"no project":                 {"--token=t", "account", "get"},
		"no credentials":             {"--project-id=p", "account", "get"},
		"half a key":                 {"--project-id=p", "--key-id=k", "account", "get"},
		"plain http outside":         with("--base-url=http://provisioning.example", "account", "get"),
		"a project that leads out":   {"--project-id=..", "--token=t", "account", "get"},
		"nothing to create":          with("account", "create"),
		"data that is no object":     with("account", "create", "--data=[]"),
		"data that is null":          with("account", "create", "--data=null"),
		"a file that isn't there":    with("account", "create", "--data=@/nowhere"),
		"no sender to create":        with("senders", "create", "--region=EU"),
		"nothing to change":          with("senders", "update", "s-1"),
		"no sender":                  with("senders", "get"),
		"--yes without --sync":       with("senders", "--yes"),
		"--sync of some senders":     with("senders", "--sync", "--state=ACTIVE"),
		"both --yes and --dry-run":   with("senders", "--sync", "--yes", "--dry-run"),
		"credentials of no variable": with("senders", "--sync", "--credentials=a-b"),
		"too large a page":           with("senders", "--page-size=101"),
		"neither code nor token":     with("long-lived-token"),
		"both code and token":        with("long-lived-token", "--facebook-code=a", "--facebook-token=b"),
		"no facebook token":          with("waba-details"),
		"a webhook without a secret": with("webhooks", "create", "--target=https://x", "--trigger=ALL"),
		"a webhook left as it is":    with("webhooks", "update", "w-1"),
		"no command":                 with(),
	} {
		if code, _, stderr := provisionRun(t, nil, args...); code != 2 {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
}

func TestProvisionReadsItsSettingsFromTheEnvironment(t *testing.T) {
	p := newProvisionServer(t, provisionAnswers())
	t.Setenv("SINCH_PROJECT_ID", provisionProject)
	t.Setenv("SINCH_KEY_ID", "key-1")
	t.Setenv("SINCH_KEY_SECRET", "secret-1")
	t.Setenv("SINCH_TOKEN", "")
	if code, _, stderr := provisionRun(t, nil, "account", "--base-url="+p.URL); code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	// What help shows of variables is their names.
	if _, stdout, stderr := provisionRun(t, nil, "account", "--help"); strings.Contains(stdout+stderr, "secret-1") {
		t.Errorf("help shows a secret: %s%s", stdout, stderr)
	}
}

const syncBefore = `# Our accounts.
redis: {url: "redis://localhost:6379/0"}  # near by

accounts:
  - id: shop      # the first
    provider: sinch-conversation
    region: eu
    project_id: "11111111-2222-3333-4444-555555555555"
    app_id: 01HSHOP
    key_id: "${SINCH_KEY_ID}"
    key_secret: "${SINCH_KEY_SECRET}"
    sender: "+46732003344"
    rate: 80      # a guess

  #- id: another
`

const syncAfter = `# Our accounts.
redis: {url: "redis://localhost:6379/0"}  # near by

accounts:
  # Sinch sender s-2: SUSPENDED, quality RED; paused by sync
  - id: shop      # the first
    provider: sinch-conversation
    region: eu
    project_id: "11111111-2222-3333-4444-555555555555"
    app_id: 01HSHOP
    key_id: "${SINCH_KEY_ID}"
    key_secret: "${SINCH_KEY_SECRET}"
    sender: "+46732003344"
    rate: 20.5      # a guess
    paused: true

  # Sinch sender s-1: ACTIVE, quality GREEN
  - id: sinch-46732001122
    provider: sinch-conversation
    region: eu
    project_id: 11111111-2222-3333-4444-555555555555
    app_id: 01HAPP
    key_id: "${SINCH_KEY_ID}"
    key_secret: "${SINCH_KEY_SECRET}"
    sender: "+46732001122"
    rate: 10

  #- id: another
`

const syncDifference = `+ sinch-46732001122 (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    + # Sinch sender s-1: ACTIVE, quality GREEN
    + id: sinch-46732001122
    + provider: sinch-conversation
    + region: eu
    + project_id: 11111111-2222-3333-4444-555555555555
    + app_id: 01HAPP
    + key_id: ${SINCH_KEY_ID}
    + key_secret: ${SINCH_KEY_SECRET}
    + sender: +46732001122
    + rate: 10
~ shop (sinch-conversation, sender s-2, SUSPENDED, quality RED)
    + paused: true
    - rate: 80
    + rate: 20.5
    + # Sinch sender s-2: SUSPENDED, quality RED; paused by sync
    ! quality is RED: the provider may restrict or block this sender
`

func syncFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func syncEnviron(path string) []string {
	return []string{"SLUICE_CONFIG=" + path, "SINCH_KEY_ID=key-1", "SINCH_KEY_SECRET=secret-1"}
}

// notATerminal keeps a test from asking whoever runs it.
func notATerminal(t *testing.T) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = null
	t.Cleanup(func() {
		os.Stdin = stdin
		_ = null.Close()
	})
}

func TestProvisionSyncWritesTheConfiguration(t *testing.T) {
	notATerminal(t)
	for _, c := range []struct {
		name   string
		file   string
		args   []string
		drop   string // a variable that isn't set
		code   int
		want   string // stdout; FILE stands for the path
		stderr string // a part of it
		after  string // the file; empty: as before
	}{
		{
			name: "--yes writes without asking", file: syncBefore, args: []string{"--yes"},
			want: syncDifference + "FILE is written\n", after: syncAfter,
		},
		{
			name: "--dry-run writes nothing", file: syncBefore, args: []string{"--dry-run"},
			want: syncDifference + "nothing is written\n",
		},
		{
			name: "without a terminal nothing is written", file: syncBefore, code: 1,
			want: syncDifference, stderr: "say --yes or --dry-run",
		},
		{
			name: "what is as it should be is left alone", file: syncAfter, args: []string{"--yes"},
			want: "~ shop (sinch-conversation, sender s-2, SUSPENDED, quality RED)\n    ! quality is RED: the provider may restrict or block this sender\nFILE is as the senders are\n",
		},
		{
			name: "a file that would not be valid is not written", file: syncBefore, args: []string{"--yes", "--credentials=SHOP"}, code: 1,
			want:   strings.NewReplacer("${SINCH_KEY_ID}", "${SHOP_KEY_ID}", "${SINCH_KEY_SECRET}", "${SHOP_KEY_SECRET}").Replace(syncDifference),
			stderr: "the variable SHOP_KEY_ID is not set",
		},
		{
			name: "a file that isn't valid is not touched", file: syncBefore, args: []string{"--yes"}, drop: "SINCH_KEY_SECRET", code: 1,
			stderr: "before any change",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProvisionServer(t, provisionAnswers())
			path := syncFile(t, c.file)
			environ := slices.DeleteFunc(syncEnviron(path), func(s string) bool { return c.drop != "" && strings.HasPrefix(s, c.drop) })
			code, stdout, stderr := p.provision(t, environ, append([]string{"senders", "--sync"}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, "FILE", path), stdout); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if c.after == "" {
				c.after = c.file
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.after, string(got)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProvisionSyncAsJSON(t *testing.T) {
	p := newProvisionServer(t, map[string]string{"GET /whatsapp/senders": `{"senders":[` + senderTwo + `]}`})
	path := syncFile(t, syncBefore)
	code, stdout, stderr := p.provision(t, syncEnviron(""), "senders", "--sync", "--yes", "--json", "--config="+path)
	if code != 0 || !strings.Contains(stderr, "- rate: 80") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	want := `{
  "changes": [
    {
      "account": "shop",
      "provider": "sinch-conversation",
      "sender": "s-2",
      "state": "SUSPENDED",
      "quality": "RED",
      "new": false,
      "fields": [
        {
          "key": "paused",
          "to": "true"
        },
        {
          "key": "rate",
          "from": "80",
          "to": "20.5"
        },
        {
          "key": "#",
          "to": "Sinch sender s-2: SUSPENDED, quality RED; paused by sync"
        }
      ],
      "notes": [
        "quality is RED: the provider may restrict or block this sender"
      ]
    }
  ],
  "notes": [],
  "path": "` + path + `",
  "written": true
}
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
}

func TestProvisionSyncWritesNothingWhenAPageFails(t *testing.T) {
	p := newProvisionServer(t, map[string]string{"GET /whatsapp/senders": `{"senders":[` + senderTwo + `],"nextPageToken":"a"}`})
	path := syncFile(t, syncBefore)
	code, stdout, _ := p.provision(t, syncEnviron(path), "senders", "--sync", "--yes")
	if got, err := os.ReadFile(path); code != 1 || stdout != "" || err != nil || string(got) != syncBefore {
		t.Errorf("exit %d, %q, %v", code, stdout, err)
	}
}

func TestProvisionSyncAsksOnATerminal(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "": false, "yellow\n": false} {
		path := syncFile(t, "old")
		var asked bytes.Buffer
		written, err := senderSync{Sync: true}.write(t.Context(), path, []byte("old"), []byte("new"), true,
			answers{in: strings.NewReader(answer), terminal: true}, &asked)
		if err != nil || written != want {
			t.Errorf("%q: %v, %v", answer, written, err)
		}
		if asked.String() != "Write this to "+path+"? [y/N] " {
			t.Errorf("asked %q", asked.String())
		}
		if got, _ := os.ReadFile(path); (string(got) == "new") != want {
			t.Errorf("%q: file %q", answer, got)
		}
	}
}

func TestProvisionSyncStopsAskingAtASignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	defer func() { _ = typed.Close() }() // ends the read that is left
	cancel()
	if yes, err := ask(ctx, in, io.Discard, "?"); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", yes, err)
	}
}
