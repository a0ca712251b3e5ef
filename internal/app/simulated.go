package app

import (
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/simulator"
)

const (
	// simulatedRetention is how long the Conversation API is simulated to list
	// what was sent.
	simulatedRetention = time.Hour
	// simulatedWABA is the WhatsApp Business Account that a project has in the
	// Provisioning API, so that it is ready.
	simulatedWABA = "102290129340398"
)

// SimulatedAccounts are the provider's ends of the accounts that the simulator
// has a dialect for: what it must accept, where it reports to, and how it signs
// what it reports.
func SimulatedAccounts(c *config.Config) []simulator.Account {
	var accounts []simulator.Account
	for _, a := range c.Accounts {
		s := simulator.Account{ID: string(a.ID), Number: string(a.Sender), Rate: int(c.GatewayAccount(a).Rate)}
		if c.API.PublicURL != "" {
			s.CallbackURL = c.API.PublicURL + "/callbacks/" + string(a.ID)
		}
		switch a.Provider {
		case gateway.WhatsAppCloud:
			s.Dialect, s.SenderID, s.BusinessID = simulator.WhatsAppCloud, a.PhoneNumberID, a.WABAID
			s.Token, s.Secret, s.VerifyToken = string(a.AccessToken), string(a.AppSecret), string(a.VerifyToken)
		case gateway.SinchWhatsApp:
			s.Dialect, s.SenderID = simulator.SinchWhatsApp, a.BotID
			s.Token, s.Secret = string(a.Token), string(a.CallbackSecret)
		case gateway.WhatsAppV2:
			s.Dialect, s.SenderID = simulator.WhatsAppV2, string(a.ID)
			s.Token, s.Secret, s.VerifyToken = string(a.AccessToken), string(a.AppSecret), string(a.VerifyToken)
		case gateway.WhatsAppOnPrem:
			s.Dialect, s.SentCallbacks = simulator.WhatsAppOnPrem, true
			s.Username, s.Password, s.Token, s.APIKey = a.Username, string(a.Password), string(a.Token), string(a.APIKey)
			s.FirstLogin = a.NewPassword != ""
			s.MonitorKey, s.Namespace, s.CallbackToken = string(a.WAAPIKey), a.Namespace, string(a.CallbackToken)
		case gateway.SinchConversation:
			s.Dialect, s.Region, s.Retention = simulator.SinchConversation, strings.ToUpper(a.Region), simulatedRetention
			s.BusinessID, s.Token = simulatedWABA, "bearer-token-of-"+string(a.ID)
			s.ProjectID, s.AppID, s.KeyID, s.KeySecret = a.ProjectID, a.AppID, a.KeyID, string(a.KeySecret)
			s.WebhookSecret = string(a.WebhookSecret)
		}
		accounts = append(accounts, s)
	}
	return accounts
}
