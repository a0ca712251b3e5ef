package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/simulator"
)

// freshProject is one that has a key and no account yet.
const freshProject = "99999999-2222-3333-4444-555555555555"

// provisionWorld is the simulated Provisioning API, on loopback.
type provisionWorld struct {
	*provisionServer
	token string
}

// newProvisionWorld has a project with three senders, two of them of one app's
// account, and a project without an account.
func newProvisionWorld(t *testing.T) *provisionWorld {
	t.Helper()
	account := func(id, number, app string, rate int) simulator.Account {
		return simulator.Account{
			ID: id, Dialect: simulator.SinchConversation, BusinessID: "102290129340398", SenderID: "s-" + id, Number: number, Token: "bearer-of-" + id,
			ProjectID: provisionProject, AppID: app, KeyID: "key-1", KeySecret: "secret-1", Region: "EU", Rate: rate,
		}
	}
	shop := account("shop", "+46732003344", "01HSHOP", 20)
	shop.Templates = []simulator.Template{
		{Name: "order_update", Language: "en_US", Body: 2},
		{Name: "order_update", Language: "sv", Body: 2, State: "PAUSED"},
		{Name: "welcome", Language: "en", Category: "MARKETING"},
	}
	fresh := account("fresh", "+46732009999", "01HFRESH", 10)
	fresh.ProjectID, fresh.BusinessID = freshProject, ""
	sim := simulator.New(simulator.Options{Accounts: []simulator.Account{shop, account("care", "+15550002222", "01HCARE", 35), account("club", "+353871234567", "01HCLUB", 80), fresh}})
	w := &provisionWorld{provisionServer: &provisionServer{}}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "close") // the command's own client keeps none open
		w.asked = append(w.asked, r.Method+" "+r.URL.RequestURI())
		sim.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.Close()
		if err := sim.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	w.post(t, "/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials", &answer)
	w.token = answer.AccessToken
	return w
}

// post asks the simulator for what isn't the command's to ask.
func (w *provisionWorld) post(t *testing.T, path, contentType, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("key-1", "secret-1")
	req.Header.Set("Content-Type", contentType)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("POST %s answers %d", path, resp.StatusCode)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// change is what Sinch or Meta do to the project.
func (w *provisionWorld) change(t *testing.T, members string) {
	t.Helper()
	w.post(t, "/_sim/provisioning", "application/json", `{"project":"`+provisionProject+`",`+members+`}`, nil)
}

// run runs the command with the flags and fails unless it exits so.
func (w *provisionWorld) run(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := provisionRun(t, nil, append([]string{"--base-url=" + w.URL}, args...)...)
	if got != code {
		t.Errorf("provision %s: exit %d, want %d: %s%s", strings.Join(args, " "), got, code, stdout, stderr)
	}
	return stdout, stderr
}

// credentials are the two ways in.
func (w *provisionWorld) credentials() map[string][]string {
	return map[string][]string{
		"with a token": {"--token=" + w.token},
		"with a key":   {"--key-id=key-1", "--key-secret=secret-1"},
	}
}

func TestProvisionCommandsWorkWithTheProvider(t *testing.T) {
	w := newProvisionWorld(t)
	for name, credentials := range w.credentials() {
		t.Run(name, func(t *testing.T) {
			w.post(t, "/_sim/reset", "application/json", "", nil)
			ids := make(map[string]string) // of what was made, by its placeholder
			words := func(s string) []string {
				for name, id := range ids {
					s = strings.ReplaceAll(s, name, id)
				}
				return append(append([]string{"--project-id=" + provisionProject}, credentials...), strings.Fields(s)...)
			}
			for _, step := range []struct {
				args   string
				change string   // by the provider, before
				code   int      // exit code
				want   []string // in stdout, or in stderr if it fails
				no     string   // in neither
				makes  string   // the placeholder of the JSON's id
			}{
				{args: "account get", want: []string{"state             ONBOARDED\n", "waba id           102290129340398\n", "insights          no\n"}},
				{args: "account create --waba-name=Shop --client-business-manager-id=7", code: 1, want: []string{"POST /whatsapp: account_exists", "(HTTP 409)"}},
				{args: "account update --waba-name=Better", code: 1, want: []string{"PATCH /whatsapp: account_not_updatable", "(HTTP 409)"}},
				{args: "account update --waba-name=Better", change: `"account_state":"REJECTED"`, want: []string{"state             PENDING_FACEBOOK_VERIFICATION\n", "waba name         Better\n"}},
				{args: "enable-template-analytics", code: 1, want: []string{"PUT /whatsapp/enableTemplateAnalytics: template_insights_not_yet_available", "(HTTP 424)"}},
				{args: "enable-template-analytics", change: `"account_state":"ONBOARDED","daily_limit":"TIER_10K"`, want: []string{"template analytics are enabled\n"}},
				{args: "account", want: []string{"insights          yes\n", "daily limit       TIER_10K\n"}},
				{args: "account get --project-id=" + freshProject, code: 1, want: []string{"GET /whatsapp: account_not_found", "(HTTP 404)"}},
				{args: "account create --waba-name=x --project-id=" + freshProject, code: 1, want: []string{"invalid_input: The request is invalid.", "clientBusinessManagerId can not be empty"}},
				{args: "account create --waba-name=New --client-business-manager-id=7 --region=EU --display-name=New --project-id=" + freshProject, want: []string{"state             PENDING_FACEBOOK_VERIFICATION\n"}},

				{args: "senders ls --page-size=1", want: []string{"s-shop  +46732003344   Simulated shop  ACTIVE  GREEN    20       EU      01HSHOP\n", "s-care  +15550002222 ", "s-club  +353871234567 "}},
				{args: "senders --state=SUSPENDED --json", want: []string{"[]\n"}},
				{args: "senders --state=HAPPY", code: 1, want: []string{"GET /whatsapp/senders: invalid_filter_states"}},
				{args: "senders get s-care", want: []string{"max tps        35\n", "bearer token   ***\n"}, no: "bearer-of"},
				{args: "senders get s-care --json", want: []string{`"bearerToken": "***"`}, no: "bearer-of"},
				{args: "senders get s-care --show-secrets", want: []string{"bearer token   bearer-of-care\n"}},
				{args: "senders get none", code: 1, want: []string{"GET /whatsapp/senders/none: sender_not_found", "(HTTP 404)"}},
				{args: "senders create --waba-id=1 --phone-number-id=2 --region=EU --json", want: []string{`"state": "ACTIVE"`, `"bearerToken": "***"`}},
				{args: "senders create --country-code=46 --phone-number=700000009 --display-name=Shop --vertical=RETAIL --json", want: []string{`"state": "PENDING_VERIFICATION"`}, makes: "{sender}"},
				{args: "senders update {sender} --display-name=Early --submit", code: 1, want: []string{"Only active senders can be updated"}},
				{args: "senders register {sender}", want: []string{"method     SMS\naccepted   yes\ncode sent  yes\n"}},
				{args: "senders verify {sender} 000000", code: 1, want: []string{"wrong_otp", "(HTTP 409)"}, no: "000000"},
				{args: "senders verify {sender} 123456", want: []string{"is verified\n"}},
				{args: "senders get {sender}", want: []string{"state          ACTIVE\n", "name           Shop\n", "number         +46700000009\n"}},
				{args: "senders update {sender} --display-name=Later", want: []string{"name           Shop\n", "changes        DRAFT\n"}},
				{args: `senders update {sender} --submit --details={"displayName":"Now","vertical":null} --json`, want: []string{`"displayName": "Now"`}, no: "RETAIL"},
				{args: "senders rm {sender}", want: []string{"it stays active for 30 days\n"}},
				{args: "senders rm {sender}", code: 1, want: []string{"sender_already_deleted", "(HTTP 409)"}},

				{args: "waba-details --facebook-token=FB-TOKEN", want: []string{"102290129340398  s-shop", "+46732003344", "yes\n"}},
				{args: "waba-details --facebook-token=invalid-FB", code: 1, want: []string{"POST /whatsapp/wabaDetails: invalid_facebook_token", "(HTTP 400)"}, no: "invalid-FB"},
				{args: "long-lived-token --facebook-code=FB-CODE", want: []string{"***\n"}},
				{args: "long-lived-token --facebook-token=FB-TOKEN --business-manager=SINCH_UK --show-secrets", want: []string{"EAA"}, no: "***"},
				{args: "long-lived-token --facebook-code=invalid-FB", code: 1, want: []string{"invalid_facebook_code"}, no: "invalid-FB"},

				{args: "templates ls --page-size=1", want: []string{"order_update  EN_US     UTILITY    APPROVED", "order_update  SV        UTILITY    PAUSED", "welcome       EN        MARKETING  APPROVED"}},
				{args: "templates --name=wel --state=APPROVED", want: []string{"welcome"}, no: "order_update"},
				{args: "templates get order_update", want: []string{"EN_US", "SV"}},
				{args: "templates get order_update en_US --json", want: []string{`"text": "Simulated {{1}} {{2}}"`}},
				{args: "templates get none", code: 1, want: []string{"GET /whatsapp/templates/none: template_not_found"}},
				{args: "templates get welcome sv", code: 1, want: []string{"GET /whatsapp/templates/welcome/languages/SV: template_not_found"}},

				{args: "webhooks create --target=https://gw.example.net/cb --secret=hush-hush --trigger=WHATSAPP_SENDER_ACTIVE,WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED --json", want: []string{"WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED"}, no: "hush-hush", makes: "{webhook}"},
				{args: "webhooks create --target=https://gw.example.net/cb --secret=hush-hush --trigger=ALL", code: 1, want: []string{"webhook_exists", "(HTTP 409)"}, no: "hush-hush"},
				{args: "webhooks", want: []string{"https://gw.example.net/cb  WHATSAPP_SENDER_ACTIVE, WHATSAPP_ACCOUNT_DAILY_LIMIT_CHANGED\n"}},
				{args: "webhooks update {webhook} --trigger=ALL", want: []string{"triggers  ALL\n"}},
				{args: "webhooks get {webhook}", want: []string{"target    https://gw.example.net/cb\n", "triggers  ALL\n"}},
				{args: "webhooks rm {webhook}", want: []string{"is deleted\n"}},
				{args: "webhooks get {webhook}", code: 1, want: []string{"webhook_not_found", "(HTTP 404)"}},
			} {
				if step.change != "" {
					w.change(t, step.change)
				}
				w.asked = nil
				stdout, stderr := w.run(t, step.code, words(step.args)...)
				says := stdout
				if step.code != 0 {
					says = stderr
				}
				for _, want := range step.want {
					if !strings.Contains(says, want) {
						t.Errorf("provision %s: %q is not in\n%s", step.args, want, says)
					}
				}
				for _, secret := range []string{step.no, w.token, "secret-1"} {
					if secret != "" && strings.Contains(stdout+stderr, secret) {
						t.Errorf("provision %s shows %q:\n%s%s", step.args, secret, stdout, stderr)
					}
				}
				if step.makes != "" {
					var made struct{ ID string }
					if err := json.Unmarshal([]byte(stdout), &made); err != nil || made.ID == "" {
						t.Fatalf("provision %s: %v in %s", step.args, err, stdout)
					}
					ids[step.makes] = made.ID
				}
				if pages := 3; strings.Contains(step.args, "--page-size=1") && len(w.asked) != pages {
					t.Errorf("provision %s asked %q, want %d pages", step.args, w.asked, pages)
				}
			}
		})
	}
}

func TestProvisionIsRefusedWithoutTheRightCredentials(t *testing.T) {
	w := newProvisionWorld(t)
	basic := base64.StdEncoding.EncodeToString([]byte("key-1:wrong-secret"))
	for name, args := range map[string][]string{
		"a wrong token":        {"--project-id=" + provisionProject, "--token=wrong-secret"},
		"a wrong key's secret": {"--project-id=" + provisionProject, "--key-id=key-1", "--key-secret=wrong-secret"},
		"a wrong project":      {"--project-id=another", "--token=" + w.token},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"account", "senders", "senders --sync --dry-run", "templates", "webhooks", "enable-template-analytics", "waba-details --facebook-token=x", "long-lived-token --facebook-code=x"} {
				if strings.Contains(command, "--sync") {
					command += " --config=" + syncFile(t, "{}")
				}
				_, stderr := w.run(t, 1, append(args, strings.Fields(command)...)...)
				if !strings.Contains(stderr, ": unauthorized_error: unauthorized error. Check the credentials and the project. (HTTP 401)\n") {
					t.Errorf("%s: %s", command, stderr)
				}
				for _, secret := range []string{"wrong-secret", w.token, basic} {
					if strings.Contains(stderr, secret) {
						t.Errorf("%s shows %q: %s", command, secret, stderr)
					}
				}
			}
		})
	}
}

const handWritten = `# Our accounts: ask before you change them.
redis: {url: "redis://localhost:6379/0"} # near by

accounts:
  # The shop's number, for receipts.
  - id: shop # the first
    provider: sinch-conversation
    region: eu
    project_id: "11111111-2222-3333-4444-555555555555"
    app_id: 01HSHOP
    key_id: "${SINCH_KEY_ID}"
    key_secret: "${SINCH_KEY_SECRET}"
    sender: "+46732003344"
    rate: 80 # a guess

  # Not Sinch's.
  - {id: other, provider: whatsapp-cloud, phone_number_id: "1", access_token: t, rate: 7}
# The end.
`

func TestProvisionSyncGoesTheWholeWay(t *testing.T) {
	w := newProvisionWorld(t)
	path := syncFile(t, handWritten)
	environ := syncEnviron(path)
	sync := func() (stdout string) {
		t.Helper()
		code, stdout, stderr := provisionRun(t, environ, "--base-url="+w.URL, "--project-id="+provisionProject,
			"--key-id=key-1", "--key-secret=secret-1", "senders", "--sync", "--yes", "--page-size=1")
		if code != 0 || stderr != "" {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		return stdout
	}
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	type account struct {
		ID, Provider, Region, App, Sender string
		Rate                              float64
		Paused                            bool
	}
	// written syncs and returns what the file then holds, as it is loaded, after
	// a second run that has nothing to do.
	written := func() (all []account) {
		t.Helper()
		if out := sync(); !strings.HasSuffix(out, path+" is written\n") {
			t.Fatalf("the first run says %q", out)
		}
		cfg, err := config.Load(path, environ)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range cfg.Accounts {
			all = append(all, account{string(a.ID), string(a.Provider), a.Region, a.AppID, string(a.Sender), cfg.GatewayAccount(a).Rate, a.Paused})
			if a.Provider == gateway.SinchConversation && (a.KeyID != "key-1" || a.KeySecret != "secret-1" || a.ProjectID != provisionProject) {
				t.Errorf("the credentials of %s are others", a.ID)
			}
		}
		text := read()
		again := sync()
		// What is left to people is said each time.
		again = regexp.MustCompile(`(?m)^~ .*\n {4}! .*\n`).ReplaceAllString(again, "")
		if again != path+" is as the senders are\n" || read() != text {
			t.Errorf("the second run says %q", again)
		}
		return all
	}
	check := func(what string, got, want []account) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}

	const conversation = "sinch-conversation"
	shop, other := account{"shop", conversation, "eu", "01HSHOP", "+46732003344", 20, false}, account{"other", "whatsapp-cloud", "", "", "", 7, false}
	care, club := account{"sinch-15550002222", conversation, "eu", "01HCARE", "+15550002222", 35, false}, account{"sinch-353871234567", conversation, "eu", "01HCLUB", "+353871234567", 80, false}
	check("accounts", written(), []account{shop, other, care, club})

	// What people wrote is still there, in its order.
	rest := read()
	for line := range strings.Lines(strings.Replace(handWritten, "rate: 80 #", "rate: 20 #", 1)) {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("%q is gone, or out of place, in\n%s", line, read())
		}
		rest = after
	}

	w.change(t, `"sender":"s-shop","state":"SUSPENDED","quality_rating":"RED","max_tps":15`)
	w.change(t, `"sender":"s-care","max_tps":90`)
	shop.Rate, shop.Paused, care.Rate = 15, true, 90
	check("accounts of senders that have changed", written(), []account{shop, other, care, club})
	if want := "  # Sinch sender s-shop: SUSPENDED, quality RED; paused by sync\n"; strings.Count(read(), want) != 1 {
		t.Errorf("%q is not in\n%s", want, read())
	}
	w.change(t, `"sender":"s-shop","state":"ACTIVE","quality_rating":"YELLOW"`)
	shop.Paused = false
	check("accounts of a sender that is well again", written(), []account{shop, other, care, club})

	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left beside the file: %q, %v", left, err)
	}
}
