package store

import (
	_ "embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script with its text, which a pipeline needs.
type script struct {
	*redis.Script
	text string
}

// newScript joins the shared part and one body, which ends with the counters it
// has changed.
func newScript(body string) *script {
	text := strings.TrimSpace(commonLua) + "\n\nlocal function main()\n" + body + "end\nlocal result = main()\nflush()\nreturn result\n"
	return &script{Script: redis.NewScript(text), text: text}
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
)
