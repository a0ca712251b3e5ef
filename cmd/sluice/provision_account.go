package main

import (
	"errors"
	"strings"

	"sluice/internal/provisioning"
)

type provisionAccount struct {
	Get    accountGet    `cmd:"" default:"1" help:"Show the account."`
	Create accountCreate `cmd:"" help:"Create the account; a project has one."`
	Update accountUpdate `cmd:"" help:"Change an account that was rejected."`
}

type accountGet struct{}

// Run shows the account.
func (accountGet) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	a, err := client.Account(s.ctx)
	if err != nil {
		return err
	}
	return showAccount(s, p, a)
}

// accountData is what an account is made from.
type accountData struct {
	WABAName                string     `name:"waba-name" help:"The name of the WhatsApp Business Account."`
	ClientBusinessManagerID string     `name:"client-business-manager-id" placeholder:"ID" help:"The client's business manager at Meta."`
	BusinessManager         string     `help:"Sinch's business manager, such as SINCH_UK."`
	DisplayName             string     `help:"The first sender's display name."`
	BusinessCategory        string     `help:"The first sender's business category."`
	Region                  string     `help:"The first sender's region: BR, EU or US."`
	MetaLocalStorage        string     `help:"Where Meta keeps the first sender's data."`
	Data                    jsonObject `placeholder:"JSON|@FILE" help:"More members of the request, or all of it."`
}

func (d accountData) request() provisioning.AccountRequest {
	r := provisioning.AccountRequest{
		WABAName: d.WABAName, ClientBusinessManagerID: d.ClientBusinessManagerID, BusinessManager: d.BusinessManager,
		Extra: provisioning.Extra(d.Data),
	}
	details := provisioning.AccountSenderDetails{
		DisplayName: d.DisplayName, BusinessCategory: d.BusinessCategory, Region: d.Region, MetaLocalStorage: d.MetaLocalStorage,
	}
	if details != (provisioning.AccountSenderDetails{}) {
		r.SenderDetails = &details
	}
	return r
}

// Validate wants something to send.
func (d accountData) Validate() error {
	r := d.request()
	if len(r.Extra) == 0 && r.SenderDetails == nil && r.WABAName == "" && r.ClientBusinessManagerID == "" && r.BusinessManager == "" {
		return errors.New("nothing to send: give flags or --data")
	}
	return nil
}

type accountCreate struct{ accountData }

// Run creates the account.
func (c accountCreate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	a, err := client.CreateAccount(s.ctx, c.request())
	if err != nil {
		return err
	}
	return showAccount(s, p, a)
}

type accountUpdate struct{ accountData }

// Run changes the account.
func (c accountUpdate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	a, err := client.UpdateAccount(s.ctx, c.request())
	if err != nil {
		return err
	}
	return showAccount(s, p, a)
}

func showAccount(s *session, p *provisionCommand, a *provisioning.Account) error {
	return showOne(s, p, a.Raw, []row{
		{"state", a.State},
		{"waba id", a.WABAID},
		{"waba name", a.WABAName},
		{"daily limit", a.BusinessDailyLimit},
		{"ban", strings.TrimSpace(a.WABABanState + " " + a.WABABanDate)},
		{"insights", yesNo(a.WABAEnabledForInsights)},
		{"business manager", a.BusinessManager},
		{"regions", strings.Join(a.CompatibleRegions, ", ")},
		{"currency", a.Currency},
		{"changes", a.Changes.Status},
	})
}

type provisionAnalytics struct{}

// Run turns the statistics on.
func (provisionAnalytics) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := client.EnableTemplateAnalytics(s.ctx); err != nil {
		return err
	}
	return done(s, p, map[string]bool{"enabled": true}, "template analytics are enabled")
}

type provisionLongLivedToken struct {
	FacebookCode    string `env:"FACEBOOK_CODE" xor:"grant" required:"" placeholder:"CODE" help:"The code of the embedded signup."`
	FacebookToken   string `env:"FACEBOOK_TOKEN" xor:"grant" required:"" placeholder:"TOKEN" help:"The token of the embedded signup, or another long-lived one."`
	BusinessManager string `help:"Sinch's business manager, such as SINCH_UK."`
}

// Run exchanges the code or token.
func (c provisionLongLivedToken) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	token, err := client.LongLivedToken(s.ctx, provisioning.FacebookGrant{
		Code: provisioning.Secret(c.FacebookCode), Token: provisioning.Secret(c.FacebookToken), BusinessManager: c.BusinessManager,
	})
	if err != nil {
		return err
	}
	shown := p.reveal(token)
	return done(s, p, map[string]string{"longLivedAccessToken": shown}, shown)
}

type provisionWABADetails struct {
	FacebookToken string `env:"FACEBOOK_TOKEN" required:"" placeholder:"TOKEN" help:"The token of the embedded signup."`
}

// Run lists the business accounts and their numbers.
func (c provisionWABADetails) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	wabas, err := client.WABADetails(s.ctx, provisioning.Secret(c.FacebookToken))
	if err != nil {
		return err
	}
	documents, rows := []any{}, []row{{"WABA", "NUMBER ID", "NUMBER", "PROVISIONED"}}
	for _, w := range wabas {
		documents = append(documents, p.document(w.Raw))
		if len(w.Numbers) == 0 {
			rows = append(rows, row{w.ID, "", "", ""})
		}
		for _, n := range w.Numbers {
			rows = append(rows, row{w.ID, n.ID, n.DisplayPhoneNumber, yesNo(n.Provisioned)})
		}
	}
	if p.JSON {
		return printJSON(s.stdout, documents)
	}
	return printTable(s.stdout, rows)
}
