package provisioning_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/configedit"
	"sluice/internal/gateway"
	"sluice/internal/provisioning"
)

// sender is one that may send; change makes it another.
func sender(id, number string, change func(*provisioning.Sender)) *provisioning.Sender {
	s := &provisioning.Sender{
		ID: id, State: "ACTIVE", MaxTPS: 10, QualityRating: "GREEN", Region: "EU", CountryCode: "46", PhoneNumber: number,
		AppDetails: provisioning.ConversationApp{ID: "01HAPP", ProjectID: project, Region: "EU", ChannelStatus: "ACTIVE"},
	}
	if change != nil {
		change(s)
	}
	return s
}

func conversation(id gateway.AccountID, number string, paused bool) provisioning.Known {
	return provisioning.Known{
		ID: id, Provider: gateway.SinchConversation, Sender: gateway.SenderNumber(number), Project: project, App: "01HAPP", Paused: paused,
	}
}

func TestSync(t *testing.T) {
	for _, c := range []struct {
		name    string
		file    string
		known   []provisioning.Known
		senders []*provisioning.Sender
		text    string
		want    string // the file; empty: unchanged
	}{
		{
			name:    "what is as it should be stays",
			file:    "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - {id: a, rate: 10.0}\n",
			known:   []provisioning.Known{conversation("a", "+461", false)},
			senders: []*provisioning.Sender{sender("s-1", "1", nil)},
		},
		{
			name:    "the rate is maxTps, and a comment tells the health",
			file:    "accounts:\n  - id: a\n    rate: 80 # mine\n",
			known:   []provisioning.Known{conversation("a", "+461", false)},
			senders: []*provisioning.Sender{sender("s-1", "1", nil)},
			text: `~ a (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    - rate: 80
    + rate: 10
    + # Sinch sender s-1: ACTIVE, quality GREEN
`,
			want: "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - id: a\n    rate: 10 # mine\n",
		},
		{
			name:  "an account of the old API is found by its bot, and is paused when the sender may not send",
			file:  "accounts:\n  - id: a\n    bot_id: s-1\n",
			known: []provisioning.Known{{ID: "a", Provider: gateway.SinchWhatsApp, Bot: "s-1"}},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) {
				s.State, s.QualityRating = "SUSPENDED", "RED"
			})},
			text: `~ a (sinch-whatsapp, sender s-1, SUSPENDED, quality RED)
    + paused: true
    + rate: 10
    + # Sinch sender s-1: SUSPENDED, quality RED; paused by sync
    ! quality is RED: the provider may restrict or block this sender
`,
			want: "accounts:\n  # Sinch sender s-1: SUSPENDED, quality RED; paused by sync\n  - id: a\n    bot_id: s-1\n    paused: true\n    rate: 10\n",
		},
		{
			name:    "a pause of ours stays while it must",
			file:    "accounts:\n  # Sinch sender s-1: ERROR, quality GREEN; paused by sync\n  - {id: a, rate: 10, paused: true}\n",
			known:   []provisioning.Known{conversation("a", "+461", true)},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) { s.State = "ERROR" })},
		},
		{
			name:    "a pause of ours ends",
			file:    "accounts:\n  # Sinch sender s-1: ERROR, quality GREEN; paused by sync\n  - {id: a, rate: 10, paused: true}\n",
			known:   []provisioning.Known{conversation("a", "+461", true)},
			senders: []*provisioning.Sender{sender("s-1", "1", nil)},
			text: `~ a (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    - paused: true
    + paused: false
    - # Sinch sender s-1: ERROR, quality GREEN; paused by sync
    + # Sinch sender s-1: ACTIVE, quality GREEN
`,
			want: "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - {id: a, rate: 10, paused: false}\n",
		},
		{
			name:    "an operator's pause stays",
			file:    "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - {id: a, rate: 10, paused: true}\n",
			known:   []provisioning.Known{conversation("a", "+461", true)},
			senders: []*provisioning.Sender{sender("s-1", "1", nil)},
			text: `~ a (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    ! paused by hand; it stays so
`,
		},
		{
			name:    "an operator's pause doesn't become ours",
			file:    "accounts:\n  # Sinch sender s-1: ERROR, quality GREEN\n  - {id: a, rate: 10, paused: true}\n",
			known:   []provisioning.Known{conversation("a", "+461", true)},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) { s.State = "ERROR" })},
		},
		{
			name:  "references stay",
			file:  "accounts:\n  # Sinch sender s-1: ERROR, quality GREEN\n  - {id: a, rate: \"${RATE}\", paused: \"${PAUSED}\"}\n",
			known: []provisioning.Known{conversation("a", "+461", false)},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) {
				s.State = "ERROR"
			})},
			text: `~ a (sinch-conversation, sender s-1, ERROR, quality GREEN)
    ! paused is a reference and stays as it is
    ! rate is a reference and stays as it is; maxTps is 10
`,
		},
		{
			name:    "an app whose channel fails is paused too",
			file:    "accounts:\n  - {id: a, rate: 10}\n",
			known:   []provisioning.Known{conversation("a", "", false)},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) { s.AppDetails.ChannelStatus = "FAILING" })},
			text: `~ a (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    + paused: true
    + # Sinch sender s-1: ACTIVE, quality GREEN, channel FAILING; paused by sync
`,
			want: "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN, channel FAILING; paused by sync\n  - {id: a, rate: 10, paused: true}\n",
		},
		{
			name:    "rates that the configuration can't have",
			file:    "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - {id: a, rate: 10}\n  # Sinch sender s-2: ACTIVE, quality GREEN\n  - {id: b, rate: 10}\n",
			known:   []provisioning.Known{conversation("a", "+461", false), conversation("b", "+462", false)},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) { s.MaxTPS = 0 }), sender("s-2", "2", func(s *provisioning.Sender) { s.MaxTPS = 0.5 })},
			text: `~ a (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    ! the provider tells no maxTps; the rate is left to the configuration
~ b (sinch-conversation, sender s-2, ACTIVE, quality GREEN)
    - rate: 10
    + rate: 1
    ! maxTps is 0.5, below the least rate there is
`,
			want: "accounts:\n  # Sinch sender s-1: ACTIVE, quality GREEN\n  - {id: a, rate: 10}\n  # Sinch sender s-2: ACTIVE, quality GREEN\n  - {id: b, rate: 1}\n",
		},
		{
			name:    "a sender without an account gets one",
			file:    "a: 1\n",
			senders: []*provisioning.Sender{sender("s-1", "732001122", nil)},
			text: `+ sinch-46732001122 (sinch-conversation, sender s-1, ACTIVE, quality GREEN)
    + # Sinch sender s-1: ACTIVE, quality GREEN
    + id: sinch-46732001122
    + provider: sinch-conversation
    + region: eu
    + project_id: 11111111-2222-3333-4444-555555555555
    + app_id: 01HAPP
    + key_id: ${SHOP_KEY_ID}
    + key_secret: ${SHOP_KEY_SECRET}
    + sender: +46732001122
    + rate: 10
`,
			want: `a: 1

accounts:
  # Sinch sender s-1: ACTIVE, quality GREEN
  - id: sinch-46732001122
    provider: sinch-conversation
    region: eu
    project_id: 11111111-2222-3333-4444-555555555555
    app_id: 01HAPP
    key_id: "${SHOP_KEY_ID}"
    key_secret: "${SHOP_KEY_SECRET}"
    sender: "+46732001122"
    rate: 10
`,
		},
		{
			name:  "a new account is paused if its sender may not send, and has an id of its own",
			file:  "accounts:\n- id: sinch-461\n",
			known: []provisioning.Known{{ID: "sinch-461", Provider: gateway.WhatsAppCloud, Sender: "+461"}},
			senders: []*provisioning.Sender{sender("s-1", "1", func(s *provisioning.Sender) {
				s.State, s.QualityRating, s.MaxTPS, s.AppDetails.Region = "IN_PROGRESS", "", 200_000, "BR"
			})},
			text: `+ sinch-461-2 (sinch-conversation, sender s-1, IN_PROGRESS, quality UNKNOWN)
    + # Sinch sender s-1: IN_PROGRESS, quality UNKNOWN; paused by sync
    + id: sinch-461-2
    + provider: sinch-conversation
    + region: br
    + project_id: 11111111-2222-3333-4444-555555555555
    + app_id: 01HAPP
    + key_id: ${SHOP_KEY_ID}
    + key_secret: ${SHOP_KEY_SECRET}
    + sender: +461
    + rate: 100000
    + paused: true
    ! maxTps is 200000, above the highest rate there is
`,
			want: `accounts:
- id: sinch-461

# Sinch sender s-1: IN_PROGRESS, quality UNKNOWN; paused by sync
- id: sinch-461-2
  provider: sinch-conversation
  region: br
  project_id: 11111111-2222-3333-4444-555555555555
  app_id: 01HAPP
  key_id: "${SHOP_KEY_ID}"
  key_secret: "${SHOP_KEY_SECRET}"
  sender: "+461"
  rate: 100000
  paused: true
`,
		},
		{
			name:  "what no account can be made from, and accounts without a sender, are left to people",
			file:  "accounts:\n  - id: a\n  - id: b\n",
			known: []provisioning.Known{conversation("a", "+469", false), {ID: "b", Provider: gateway.SinchConversation, Project: "other", Sender: "+461"}},
			senders: []*provisioning.Sender{
				sender("s-1", "1", func(s *provisioning.Sender) { s.AppDetails = provisioning.ConversationApp{} }),
				sender("s-2", "2", func(s *provisioning.Sender) { s.CountryCode = "SE" }),
				sender("s-3", "3", func(s *provisioning.Sender) { s.AppDetails.Region = "MARS" }),
				sender("s 4\n", "4", func(s *provisioning.Sender) { s.AppDetails.ID = "${EVIL}" }),
			},
			text: `! sender s-1: is linked to no Conversation app; no account is made
! sender s-2: its number can't be read; no account is made
! sender s-3: its app's id or region can't be read; no account is made
! sender ?: its app's id or region can't be read; no account is made
! account a: the project has no such sender; it stays as it is
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, err := configedit.Parse([]byte(c.file))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := provisioning.Sync(file, c.known, c.senders, project, "SHOP")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.text, plan.Text()); diff != "" {
				t.Errorf("difference (-want +got):\n%s", diff)
			}
			got, err := file.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				c.want = c.file
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
			if file.Changed() != (c.want != c.file) {
				t.Errorf("changed: %v", file.Changed())
			}
		})
	}
}

func TestASecondSyncChangesNothing(t *testing.T) {
	senders := []*provisioning.Sender{
		sender("s-1", "1", nil),
		sender("s-2", "2", func(s *provisioning.Sender) { s.State = "SUSPENDED" }),
	}
	first, err := configedit.Parse([]byte("accounts: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provisioning.Sync(first, nil, senders, project, "SINCH"); err != nil {
		t.Fatal(err)
	}
	text, err := first.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	second, err := configedit.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	known := []provisioning.Known{conversation("sinch-461", "+461", false), conversation("sinch-462", "+462", true)}
	plan, err := provisioning.Sync(second, known, senders, project, "SINCH")
	if err != nil {
		t.Fatal(err)
	}
	if second.Changed() || plan.Text() != "" {
		t.Errorf("changed: %s", plan.Text())
	}
}

func TestAValueThatCannotBeChangedStopsSync(t *testing.T) {
	file, err := configedit.Parse([]byte("r: &r 5\naccounts:\n  - {id: a, rate: *r}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = provisioning.Sync(file, []provisioning.Known{conversation("a", "+461", false)}, []*provisioning.Sender{sender("s-1", "1", nil)}, project, "SINCH")
	if err == nil {
		t.Error("no error")
	}
}
