-- What all scripts share. KEYS[1] is the prefix of one account's keys,
-- "sl:{tag}:"; every key a script touches begins with it and so lies in one
-- slot. KEYS[2] names nothing: with two keys that aren't there a cluster refuses
-- the script while it moves the slot, and half of these keys. ARGV begins with four durations in milliseconds: how long content,
-- records and dead letters are kept, and the grace of an unknown outcome. Ids
-- are without the tag that all of an account's begin with.
--
--   m:<id>  hash    the record            ix      zset    members by prefix: a<id>, t|r|p<hash><id>
--   i:<key> string  idempotency           parkt,b zset    due -> id: send_at, retries, by lane
--   n       hash    counters of lanes     timer   zset    due -> that time, of lists:
--   out     zset    since -> id#seq:      tm:<ms> list    ids: expiry, grace, retention
--                   to be enqueued        fly     zset    deadline -> id: attempts in flight
--   b:<id>  hash    a batch               ev      stream  every change of status
--   bl      zset    batches, by name      bh:<id> string  what its lines said, 8 bytes each
--   bx      zset    next line -> batch, cancelled: its messages are still to be
--   hold    hash    hold, pause, breaker  sec     hash    accepted per second, a ring of 60
--   lw      hash    lane and recipient -> the last message that waits for its turn
--   pk:<h>  list    receipts that came before their message's provider id
--   no      zset    due -> id: messages with notices to be told
--   nq:<id> list    those notices, the oldest first
--   nd      stream  notices that were given up
--   poll    zset    due -> id: messages whose provider is asked for their status,
--                   or, while they are unknown, whether it has them
--   sup     hash    scope and recipient -> suppression
--   sx      zset    recipient and scope, by name
--   su      zset    until -> scope and recipient, of those that end
--   f:<key> string  a file the provider keeps: version, end of its life, id
--   w:<h>   string  when the recipient was last heard, within a service window
--   st:<h>  string  when the recipient last took a stop back
--   al:<h>  string  the recipient whom the provider knows by another number
--   tier    zset    recipient -> when last counted; under the tag of the tier
--
-- Fields of a record: a account, p lane, to recipient, y type, c content, ct
-- when it was created, ex when it expires, sa send_at, r reference, rt reply_to,
-- b '1' in a batch, cb callback_url, ou 'r' to resend, md metadata; s status,
-- h its changes after the first, q sequence of its task, k parked until, wb
-- waits behind, pv the message before it, tb when the timer looks at it; at
-- attempts, as when the last began, n its nonce ('!' before it once recorded), fl
-- the files it named, a line "key id" for each, sp attempts spent, al attempts
-- made, er error, pi provider's id, px others', pd possibly a duplicate, pu
-- purged, cn notices made, nt and ns tries of the next one and since when. Times
-- in h, as and al count from ct.
--
-- Fields of a batch: ac account, ct when it was created, n messages, l its last
-- line, gone those of its messages that aren't kept any more, done '1' complete,
-- x when it was cancelled, and a counter for each place of a message: lane and
-- s scheduled, p pending, k parked, a active; else the status.
--
-- Statuses are one letter in records: h scheduled, q queued, s sending,
-- a accepted, t sent, d delivered, r read, f failed, j rejected, e expired,
-- c cancelled, u unknown. Lanes are t and b.

local P = KEYS[1]
local KEEP_CONTENT, KEEP_RECORD = tonumber(ARGV[1]), tonumber(ARGV[2])
local KEEP_DEAD, GRACE = tonumber(ARGV[3]), tonumber(ARGV[4])
local EVENTS, PARKED_RECEIPT_MS = 100000, 3600000

-- What waits for room in the tier is parked beyond all times, by when it was
-- accepted.
local BEYOND = 4000000000000000

local function arg(i) return ARGV[i + 4] end
local function int(x) return string.format('%.0f', x) end
local function rec(id) return P .. 'm:' .. id end
local function hash(v) return string.sub(redis.sha1hex(v), 1, 12) end

local now = nil
local function clock()
  if not now then
    local t = redis.call('TIME')
    now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  end
  return now
end

-- A batch's messages have its id but for the last seven letters, their line.
local function batch(id) return P .. 'b:' .. string.sub(id, 1, 17) end

local function load(id)
  local v = redis.call('HGETALL', rec(id))
  if #v == 0 then return nil end
  local m = {put = {}}
  for i = 1, #v, 2 do m[v[i]] = v[i + 1] end
  if not m.q then m.q = '0' end
  if m.b then -- whether, and since when, the batch is cancelled
    local x = redis.call('HGET', batch(id), 'x')
    if x then m.x = x end
  end
  return m
end

-- Changes of a record's fields are collected and written by save.
local function put(m, field, value)
  m[field] = value
  m.put[#m.put + 1] = field
  m.put[#m.put + 1] = value
end

local function drop(m, field)
  if not m[field] then return end
  m[field] = nil
  if not m.drop then m.drop = {} end
  m.drop[#m.drop + 1] = field
end

local function save(id, m)
  if #m.put > 0 then redis.call('HSET', rec(id), unpack(m.put)) end
  if m.drop then
    for _, field in ipairs(m.drop) do
      if not m[field] then redis.call('HDEL', rec(id), field) end
    end
  end
  m.put, m.drop = {}, nil
end

-- Where a message counts: in a lane scheduled, pending, parked or active, else
-- by its status.
local function place(m, s, parked)
  if s == 'h' then return m.p .. 's' end
  if s == 'q' then return m.p .. (parked and 'k' or 'p') end
  if s == 's' then return m.p .. 'a' end
  return s
end

-- Counters are changed by flush, which ends every script: one command for each,
-- however many messages the script is about.
local tally = {}
local function add(key, field, by)
  local t = tally[key]
  if not t then
    t = {}
    tally[key] = t
  end
  t[field] = (t[field] or 0) + by
end

local function flush()
  for key, fields in pairs(tally) do
    for field, by in pairs(fields) do
      if by ~= 0 then redis.call('HINCRBY', key, field, by) end
    end
  end
end

local function count(id, m, from, to)
  if from == to then return end
  if from and #from == 2 then add(P .. 'n', from, -1) end
  if to and #to == 2 then add(P .. 'n', to, 1) end
  if not m.b then return end
  if from then add(batch(id), from, -1) end
  if to then add(batch(id), to, 1) end
end

-- What waits in a cancelled batch has been counted as cancelled with it.
local function counted(m)
  if m.x and (m.s == 'q' or m.s == 'h') then return 'c' end
  return place(m, m.s, m.k)
end

-- When the message came into its status.
local function since(m)
  local last = m.h and string.match(m.h, '(-?%d+)$')
  return tonumber(m.ct) + (last and tonumber(last) or 0)
end

local function later(m, s, at)
  local h = (m.h and (m.h .. ',') or '') .. s .. int(at - tonumber(m.ct))
  if #h > 1500 then h = string.match(string.sub(h, -1000), ',(.*)$') end -- the latest are kept
  put(m, 'h', h)
end

-- When a message in this state is looked at again.
local function due(m)
  local s, at = m.s, since(m)
  if s == 'h' or s == 'q' then return tonumber(m.ex) end
  if s == 's' then return nil end
  if s == 'u' and m.ou == 'r' and not m.x and not m.kept then return at + GRACE end
  if s == 'u' or s == 'f' then return at + KEEP_DEAD end
  if m.pu then return at + KEEP_RECORD end
  return at + math.min(KEEP_CONTENT, KEEP_RECORD)
end

-- Has the timer look at something at a time, up to a sixteenth of the way late
-- and at most 33 s. Returns when.
local function set_alarm(entry, t)
  local ahead, step = (t - clock()) / 16, 1
  while step * 2 <= ahead and step < 32768 do step = step * 2 end
  local slot = int(math.ceil(t / step) * step)
  if redis.call('RPUSH', P .. 'tm:' .. slot, entry) == 1 then redis.call('ZADD', P .. 'timer', slot, slot) end
  return slot
end

-- A look that comes too early does nothing but ask for the next one; so each
-- message has one alarm, which moves only if it has to be earlier. No alarm lies
-- further ahead than a message is kept after its end, so none outlasts it.
local HORIZON = math.max(math.min(KEEP_CONTENT, KEEP_RECORD), 1000)
local function set_timer(id, m)
  local t = due(m)
  if not t or (m.tb and tonumber(m.tb) <= t) then return end
  put(m, 'tb', set_alarm(id, math.min(t, clock() + HORIZON)))
end

-- A full Redis refuses a script whose first write needs memory, and lets one
-- go on that has written before. What makes room, and what ends what has begun,
-- begins with this.
local function even_if_full() redis.call('DEL', P .. 'full') end

-- The line of a message's recipient, in its lane.
local function line_of(m) return m.p .. (m.th or hash(m.to)) end

-- Puts a message behind the last one that waits for its turn to the same
-- recipient: it must not overtake that one.
local function join_line(id, m)
  local field = line_of(m)
  local last = redis.call('HGET', P .. 'lw', field)
  if last and last ~= id then put(m, 'pv', last) end
  redis.call('HSET', P .. 'lw', field, id)
end

-- Whether those behind a message in this status don't wait for it, but for the
-- one before it.
local function passed_by(s) return s == 'h' or s == 'c' or s == 'e' or s == 'j' end

-- Takes a message out of the line: it has begun, or ended without; then those
-- behind it wait for the one before it.
local function leave_line(id, m, begun)
  local field = line_of(m)
  if redis.call('HGET', P .. 'lw', field) ~= id then return end
  local last = nil
  if not begun then last = m.pv end
  for _ = 1, 32 do
    if not last then break end
    local b = redis.call('HMGET', rec(last), 's', 'pv', 'to')
    if b[3] ~= m.to then -- a batch's line that was posted anew, to somebody else
      last = nil
      break
    end
    if b[1] == 'q' then break end
    last = nil
    if passed_by(b[1]) and b[2] then last = b[2] end
  end
  if last then redis.call('HSET', P .. 'lw', field, last) else redis.call('HDEL', P .. 'lw', field) end
end

-- Keeps the place of one whose attempt was not made after all: who came after it
-- still waits for it.
local function rejoin_line(id, m)
  put(m, 'wb', '1')
  redis.call('HSETNX', P .. 'lw', line_of(m), id)
end

-- Parks a waiting message until a time, or ends its parking (nil).
local function park(id, m, till)
  if till then
    put(m, 'k', int(till))
    redis.call('ZADD', P .. 'park' .. m.p, m.k, id)
  elseif m.k then
    drop(m, 'k')
    redis.call('ZREM', P .. 'park' .. m.p, id)
  end
end

-- Whether a script has made notices; whoever tells them wants to know.
local told = false

-- Makes a notice of a change for the one who asked for notices.
local function tell(id, m, from, to, at)
  put(m, 'cn', int(tonumber(m.cn or '0') + 1))
  redis.call('RPUSH', P .. 'nq:' .. id, m.cn .. ' ' .. from .. to .. int(at) .. ' ' .. (m.er or ''))
  redis.call('ZADD', P .. 'no', 'NX', int(clock()), id)
  told = true
end

-- The one way a status changes: record, history, counters, indexes by time,
-- event and notice together. The record is left to be saved.
local function move(id, m, s, at, till)
  local from, before = counted(m), m.s
  later(m, s, at)
  put(m, 's', s)
  if before == 's' then redis.call('ZREM', P .. 'fly', id) end
  if before == 'q' and s ~= 'q' then
    redis.call('ZREM', P .. 'out', id .. '#' .. m.q)
    leave_line(id, m, s == 's')
  end
  park(id, m, till)
  count(id, m, from, place(m, s, m.k))
  set_timer(id, m)
  redis.call('XADD', P .. 'ev', 'MAXLEN', '~', EVENTS, '*', 'id', id, 'f', before, 't', s, 'at', int(at))
  if s == 'r' or s == 'f' or before == 'u' then redis.call('ZREM', P .. 'poll', id) end
  if m.cb then tell(id, m, before, s, at) end
end

-- Puts a recipient on the do-not-send list, or lengthens the stay there.
-- scope: a all, m marketing, c cooldown. till 0: until it is removed. A reason
-- that begins with '!' is an operator's.
local function suppress(to, scope, reason, at, till)
  local field = scope .. to
  local was = redis.call('HGET', P .. 'sup', field)
  if was then
    local before, operator = string.match(was, '^%d+ (%d+) (!?)')
    before = tonumber(before)
    if before == 0 and (till ~= 0 or operator == '!') then return end
    if till ~= 0 and before >= till then return end
  end
  redis.call('HSET', P .. 'sup', field, int(at) .. ' ' .. int(till) .. ' ' .. reason)
  redis.call('ZADD', P .. 'sx', 0, to .. ' ' .. scope)
  if till > 0 then redis.call('ZADD', P .. 'su', int(till), field) else redis.call('ZREM', P .. 'su', field) end
end

local function unsuppress(to, scope)
  redis.call('ZREM', P .. 'sx', to .. ' ' .. scope)
  redis.call('ZREM', P .. 'su', scope .. to)
  return redis.call('HDEL', P .. 'sup', scope .. to)
end

-- A suppression that a provider's answer or receipt asks for: scope, ms (0: for
-- good) and reason, or nothing.
local function suppress_as_told(to, spec, at)
  local scope, ms, reason = string.match(spec, '^(.)(%d+) (.*)$')
  if not scope then return end
  suppress(to, scope, reason, at, tonumber(ms) == 0 and 0 or at + tonumber(ms))
end

local function expire(id, m, at)
  put(m, 'er', '{"class":"expired","code":"expired","title":"its time to live ended before it was sent"}')
  move(id, m, 'e', at)
end

-- Gives a queued message's next task a fresh sequence and a line in the
-- outbox, which it returns.
local function enqueue(id, m, at)
  put(m, 'q', int(tonumber(m.q) + 1))
  redis.call('ZADD', P .. 'out', int(at), id .. '#' .. m.q)
  return id .. '#' .. m.q
end

-- Parks a queued message, and brings it back.
local function defer(id, m, till)
  local from = counted(m)
  park(id, m, till)
  count(id, m, from, counted(m))
end

local function unpark(id, m)
  local from = counted(m)
  park(id, m, nil)
  drop(m, 'wb')
  count(id, m, from, counted(m))
end

-- Adds a line about an attempt: number, when it began, ms it took, outcome, and
-- what there is to say of it.
local function log_attempt(m, n, began, took, outcome, code, detail)
  local line = n .. '\t' .. int(began - tonumber(m.ct)) .. '\t' .. took .. '\t' .. outcome
  if code ~= '' or detail ~= '' then line = line .. '\t' .. code .. '\t' .. detail end
  local al = m.al and (m.al .. '\n' .. line) or line
  local _, lines = string.gsub(al, '\n', '\n')
  while lines > 19 do
    al = string.sub(al, (string.find(al, '\n', 1, true)) + 1)
    lines = lines - 1
  end
  put(m, 'al', al)
end

-- Ties a provider's id to the message. The one of the attempt that was recorded
-- last is shown; others are of attempts before.
local function link(id, m, pid, shown)
  if pid == '' or m.pi == pid then return end
  if m.pi and not shown then
    if not string.find(m.px or '', hash(pid), 1, true) then put(m, 'px', (m.px or '') .. hash(pid)) end
  else
    if m.pi then put(m, 'px', (m.px or '') .. hash(m.pi)) end
    put(m, 'pi', pid)
  end
  redis.call('ZADD', P .. 'ix', 0, 'p' .. hash(pid) .. id)
end

local RANK = {a = 1, t = 2, d = 3, r = 4}

-- Whether more is to be heard of a message in this state.
local function open_end(s) return RANK[s] ~= nil and s ~= 'r' end

-- Applies one receipt: forward only, failed below delivered, delivered and
-- read over failed, expired and unknown; any receipt settles unknown. That an
-- earlier attempt failed says nothing of the one shown.
local function apply(id, m, s, at, err, pid)
  local cur = m.s
  if s == 'f' and pid ~= '' and m.pi and m.pi ~= pid then return false end
  if cur == 'c' or cur == 'j' or cur == 'h' then return false end
  if s == 'f' then
    if RANK[cur] and RANK[cur] >= 3 then return false end
    if cur == 'q' or cur == 'e' then return false end
    if err ~= '' then put(m, 'er', err) end
    if cur == 'f' then return false end
    move(id, m, 'f', at)
    return true
  end
  if (cur == 'f' or cur == 'e') and RANK[s] < 3 then return false end
  if RANK[cur] and RANK[s] <= RANK[cur] then return false end
  drop(m, 'er')
  move(id, m, s, at)
  return true
end

-- Forgets a file's id, unless a newer one has taken its place.
local function drop_file(key, file)
  local was = redis.call('GET', P .. 'f:' .. key)
  if was and string.match(was, '^%S* %d+ (.*)$') == file then redis.call('DEL', P .. 'f:' .. key) end
end

-- Forgets the files that the message's last attempt named by their ids.
local function drop_files(m)
  for key, file in string.gmatch(m.fl or '', '(%S+) ([^\n]*)') do drop_file(key, file) end
end

-- Applies what was reported of the message before its provider's id was known.
local function apply_parked(id, m)
  if not m.pi then return end
  local waiting = P .. 'pk:' .. hash(m.pi)
  local lines = redis.call('LRANGE', waiting, 0, -1)
  if #lines == 0 then return end
  for _, line in ipairs(lines) do
    local to, when, lost, why, spec = string.match(line, '^(.)(%d+)(!?) ([^\n]*)\n?(.*)$')
    if lost == '!' then drop_files(m) end
    if apply(id, m, to, tonumber(when), why, m.pi) then suppress_as_told(m.to, spec, clock()) end
  end
  redis.call('DEL', waiting)
end

-- What becomes of that which isn't sent any more because its batch was cancelled.
-- What may have arrived already, and waited to be sent again, stays unknown.
local function given_up(m) return m.pd and 'u' or 'c' end

-- Ends what waits in a cancelled batch, as of when that was.
local function void(id, m)
  move(id, m, given_up(m), tonumber(m.x))
  save(id, m)
end

-- Which worker may act for the account.
local function owned(worker, epoch)
  local o = redis.call('HMGET', P .. 'owner', 'worker', 'epoch')
  return o[1] == worker and o[2] == epoch
end
