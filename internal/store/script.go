package store

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script of one account, to be given keysOf.
type script struct{ *redis.Script }

// newScript joins a body with what it needs of the shared part, which Redis
// would else build anew for each call: a third of what a short script costs. A
// body that changes counters ends with writing them.
func newScript(body string) *script {
	counting := "local function main()\n" + body + "end\nlocal result = main()\nflush()\nreturn result\n"
	text, uses := link(commonLua, counting)
	if !uses["add"] {
		text, _ = link(commonLua, body)
	}
	return &script{redis.NewScript(text)}
}

var (
	luaName = regexp.MustCompile(`[A-Za-z_]\w*`)
	luaDecl = regexp.MustCompile(`^local (?:function )?([^=(]+)`)
)

// link puts before a body the declarations that it needs, in their order; uses
// names them. A declaration of lib begins with "local" at the beginning of a
// line, and a function that has more than that line ends with such an "end".
func link(lib, body string) (text string, uses map[string]bool) {
	type declaration struct {
		names, mentions []string
		text            string
	}
	var all []declaration
	for lines := strings.Split(lib, "\n"); len(lines) > 0; {
		n := 1
		if m := luaDecl.FindStringSubmatch(lines[0]); m != nil {
			if strings.HasPrefix(lines[0], "local function") && !strings.HasSuffix(lines[0], " end") {
				n = 1 + slices.Index(lines, "end")
			}
			text := strings.Join(lines[:n], "\n")
			all = append(all, declaration{luaName.FindAllString(m[1], -1), luaName.FindAllString(text, -1), text})
		}
		lines = lines[n:]
	}
	uses = make(map[string]bool)
	for _, name := range luaName.FindAllString(body, -1) {
		uses[name] = true
	}
	var parts []string
	for _, d := range slices.Backward(all) { // a declaration needs earlier ones only
		if slices.ContainsFunc(d.names, func(name string) bool { return uses[name] }) {
			parts = append(parts, d.text)
			for _, name := range d.mentions {
				uses[name] = true
			}
		}
	}
	slices.Reverse(parts)
	return strings.Join(append(parts, body), "\n"), uses
}

//go:embed scripts/common.lua
var commonLua string

//go:embed scripts/accept.lua
var acceptLua string

//go:embed scripts/adopt.lua
var adoptLua string

//go:embed scripts/batch.lua
var batchLua string

//go:embed scripts/begin.lua
var beginLua string

//go:embed scripts/cancel.lua
var cancelLua string

//go:embed scripts/complete.lua
var completeLua string

//go:embed scripts/defer.lua
var deferLua string

//go:embed scripts/expire.lua
var expireLua string

//go:embed scripts/file.lua
var fileLua string

//go:embed scripts/keepfile.lua
var keepFileLua string

//go:embed scripts/dropfile.lua
var dropFileLua string

//go:embed scripts/hold.lua
var holdLua string

//go:embed scripts/keep.lua
var keepLua string

//go:embed scripts/receipt.lua
var receiptLua string

//go:embed scripts/record.lua
var recordLua string

//go:embed scripts/refuse.lua
var refuseLua string

//go:embed scripts/lift.lua
var liftLua string

//go:embed scripts/release.lua
var releaseLua string

//go:embed scripts/tier.lua
var tierLua string

//go:embed scripts/load.lua
var loadLua string

//go:embed scripts/inbound.lua
var inboundLua string

//go:embed scripts/stop.lua
var stopLua string

//go:embed scripts/suppress.lua
var suppressLua string

//go:embed scripts/notices.lua
var noticesLua string

//go:embed scripts/noticed.lua
var noticedLua string

//go:embed scripts/poll.lua
var pollLua string

//go:embed scripts/due.lua
var dueLua string

//go:embed scripts/remind.lua
var remindLua string

//go:embed scripts/settle.lua
var settleLua string

var (
	acceptScript   = newScript(acceptLua)
	adoptScript    = newScript(adoptLua)
	batchScript    = newScript(batchLua)
	beginScript    = newScript(beginLua)
	cancelScript   = newScript(cancelLua)
	completeScript = newScript(completeLua)
	deferScript    = newScript(deferLua)
	expireScript   = newScript(expireLua)
	fileScript     = newScript(fileLua)
	keepFileScript = newScript(keepFileLua)
	dropFileScript = newScript(dropFileLua)
	holdScript     = newScript(holdLua)
	keepScript     = newScript(keepLua)
	receiptScript  = newScript(receiptLua)
	recordScript   = newScript(recordLua)
	refuseScript   = newScript(refuseLua)
	releaseScript  = newScript(releaseLua)
	noticedScript  = newScript(noticedLua)
	noticesScript  = newScript(noticesLua)
	pollScript     = newScript(pollLua)
	stopScript     = newScript(stopLua)
	suppressScript = newScript(suppressLua)
	inboundScript  = newScript(inboundLua)
	liftScript     = newScript(liftLua)
	loadScript     = newScript(loadLua)

	dueScript    = redis.NewScript(dueLua)
	remindScript = redis.NewScript(remindLua)
	settleScript = redis.NewScript(settleLua)
	tierScript   = redis.NewScript(tierLua)
)
