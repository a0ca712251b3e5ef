package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/mattn/go-isatty"

	"sluice/internal/config"
	"sluice/internal/configedit"
	"sluice/internal/provisioning"
)

// senderSync writes the project's senders into the configuration.
type senderSync struct {
	Sync        bool   `help:"Write account entries from the project's senders, after showing the difference."`
	Yes         bool   `short:"y" help:"With --sync: write without asking."`
	DryRun      bool   `help:"With --sync: show the difference and write nothing."`
	Config      string `placeholder:"FILE" help:"With --sync: the configuration; by default SLUICE_CONFIG, or configs/sluice.yaml."`
	Credentials string `default:"SINCH" placeholder:"PREFIX" help:"With --sync: new accounts take their key from $${PREFIX_KEY_ID} and $${PREFIX_KEY_SECRET}."`
}

var variablePrefix = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c senderSync) validate() error {
	switch {
	case !c.Sync && (c.Yes || c.DryRun || c.Config != ""):
		return errors.New("--yes, --dry-run and --config are for --sync")
	case c.Yes && c.DryRun:
		return errors.New("--yes and --dry-run exclude one another")
	case !variablePrefix.MatchString(c.Credentials):
		return errors.New("--credentials must begin the name of a variable, such as SHOP for SHOP_KEY_ID")
	}
	return nil
}

// answers is where a person's yes comes from.
type answers struct {
	in       io.Reader
	terminal bool
}

func standardInput() answers {
	return answers{in: os.Stdin, terminal: isatty.IsTerminal(os.Stdin.Fd())}
}

// run shows the difference, and writes it if told to. A configuration that is
// not valid, before or after, is left as it is.
func (c senderSync) run(s *session, p *provisionCommand, all iter.Seq2[*provisioning.Sender, error], a answers) error {
	path := c.Config
	if path == "" {
		path = config.Path(s.environ)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	valid := func(text []byte) (*config.Config, error) {
		return config.Parse(text, filepath.Dir(path), s.environ)
	}
	current, err := valid(old)
	if err != nil {
		return fmt.Errorf("configuration %s, before any change: %w", path, err)
	}
	var senders []*provisioning.Sender
	for sender, err := range all {
		if err != nil {
			return err
		}
		senders = append(senders, sender)
	}
	file, err := configedit.Parse(old)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	plan, err := provisioning.Sync(file, known(current), senders, p.ProjectID, c.Credentials)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	text, err := file.Bytes()
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}

	show := s.stdout
	if p.JSON {
		show = s.stderr
	}
	fmt.Fprint(show, plan.Text())
	if _, err := valid(text); err != nil {
		return fmt.Errorf("nothing is written, for %s would not be valid: %w", path, err)
	}
	written, err := c.write(s.ctx, path, old, text, file.Changed(), a, s.stderr)
	if err != nil {
		return err
	}
	if p.JSON {
		return printJSON(s.stdout, struct {
			provisioning.Plan
			Path    string `json:"path"`
			Written bool   `json:"written"`
		}{plan, path, written})
	}
	words := path + " is as the senders are"
	switch {
	case written:
		words = path + " is written"
	case file.Changed():
		words = "nothing is written"
	}
	_, err = fmt.Fprintln(s.stdout, words)
	return err
}

// write replaces the file, if there is a change and a yes.
func (c senderSync) write(ctx context.Context, path string, old, text []byte, changed bool, a answers, out io.Writer) (written bool, err error) {
	if !changed || c.DryRun {
		return false, nil
	}
	if !c.Yes {
		if !a.terminal {
			return false, errors.New("nothing is written: there is no terminal to ask on; say --yes or --dry-run")
		}
		if yes, err := ask(ctx, a.in, out, "Write this to "+path+"?"); err != nil || !yes {
			return false, err
		}
	}
	return true, configedit.Replace(path, old, text)
}

// ask puts a question whose usual answer is no.
func ask(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprint(out, question, " [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read of a terminal can't be called off: after a signal it ends with the process
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// known are the accounts as the plan compares them.
func known(c *config.Config) []provisioning.Known {
	all := make([]provisioning.Known, len(c.Accounts))
	for i, a := range c.Accounts {
		all[i] = provisioning.Known{
			ID: a.ID, Provider: a.Provider, Sender: a.Sender,
			Project: a.ProjectID, App: a.AppID, Bot: a.BotID, Paused: a.Paused,
		}
	}
	return all
}
