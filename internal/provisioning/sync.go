package provisioning

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/configedit"
	"sluice/internal/gateway"
)

// Known is an account of the configuration, references resolved.
type Known struct {
	ID       gateway.AccountID
	Provider gateway.ProviderName
	Sender   gateway.SenderNumber
	Project  string
	App      string
	Bot      string
	Paused   bool
}

// Plan is how the configuration differs from the project's senders.
type Plan struct {
	Changes []Change `json:"changes"`
	Notes   []string `json:"notes"` // what is left to people
}

// Change is what becomes of one account.
type Change struct {
	Account  gateway.AccountID    `json:"account"`
	Provider gateway.ProviderName `json:"provider"`
	Sender   string               `json:"sender"`
	State    string               `json:"state"`
	Quality  string               `json:"quality"`
	New      bool                 `json:"new"`
	Fields   []FieldChange        `json:"fields"` // none: only notes
	Notes    []string             `json:"notes,omitempty"`
}

// FieldChange is what becomes of one key. From is empty if the file says
// nothing so far.
type FieldChange struct {
	Key  string `json:"key"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// What the configuration takes for a rate.
const (
	leastRate = 1
	mostRate  = 100_000
)

// pausedBySync ends the comment of an account that Sync has paused, so that it
// resumes that one and none that an operator has paused.
const pausedBySync = "; paused by sync"

// commentKey stands in a FieldChange for the comment above the account.
const commentKey = "#"

// Sync changes the file's accounts to what the project's senders are: rate is
// maxTps, an account whose sender may not send is paused, and a comment above
// each tells state and quality, for which the configuration has no keys. A
// sender with a Conversation app and without an account gets one, whose
// credentials are the variables {prefix}_KEY_ID and {prefix}_KEY_SECRET.
// Nothing is removed. known are the file's accounts in its order.
func Sync(file *configedit.File, known []Known, senders []*Sender, project, prefix string) (Plan, error) {
	p := planner{project: project, prefix: prefix, file: file, known: known, plan: Plan{Changes: []Change{}, Notes: []string{}}}
	if len(known) != len(file.Accounts()) {
		return p.plan, fmt.Errorf("the file has %d accounts that can be changed, of %d", len(file.Accounts()), len(known))
	}
	matched := map[int]bool{}
	for _, s := range senders {
		found := false
		for i, k := range known {
			if p.isOf(k, s) {
				found, matched[i] = true, true
				if err := p.update(i, s); err != nil {
					return p.plan, err
				}
			}
		}
		if !found {
			p.add(s)
		}
	}
	for i, k := range known {
		if k.Provider == gateway.SinchConversation && k.Project == project && !matched[i] {
			p.note("account %s: the project has no such sender; it stays as it is", k.ID)
		}
	}
	return p.plan, nil
}

type planner struct {
	project, prefix string
	file            *configedit.File
	known           []Known
	plan            Plan
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, plain(fmt.Sprintf(format, args...)))
}

// isOf reports whether the account sends as the sender. That the sender's id
// is the bot's is what the two APIs' documents suggest.
func (p *planner) isOf(k Known, s *Sender) bool {
	app := s.App()
	switch k.Provider {
	case gateway.SinchConversation:
		if k.Project != cmp.Or(app.ProjectID, p.project) {
			return false
		}
		if k.Sender == "" {
			return k.App != "" && k.App == app.ID
		}
		return string(k.Sender) == s.Number()
	case gateway.SinchWhatsApp:
		return k.Bot != "" && k.Bot == s.ID
	default:
		return false
	}
}

// mark begins the comment of a sender.
func mark(s *Sender) string { return "Sinch sender " + word(s.ID) + ":" }

func health(s *Sender) string {
	text := " " + word(s.State) + ", quality " + word(cmp.Or(s.QualityRating, "UNKNOWN"))
	if status := s.App().ChannelStatus; status != "" && status != StateActive {
		text += ", channel " + word(status)
	}
	return text
}

// maySend reports whether the provider takes messages of the sender.
func maySend(s *Sender) bool {
	status := s.App().ChannelStatus
	return s.State == StateActive && (status == "" || status == StateActive)
}

func (p *planner) change(s *Sender, id gateway.AccountID, provider gateway.ProviderName) Change {
	c := Change{
		Account: id, Provider: provider, Fields: []FieldChange{},
		Sender: word(s.ID), State: word(s.State), Quality: word(cmp.Or(s.QualityRating, "UNKNOWN")),
	}
	if s.QualityRating == QualityRed {
		c.note("quality is RED: the provider may restrict or block this sender")
	}
	return c
}

func (c *Change) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

func (p *planner) update(i int, s *Sender) error {
	account, known := p.file.Accounts()[i], p.known[i]
	c := p.change(s, known.ID, known.Provider)
	set := func(key, value string) error {
		from := account.Get(key)
		c.Fields = append(c.Fields, FieldChange{Key: key, From: from, To: value})
		return account.Set(key, value)
	}

	comment, before := health(s), account.Note(mark(s))
	ours := strings.HasSuffix(before, pausedBySync)
	paused := account.Get("paused")
	var err error
	switch send := maySend(s); {
	case send && !known.Paused, !send && known.Paused && !ours:
	case isReference(paused):
		c.note("paused is a reference and stays as it is")
	case send && ours:
		err = set("paused", "false")
	case send:
		c.note("paused by hand; it stays so")
	case known.Paused:
		comment += pausedBySync
	default:
		comment += pausedBySync
		err = set("paused", "true")
	}
	if err != nil {
		return err
	}

	rate, why := rateOf(s)
	now, notNumber := strconv.ParseFloat(account.Get("rate"), 64)
	if why != "" {
		c.note("%s", why)
	}
	switch {
	case rate == 0 || notNumber == nil && now == rate:
	case isReference(account.Get("rate")):
		c.note("rate is a reference and stays as it is; maxTps is %s", number(s.MaxTPS))
	default:
		if err := set("rate", number(rate)); err != nil {
			return err
		}
	}

	if comment != before {
		if err := account.SetNote(mark(s), comment); err != nil {
			c.note("no place for a comment: write the account on lines of its own")
		} else {
			field := FieldChange{Key: commentKey, To: mark(s) + comment}
			if before != "" {
				field.From = mark(s) + before
			}
			c.Fields = append(c.Fields, field)
		}
	}
	if len(c.Fields)+len(c.Notes) > 0 {
		p.plan.Changes = append(p.plan.Changes, c)
	}
	return nil
}

// add makes an account for a sender that has none.
func (p *planner) add(s *Sender) {
	app, number164 := s.App(), s.Number()
	region := strings.ToLower(app.Region)
	project := cmp.Or(app.ProjectID, p.project)
	switch {
	case app.ID == "":
		p.note("sender %s: is linked to no Conversation app; no account is made", word(s.ID))
		return
	case number164 == "":
		p.note("sender %s: its number can't be read; no account is made", word(s.ID))
		return
	case !isWord(app.ID) || !isWord(project) || !slices.Contains([]string{"us", "eu", "br"}, region):
		p.note("sender %s: its app's id or region can't be read; no account is made", word(s.ID))
		return
	}
	c := p.change(s, p.newID(number164), gateway.SinchConversation)
	c.New = true
	fields := []configedit.Field{
		{Key: "id", Value: string(c.Account)},
		{Key: "provider", Value: string(c.Provider)},
		{Key: "region", Value: region},
		{Key: "project_id", Value: project},
		{Key: "app_id", Value: app.ID},
		{Key: "key_id", Value: "${" + p.prefix + "_KEY_ID}"},
		{Key: "key_secret", Value: "${" + p.prefix + "_KEY_SECRET}"},
		{Key: "sender", Value: number164},
	}
	rate, why := rateOf(s)
	if why != "" {
		c.note("%s", why)
	}
	if rate != 0 {
		fields = append(fields, configedit.Field{Key: "rate", Value: number(rate)})
	}
	comment := mark(s) + health(s)
	if !maySend(s) {
		fields = append(fields, configedit.Field{Key: "paused", Value: "true"})
		comment += pausedBySync
	}
	c.Fields = append(c.Fields, FieldChange{Key: commentKey, To: comment})
	for _, f := range fields {
		c.Fields = append(c.Fields, FieldChange{Key: f.Key, To: f.Value})
	}
	p.file.Append(comment, fields)
	p.plan.Changes = append(p.plan.Changes, c)
}

// newID names an account after its number.
func (p *planner) newID(e164 string) gateway.AccountID {
	first := gateway.AccountID("sinch-" + strings.TrimPrefix(e164, "+"))
	id := first
	for n := 2; p.taken(id); n++ {
		id = first + gateway.AccountID("-"+strconv.Itoa(n))
	}
	return id
}

func (p *planner) taken(id gateway.AccountID) bool {
	return slices.ContainsFunc(p.known, func(k Known) bool { return k.ID == id }) ||
		slices.ContainsFunc(p.plan.Changes, func(c Change) bool { return c.Account == id })
}

// rateOf is the sender's rate as the configuration can have it, and what there
// is to say about it; 0: the provider doesn't tell one.
func rateOf(s *Sender) (rate float64, why string) {
	switch {
	case s.MaxTPS <= 0:
		return 0, "the provider tells no maxTps; the rate is left to the configuration"
	case s.MaxTPS < leastRate:
		return leastRate, "maxTps is " + number(s.MaxTPS) + ", below the least rate there is"
	case s.MaxTPS > mostRate:
		return mostRate, "maxTps is " + number(s.MaxTPS) + ", above the highest rate there is"
	default:
		return s.MaxTPS, ""
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func isReference(value string) bool { return strings.Contains(value, "$") }

var wordForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func isWord(s string) bool { return wordForm.MatchString(s) }

// word is a word of the provider's that may go into the file; "?" is any
// other.
func word(s string) string {
	if isWord(s) {
		return s
	}
	return "?"
}

// Text shows the difference: accounts that are new (+) or change (~), keys
// before (-) and after (+), and what is left to people (!).
func (p Plan) Text() string {
	var out strings.Builder
	for _, c := range p.Changes {
		sign := "~"
		if c.New {
			sign = "+"
		}
		fmt.Fprintf(&out, "%s %s (%s, sender %s, %s, quality %s)\n", sign, c.Account, c.Provider, c.Sender, c.State, c.Quality)
		for _, f := range c.Fields {
			if f.From != "" {
				fmt.Fprintf(&out, "    - %s\n", f.line(f.From))
			}
			fmt.Fprintf(&out, "    + %s\n", f.line(f.To))
		}
		for _, n := range c.Notes {
			fmt.Fprintf(&out, "    ! %s\n", n)
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&out, "! %s\n", n)
	}
	return out.String()
}

func (f FieldChange) line(value string) string {
	if f.Key == commentKey {
		return "# " + value
	}
	return f.Key + ": " + value
}
