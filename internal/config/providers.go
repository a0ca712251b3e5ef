package config

import "sluice/internal/gateway"

// providerKeys is what one provider's accounts take beside what every account
// takes.
type providerKeys struct {
	required []string
	optional []string
	regions  []string // values of region
	baseURL  string   // where the file has none; "{region}" stands for the region
	identity []string // the keys that say who sends, besides the provider
	uploads  bool     // files can be sent by an id that an upload gave
}

// keysOf says what a provider's accounts take; false: there is no such
// provider. What only its callbacks need is optional: an account may send
// without them, and its callbacks are refused then.
func keysOf(p gateway.ProviderName) (providerKeys, bool) {
	switch p {
	case gateway.WhatsAppCloud:
		return providerKeys{
			required: []string{"phone_number_id", "access_token"},
			optional: []string{"waba_id", "app_secret", "verify_token"},
			baseURL:  "https://graph.facebook.com/v23.0",
			identity: []string{"phone_number_id"},
			uploads:  true,
		}, true
	case gateway.WhatsAppV2:
		return providerKeys{
			required: []string{"access_token"},
			optional: []string{"app_secret", "verify_token"},
			baseURL:  "https://api.whatsapp.com/v2",
			identity: []string{"base_url", "sender"},
		}, true
	case gateway.WhatsAppOnPrem:
		return providerKeys{
			required: []string{"base_url"},
			optional: []string{
				"username", "password", "new_password", "token", "api_key", "namespace", "wa_api_key", "ca_file",
				"callback_token", "callback_allow",
			},
			identity: []string{"base_url", "sender"},
			uploads:  true,
		}, true
	case gateway.SinchWhatsApp:
		return providerKeys{
			required: []string{"region", "bot_id", "token"},
			optional: []string{"callback_secret"},
			regions:  []string{"us1", "eu1"},
			baseURL:  "https://{region}.whatsapp.api.sinch.com",
			identity: []string{"region", "bot_id"},
		}, true
	case gateway.SinchConversation:
		return providerKeys{
			required: []string{"region", "project_id", "app_id", "key_id", "key_secret"},
			optional: []string{"auth_url", "webhook_secret"},
			regions:  []string{"us", "eu", "br"},
			baseURL:  "https://{region}.conversation.api.sinch.com",
			identity: []string{"project_id", "app_id", "sender"},
		}, true
	default:
		return providerKeys{}, false
	}
}

// providerOnly are the keys that not every account takes. base_url is one that
// every account takes, though one provider requires it.
func providerOnly() map[string]bool {
	only := map[string]bool{}
	for _, p := range gateway.ProviderNames() {
		keys, _ := keysOf(p)
		for _, k := range append(keys.required, keys.optional...) {
			only[k] = k != "base_url"
		}
	}
	return only
}
