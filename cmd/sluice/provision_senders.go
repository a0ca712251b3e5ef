package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"sluice/internal/provisioning"
)

type provisionSenders struct {
	Ls     sendersLs     `cmd:"" default:"withargs" help:"List the senders, or --sync the configuration with them."`
	Get    sendersGet    `cmd:"" help:"Show a sender."`
	Create sendersCreate `cmd:"" help:"Create a sender."`
	Update sendersUpdate `cmd:"" help:"Change an active sender."`
	Rm     sendersRm     `cmd:"" help:"Give a sender up; it stays active for 30 days."`

	Register sendersRegister `cmd:"" help:"Have a verification code sent to a sender's number."`
	Verify   sendersVerify   `cmd:"" help:"Hand in the code that register had sent."`
}

type sendersLs struct {
	State    []string `placeholder:"STATE" help:"Only senders in these states, such as ACTIVE."`
	Status   []string `placeholder:"STATUS" help:"Only senders whose changes are in these states, such as DRAFT."`
	PageSize int      `placeholder:"N" help:"Senders asked for at a time, 1 to 100."`
	senderSync
}

// Validate keeps the two uses of the command apart.
func (c sendersLs) Validate() error {
	switch {
	case c.PageSize < 0 || c.PageSize > 100:
		return errors.New("--page-size must be from 1 to 100")
	case c.Sync && len(c.State)+len(c.Status) > 0:
		return errors.New("--sync looks at all senders: leave out --state and --status")
	default:
		return c.validate()
	}
}

// Run lists or writes the senders.
func (c sendersLs) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	all := client.Senders(s.ctx, provisioning.SenderFilter{States: c.State, Statuses: c.Status, PageSize: c.PageSize})
	if c.Sync {
		return c.run(s, p, all, standardInput())
	}
	return showAll(s, p, all, func(x *provisioning.Sender) provisioning.Document { return x.Raw },
		row{"ID", "NUMBER", "NAME", "STATE", "QUALITY", "MAX TPS", "REGION", "APP"},
		func(x *provisioning.Sender) row {
			return row{x.ID, x.Number(), x.Name(), x.State, x.QualityRating, tps(x), x.Region, x.App().ID}
		})
}

func tps(x *provisioning.Sender) string {
	if x.MaxTPS == 0 {
		return ""
	}
	return strconv.FormatFloat(x.MaxTPS, 'f', -1, 64)
}

func showSender(s *session, p *provisionCommand, x *provisioning.Sender) error {
	app := x.App()
	return showOne(s, p, x.Raw, []row{
		{"id", x.ID},
		{"number", x.Number()},
		{"name", x.Name()},
		{"state", x.State},
		{"quality", x.QualityRating},
		{"max tps", tps(x)},
		{"region", x.Region},
		{"app", app.ID},
		{"app region", app.Region},
		{"app channel", app.ChannelStatus},
		{"bearer token", p.reveal(x.BearerToken)},
		{"changes", x.Changes.Status},
		{"changes error", x.Changes.ErrorCode},
		{"created", x.Created},
		{"modified", x.Modified},
	})
}

type sendersGet struct {
	ID string `arg:"" help:"The sender."`
}

// Run shows the sender.
func (c sendersGet) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	x, err := client.Sender(s.ctx, c.ID)
	if err != nil {
		return err
	}
	return showSender(s, p, x)
}

type sendersCreate struct {
	WABAID              string     `name:"waba-id" placeholder:"ID" help:"Embedded signup: the business account."`
	PhoneNumberID       string     `name:"phone-number-id" placeholder:"ID" help:"Embedded signup: the number's id at Meta."`
	Region              string     `help:"Embedded signup: BR, EU or US."`
	MetaLocalStorage    string     `help:"Where Meta keeps the sender's data."`
	BusinessManager     string     `help:"Sinch's business manager, such as SINCH_UK."`
	AuthenticationCode  string     `env:"SINCH_AUTHENTICATION_CODE" placeholder:"CODE" help:"The number's two-step code."`
	PhoneNumberProvider string     `help:"Who brings the number: CUSTOMER or SINCH."`
	CountryCode         string     `help:"A number to be provisioned: the country's code."`
	PhoneNumber         string     `help:"A number to be provisioned: the rest of it."`
	DisplayName         string     `help:"The name that recipients see."`
	Vertical            string     `help:"The sender's line of business."`
	Status              string     `help:"DRAFT or SUBMIT."`
	SaveDraftOnFailure  bool       `help:"Keep a draft if the provider refuses."`
	Data                jsonObject `placeholder:"JSON|@FILE" help:"More members of the request, or all of it."`
}

func (c sendersCreate) request() provisioning.SenderRequest {
	return provisioning.SenderRequest{
		WABAID: c.WABAID, PhoneNumberID: c.PhoneNumberID, Region: c.Region, MetaLocalStorage: c.MetaLocalStorage,
		BusinessManager: c.BusinessManager, AuthenticationCode: c.AuthenticationCode, PhoneNumberProvider: c.PhoneNumberProvider,
		Details: provisioning.SenderDetails{
			CountryCode: c.CountryCode, PhoneNumber: c.PhoneNumber, DisplayName: c.DisplayName, Vertical: c.Vertical,
		},
		Status: c.Status, SaveDraftOnFailure: c.SaveDraftOnFailure, Extra: provisioning.Extra(c.Data),
	}
}

// Validate wants something that a sender can be made from.
func (c sendersCreate) Validate() error {
	if c.WABAID == "" && c.PhoneNumber == "" && len(c.Data) == 0 {
		return errors.New("needs --waba-id with --phone-number-id and --region, or --country-code with --phone-number, or --data")
	}
	return nil
}

// Run creates the sender.
func (c sendersCreate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	x, err := client.CreateSender(s.ctx, c.request())
	if err != nil {
		return err
	}
	return showSender(s, p, x)
}

type sendersUpdate struct {
	ID          string     `arg:"" help:"The sender."`
	DisplayName string     `help:"The name that recipients see."`
	Details     jsonObject `placeholder:"JSON|@FILE" help:"What changes; null clears a member."`
	Submit      bool       `help:"Submit the change; else it is a draft."`
	Data        jsonObject `placeholder:"JSON|@FILE" help:"More members of the request, or all of it."`
}

// Validate wants something to change.
func (c sendersUpdate) Validate() error {
	if c.DisplayName == "" && len(c.Details)+len(c.Data) == 0 && !c.Submit {
		return errors.New("nothing to change: give --display-name, --details, --submit or --data")
	}
	return nil
}

// Run changes the sender.
func (c sendersUpdate) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	r := provisioning.SenderUpdate{Details: c.Details, Extra: provisioning.Extra(c.Data)}
	if c.Submit {
		r.Status = "SUBMIT"
	}
	if c.DisplayName != "" {
		name, err := json.Marshal(c.DisplayName)
		if err != nil {
			return err
		}
		if r.Details == nil {
			r.Details = map[string]json.RawMessage{}
		}
		r.Details["displayName"] = name
	}
	x, err := client.UpdateSender(s.ctx, c.ID, r)
	if err != nil {
		return err
	}
	return showSender(s, p, x)
}

type sendersRm struct {
	ID string `arg:"" help:"The sender."`
}

// Run gives the sender up.
func (c sendersRm) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := client.DeleteSender(s.ctx, c.ID); err != nil {
		return err
	}
	return done(s, p, map[string]string{"deleted": c.ID}, fmt.Sprintf("sender %s is deleted; it stays active for 30 days", c.ID))
}

type sendersRegister struct {
	ID     string `arg:"" help:"The sender."`
	Method string `default:"SMS" enum:"SMS,VOICE" help:"How the code comes: SMS or VOICE."`
}

// Run has the code sent.
func (c sendersRegister) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	r, err := client.RegisterSender(s.ctx, c.ID, c.Method)
	if err != nil {
		return err
	}
	return showOne(s, p, r.Raw, []row{
		{"id", r.ID},
		{"method", r.Method},
		{"accepted", yesNo(r.Accepted)},
		{"code sent", yesNo(r.CodeSent)},
	})
}

type sendersVerify struct {
	ID   string `arg:"" help:"The sender."`
	Code string `arg:"" help:"The code."`
}

// Run hands the code in.
func (c sendersVerify) Run(s *session, p *provisionCommand) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	if err := client.VerifySender(s.ctx, c.ID, provisioning.Secret(c.Code)); err != nil {
		return err
	}
	return done(s, p, map[string]string{"verified": c.ID}, fmt.Sprintf("sender %s is verified", c.ID))
}
