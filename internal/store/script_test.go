package store

import (
	"strings"
	"testing"
)

func TestAScriptHasWhatItNeedsOfTheSharedPartAndNoMore(t *testing.T) {
	const lib = `-- A comment.
local A, B = 1, 2
local C = A + 1

-- Another.
local function first(x) return x end

local function second(x)
  if x then
    return first(x)
  end
end

local function third(x)
  return second(x) + C
end
`
	for body, want := range map[string]string{
		"return 1":                    "",
		"return B":                    "local A, B = 1, 2\n",
		"return second(7)":            "local function first(x) return x end\nlocal function second(x)\n  if x then\n    return first(x)\n  end\nend\n",
		"return third(7)":             strings.Join([]string{"local A, B = 1, 2", "local C = A + 1", "local function first(x) return x end", "local function second(x)\n  if x then\n    return first(x)\n  end\nend", "local function third(x)\n  return second(x) + C\nend", ""}, "\n"),
		"local firsthand return firs": "",
	} {
		if got, _ := link(lib, body); got != want+body {
			t.Errorf("%q is linked as\n%s", body, got)
		}
	}
}
