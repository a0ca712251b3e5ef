package configedit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"sluice/internal/configedit"
)

// file is written as people write: nothing of it may change but what is asked.
const file = `# head
redis: {url: 'redis://localhost'}   # where


accounts:
  # the first
  - id: first          # its name
    provider: whatsapp-cloud
    text: |
      rate: 1
       # no comment
    "rate": 80         # a second
    #ttl: 24h

  # Sinch sender s-1: before
  - {id: second, rate: "5", # in braces
     sender: '+46'}
  - id: third
    rate:
    tail: >
      folded
    # of the third
    #ttl: 24h

  #- id: fourth

# the defaults
defaults:
    rate:   50
`

func parse(t *testing.T, text string) *configedit.File {
	t.Helper()
	f, err := configedit.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func get(f *configedit.File, id string) *configedit.Account {
	for _, a := range f.Accounts() {
		if a.Get("id") == id {
			return a
		}
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatIsAskedChanges(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testing.T, *configedit.File)
		want []string // old and new, in turn
	}{
		{name: "nothing", do: func(*testing.T, *configedit.File) {}},
		{
			name: "a value, its comment stays",
			do:   func(t *testing.T, f *configedit.File) { must(t, get(f, "first").Set("rate", "10")) },
			want: []string{`"rate": 80         # a second`, `"rate": 10         # a second`},
		},
		{
			name: "a value in quotes, in braces",
			do:   func(t *testing.T, f *configedit.File) { must(t, get(f, "second").Set("rate", "10")) },
			want: []string{`rate: "5", # in braces`, `rate: 10, # in braces`},
		},
		{
			name: "a key without a value",
			do:   func(t *testing.T, f *configedit.File) { must(t, get(f, "third").Set("rate", "10")) },
			want: []string{"rate:\n    tail", "rate: 10\n    tail"},
		},
		{
			name: "new keys, behind a line that says one thing",
			do: func(t *testing.T, f *configedit.File) {
				must(t, get(f, "first").Set("paused", "true"))
				must(t, get(f, "first").Set("app_id", "a: b"))
			},
			want: []string{"# a second\n", "# a second\n    paused: true\n    app_id: \"a: b\"\n"},
		},
		{
			name: "a new key in braces",
			do:   func(t *testing.T, f *configedit.File) { must(t, get(f, "second").Set("paused", "true")) },
			want: []string{`sender: '+46'}`, `sender: '+46', paused: true}`},
		},
		{
			name: "a value and a new key of one line",
			do: func(t *testing.T, f *configedit.File) {
				must(t, get(f, "first").Set("paused", "true"))
				must(t, get(f, "first").Set("rate", "10"))
			},
			want: []string{"\"rate\": 80         # a second\n", "\"rate\": 10         # a second\n    paused: true\n"},
		},
		{
			name: "a comment that was there",
			do: func(t *testing.T, f *configedit.File) {
				if got := get(f, "second").Note("Sinch sender s-1:"); got != " before" {
					t.Errorf("note %q", got)
				}
				must(t, get(f, "second").SetNote("Sinch sender s-1:", " after"))
			},
			want: []string{"# Sinch sender s-1: before", "# Sinch sender s-1: after"},
		},
		{
			name: "a new comment, of one line whatever it says",
			do: func(t *testing.T, f *configedit.File) {
				must(t, get(f, "third").SetNote("Sinch sender s-3:", " a\n  - id: evil"))
			},
			want: []string{"  - id: third", "  # Sinch sender s-3: a - id: evil\n  - id: third"},
		},
		{
			name: "new accounts, behind the comments of the last",
			do: func(_ *testing.T, f *configedit.File) {
				f.Append("note", []configedit.Field{{Key: "id", Value: "new"}, {Key: "sender", Value: "+46"}, {Key: "odd", Value: "null"}})
				f.Append("other", []configedit.Field{{Key: "id", Value: "newer"}})
			},
			want: []string{
				"    #ttl: 24h\n\n  #- id: fourth",
				"    #ttl: 24h\n\n  # note\n  - id: new\n    sender: \"+46\"\n    odd: \"null\"\n\n  # other\n  - id: newer\n\n  #- id: fourth",
			},
		},
	} {
		for _, newline := range []string{"\n", "\r\n"} {
			t.Run(c.name+strings.ReplaceAll(newline, "\r", ", in a file of Windows")[:len(newline)-1], func(t *testing.T) {
				f := parse(t, strings.ReplaceAll(file, "\n", newline))
				c.do(t, f)
				got, err := f.Bytes()
				must(t, err)
				want := file
				if c.want != nil {
					if want = strings.Replace(file, c.want[0], c.want[1], 1); want == file {
						t.Fatal("the case replaces nothing")
					}
				}
				if diff := cmp.Diff(strings.ReplaceAll(want, "\n", newline), string(got)); diff != "" {
					t.Errorf("file (-want +got):\n%s", diff)
				}
				if f.Changed() != (c.want != nil) {
					t.Errorf("changed: %v", f.Changed())
				}
			})
		}
	}
}

func TestAccountsAreAddedWhereverThereAreNone(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"no such key", "a: 1\n", "a: 1\n\naccounts:\n  # n\n  - id: x\n"},
		{"no line's end either", "a: 1", "a: 1\n\naccounts:\n  # n\n  - id: x\n"},
		{"nothing after the key", "accounts:  # none\na: 1\n", "accounts:  # none\n  # n\n  - id: x\na: 1\n"},
		{"empty brackets", "accounts: [ ]\na: 1\n", "accounts: \n  # n\n  - id: x\na: 1\n"},
		{"a list that isn't indented", "accounts:\n- id: y\na: 1\n", "accounts:\n- id: y\n\n# n\n- id: x\na: 1\n"},
		{"the end of the file, without a line's end", "accounts:\n- id: y", "accounts:\n- id: y\n\n# n\n- id: x"},
		{"the end of the document", "accounts:\n- id: y\n...\n", "accounts:\n- id: y\n\n# n\n- id: x\n...\n"},
		{"letters of several bytes before a value", "ä: {ö: 1}\naccounts: [] \n", "ä: {ö: 1}\naccounts: \n  # n\n  - id: x \n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := parse(t, c.file)
			f.Append("n", []configedit.Field{{Key: "id", Value: "x"}})
			got, err := f.Bytes()
			must(t, err)
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatCannotBeChangedIsRefused(t *testing.T) {
	set := func(text string) error {
		f, err := configedit.Parse([]byte(text))
		if err != nil {
			return err
		}
		if err := f.Accounts()[0].Set("rate", "10"); err != nil {
			return err
		}
		_, err = f.Bytes()
		return err
	}
	add := func(text string) error {
		f, err := configedit.Parse([]byte(text))
		if err != nil {
			return err
		}
		f.Append("n", []configedit.Field{{Key: "id", Value: "x"}})
		_, err = f.Bytes()
		return err
	}
	for name, err := range map[string]error{
		"an alias":                    set("a: &r 5\naccounts:\n- {id: x, rate: *r}\n"),
		"an anchor":                   set("accounts:\n- {id: x, rate: &r 5}\n"),
		"a tag":                       set("accounts:\n- {id: x, rate: !!int 5}\n"),
		"a block of text":             set("accounts:\n- id: x\n  rate: |\n    5\n"),
		"a value of two lines":        set("accounts:\n- id: x\n  rate: a\n    b\n"),
		"a list in brackets":          add("accounts: [{id: y}]\n"),
		"a text in place of the list": add("accounts: none\n"),
		"a file that is a list":       add("- a\n"),
		"a file in braces":            add("{a: 1}\n"),
		"an empty file":               add(""),
		"no YAML":                     add("a: [\n"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestErrorsHoldNothingOfTheFile(t *testing.T) {
	for _, text := range []string{"a: *hush\n", "hush", "accounts: hush", "a: [hush"} {
		if _, err := configedit.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever the file, a change is made as asked or refused, and the rest of it
// says what it said.
func FuzzSet(f *testing.F) {
	for _, text := range []string{file, strings.ReplaceAll(file, "\n", "\r\n"), "accounts:\n- {id: x, rate: *r}\n", "accounts: []", "\ufeffaccounts:\n  - rate: ä\n"} {
		f.Add(text, "10")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		file, err := configedit.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, a := range file.Accounts() {
			if a.Set("rate", value) != nil {
				return
			}
			_ = a.SetNote("mark:", value)
		}
		file.Append(value, []configedit.Field{{Key: "id", Value: value}, {Key: "rate", Value: value}})
		out, err := file.Bytes()
		if err != nil {
			return
		}
		var before, after map[string]any
		if yaml.Unmarshal([]byte(text), &before) != nil || yaml.Unmarshal(out, &after) != nil {
			return // such as a key given twice, which a tree may have
		}
		delete(before, "accounts")
		accounts, _ := after["accounts"].([]any)
		delete(after, "accounts")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the rest (-before +after):\n%s", diff)
		}
		if len(accounts) == 0 {
			t.Error("no account was added")
		}
	})
}
