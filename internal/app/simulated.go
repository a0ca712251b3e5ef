package app

import (
	"sluice/internal/config"
	"sluice/internal/gateway"
	"sluice/internal/simulator"
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
		case gateway.WhatsAppV2, gateway.WhatsAppOnPrem, gateway.SinchConversation:
			continue
		}
		accounts = append(accounts, s)
	}
	return accounts
}
