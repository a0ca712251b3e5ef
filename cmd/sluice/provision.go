package main

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"sluice/internal/provisioning"
)

// provisionCommand speaks to the Sinch Provisioning API for one project.
type provisionCommand struct {
	ProjectID   string `required:"" env:"SINCH_PROJECT_ID" placeholder:"ID" help:"The Sinch project."`
	KeyID       string `env:"SINCH_KEY_ID" placeholder:"ID" help:"The access key's id, with its secret."`
	KeySecret   string `env:"SINCH_KEY_SECRET" placeholder:"SECRET" help:"The access key's secret."`
	Token       string `env:"SINCH_TOKEN" placeholder:"TOKEN" help:"An access token, instead of a key."`
	BaseURL     string `default:"https://provisioning.api.sinch.com" placeholder:"URL" help:"Where the API is, such as a simulator on loopback."`
	JSON        bool   `help:"Print JSON, for scripts."`
	ShowSecrets bool   `help:"Print tokens and secrets as they are, not as ***."`

	Account  provisionAccount  `cmd:"" help:"The project's WhatsApp account."`
	Senders  provisionSenders  `cmd:"" help:"The project's senders; --sync writes them into the configuration."`
	Template provisionTemplate `cmd:"" name:"templates" help:"The project's templates."`
	Webhooks provisionWebhooks `cmd:"" help:"Where Sinch reports changes of the project."`

	WABADetails             provisionWABADetails    `cmd:"" name:"waba-details" help:"What a facebook token is associated with (deprecated by Sinch)."`
	LongLivedToken          provisionLongLivedToken `cmd:"" name:"long-lived-token" help:"Exchange a facebook code or token for one of 60 days (deprecated by Sinch)."`
	EnableTemplateAnalytics provisionAnalytics      `cmd:"" name:"enable-template-analytics" help:"Turn the account's template statistics on."`
}

// Validate wants credentials of one kind.
func (c *provisionCommand) Validate() error {
	if c.Token == "" && (c.KeyID == "" || c.KeySecret == "") {
		return errors.New("needs --token, or --key-id and --key-secret, or their variables SINCH_TOKEN, SINCH_KEY_ID, SINCH_KEY_SECRET")
	}
	_, err := c.client()
	return err
}

func (c *provisionCommand) client() (*provisioning.Client, error) {
	return provisioning.New(provisioning.Settings{
		BaseURL: c.BaseURL, ProjectID: c.ProjectID, Token: c.Token, KeyID: c.KeyID, KeySecret: c.KeySecret,
	})
}

// reveal is a secret as it may be shown.
func (c *provisionCommand) reveal(s provisioning.Secret) string {
	if c.ShowSecrets {
		return s.Reveal()
	}
	return fmt.Sprint(s)
}

// document is an object as it may be shown.
func (c *provisionCommand) document(d provisioning.Document) any {
	if c.ShowSecrets {
		return d.Reveal()
	}
	return d
}

// printJSON writes a value as indented JSON.
func printJSON(out io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

// row is one line of a table, or a name and its value.
type row []string

func printTable(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, text := range r {
			cells[i] = cell(text)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// cell is a text of the provider's that steers neither table nor terminal.
func cell(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
	return cmp.Or(text, "-")
}

// showOne prints one object.
func showOne(s *session, p *provisionCommand, raw provisioning.Document, rows []row) error {
	if p.JSON {
		return printJSON(s.stdout, p.document(raw))
	}
	return printTable(s.stdout, rows)
}

// showAll prints objects as they come from the provider.
func showAll[T any](s *session, p *provisionCommand, all iter.Seq2[*T, error], raw func(*T) provisioning.Document, head row, line func(*T) row) error {
	documents, rows := []any{}, []row{head}
	for item, err := range all {
		if err != nil {
			return err
		}
		documents, rows = append(documents, p.document(raw(item))), append(rows, line(item))
	}
	if p.JSON {
		return printJSON(s.stdout, documents)
	}
	return printTable(s.stdout, rows)
}

// done tells that something happened which the provider answers with nothing.
func done(s *session, p *provisionCommand, answer any, words string) error {
	if p.JSON {
		return printJSON(s.stdout, answer)
	}
	_, err := fmt.Fprintln(s.stdout, words)
	return err
}

// jsonObject is the value of --data: a JSON object, or @ and the file that
// holds one.
type jsonObject map[string]json.RawMessage

var _ encoding.TextUnmarshaler = (*jsonObject)(nil)

// UnmarshalText reads the value.
func (o *jsonObject) UnmarshalText(text []byte) error {
	if path, ok := strings.CutPrefix(string(text), "@"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = data
	}
	*o = nil
	if err := json.Unmarshal(text, (*map[string]json.RawMessage)(o)); err != nil || *o == nil {
		return errors.New("must be a JSON object, or @ and a file that holds one") // not the parser's words: they may quote a secret
	}
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
