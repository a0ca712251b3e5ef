package gateway

import (
	"testing"
	"time"
)

func TestStandingDecidesWhetherToSend(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	entry := func(scope SuppressionScope, until time.Time) Standing {
		return Standing{Suppressed: []Suppressed{{Scope: scope, Until: until, Reason: "opt-out"}}}
	}
	text := Content{Type: TypeText, Text: &Text{Body: "x"}}
	template := Content{Type: TypeTemplate, Template: &Template{Name: "x"}}
	for _, c := range []struct {
		name     string
		standing Standing
		account  Account
		message  Message
		want     string // code
	}{
		{name: "a stranger may be written to"},
		{name: "one who opted out isn't", standing: entry(SuppressAll, time.Time{}), want: "suppressed"},
		{name: "not even by template", standing: entry(SuppressAll, time.Time{}), message: Message{Content: template}, want: "suppressed"},
		{name: "one who wants no marketing gets a receipt", standing: entry(SuppressMarketing, time.Time{}), message: Message{Priority: Transactional}},
		{name: "but no bulk", standing: entry(SuppressMarketing, time.Time{}), message: Message{Priority: Bulk}, want: "suppressed_marketing"},
		{name: "one on cooldown is left alone", standing: entry(SuppressCooldown, now.Add(time.Second)), want: "cooldown"},
		{name: "until it is over", standing: entry(SuppressCooldown, now)},
		{name: "outside the window it's the provider who judges"},
		{name: "unless the account says otherwise", account: Account{NeedsWindow: true}, want: "outside_window"},
		{name: "a template may go out then", account: Account{NeedsWindow: true}, message: Message{Content: template}},
		{
			name: "inside the window anything may", account: Account{NeedsWindow: true},
			standing: Standing{LastInbound: now.Add(-23 * time.Hour)},
		},
		{
			name: "its last minutes don't count", account: Account{NeedsWindow: true},
			standing: Standing{LastInbound: now.Add(-24*time.Hour + WindowMargin)}, want: "outside_window",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.message.Content.Type == "" {
				c.message.Content = text
			}
			got := ""
			if err := c.standing.Refuse(&c.account, &c.message, now); err != nil {
				got = err.Code
			}
			if got != c.want {
				t.Errorf("refused with %q, want %q", got, c.want)
			}
		})
	}
}

func TestConsentIsReadFromOneWord(t *testing.T) {
	for _, c := range []struct {
		text  string
		words []string
		want  Consent
	}{
		{"STOP", nil, ConsentStop},
		{" stop. ", nil, ConsentStop},
		{"Stop!!! 🙏", nil, ConsentStop},
		{"STOP ALL", nil, ConsentStop},
		{"arrêt", nil, ConsentStop},
		{"стоп", nil, ConsentStop},
		{"停止", nil, ConsentStop},
		{"start", nil, ConsentStart},
		{"please don't stop", nil, ""},
		{"bus stop", nil, ""},
		{"", nil, ""},
		{"🛑", nil, ""},
		{"STOP", []string{"GENUG"}, ""},
		{"genug", []string{"GENUG"}, ConsentStop},
		{"start", []string{"GENUG"}, ConsentStart},
	} {
		if got := ReadConsent(c.text, c.words); got != c.want {
			t.Errorf("%q with %q is read as %q, want %q", c.text, c.words, got, c.want)
		}
	}
}
