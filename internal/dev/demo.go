package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"sluice/internal/config"
)

// Key is the API key of a demonstration. It opens nothing but a process on
// loopback that talks to simulated providers.
const Key = "sluice_dev_key_for_this_machine_only"

// demoConfig is a configuration like anybody's, with one account for each
// simulated provider.
func demoConfig(api, simulator, redisURL string) (*config.Config, error) {
	hash := sha256.Sum256([]byte(Key))
	text := fmt.Sprintf(`
api:
  listen: %q
  public_url: "http://%s"
  keys: [{name: dev, hash: "sha256:%s", accounts: ["*"], scopes: [send, read, operate]}]
worker: {admin_listen: "127.0.0.1:0"}
network: {allow_hosts: ["127.0.0.0/8", "::1", "localhost"]}
accounts:
  - {id: demo-cloud, provider: whatsapp-cloud, base_url: "http://%s/v23.0", phone_number_id: "106540352242922",
     waba_id: "102290129340398", sender: "+15550001111", access_token: demo-cloud-token, app_secret: demo-cloud-secret, verify_token: demo-cloud-verify}
  - {id: demo-sinch, provider: sinch-whatsapp, base_url: "http://%s", region: eu1, bot_id: demo-bot,
     sender: "+15550002222", token: demo-sinch-token, callback_secret: demo-sinch-secret}
  - {id: demo-conversation, provider: sinch-conversation, base_url: "http://%s", auth_url: "http://%s/oauth2/token", region: eu, sender: "+15550003333",
     project_id: demo-project, app_id: demo-app, key_id: demo-key, key_secret: demo-conversation-key, webhook_secret: demo-conversation-secret}
  - {id: demo-v2, provider: whatsapp-v2, base_url: "http://%s/v2", sender: "+15550004444",
     access_token: demo-v2-token, app_secret: demo-v2-secret, verify_token: demo-v2-verify}
  - {id: demo-onprem, provider: whatsapp-onprem, base_url: "http://%s", sender: "+15550005555",
     username: demo, password: Demo-password-1, wa_api_key: demo-onprem-monitor, namespace: demo_namespace, callback_token: demo-onprem-callbacks}
`, api, api, hex.EncodeToString(hash[:]), simulator, simulator, simulator, simulator, simulator, simulator)
	c, err := config.Parse([]byte(text), ".", []string{"SLUICE_REDIS_URL=" + redisURL})
	if err != nil {
		return nil, fmt.Errorf("configuration of the demonstration: %w", err)
	}
	return c, nil
}

func welcome(w io.Writer, api, simulator string, r *redis) {
	post := func(account string) string {
		return fmt.Sprintf(`curl -sS http://%s/v1/messages -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' `+
			`-d '{"account":"%s","to":"+46732001122","type":"text","text":{"body":"Hello from Sluice"}}'`, api, Key, account)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nSluice is running; Ctrl-C drains and stops.\n\n")
	fmt.Fprintf(&b, "  API        http://%s\n", api)
	fmt.Fprintf(&b, "  API key    %s\n", Key)
	fmt.Fprintf(&b, "  Accounts   demo-cloud, demo-sinch, demo-conversation, demo-v2, demo-onprem\n")
	fmt.Fprintf(&b, "  Simulator  http://%s/_sim/messages\n", simulator)
	fmt.Fprintf(&b, "  Redis      %s\n", r.kind)
	if r.warn != "" {
		fmt.Fprintf(&b, "\n  Warning: %s\n", r.warn)
	}
	fmt.Fprintf(&b, "\nSend a WhatsApp text through the simulated Cloud API:\n\n  %s\n", post("demo-cloud"))
	fmt.Fprintf(&b, "\nSend one through the simulated Sinch WhatsApp API:\n\n  %s\n", post("demo-sinch"))
	fmt.Fprintf(&b, "\nSee what became of it, with the id from the answer:\n\n  curl -sS http://%s/v1/messages/ID -H 'Authorization: Bearer %s'\n\n", api, Key)
	_, _ = io.WriteString(w, b.String())
}
