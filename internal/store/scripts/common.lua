-- What all scripts share. KEYS[1] is the prefix of one account's keys,
-- "sl:{tag}:"; every key a script touches begins with it and so lies in one
-- slot. ARGV begins with four durations in milliseconds: how long content,
-- records and dead letters are kept, and the grace of an unknown outcome.
--
--   m:<id>  hash    the record            ix      zset    members by prefix: a<id>, t|r|b|p<hash><id>
--   i:<key> string  idempotency           parkt,b zset    due -> id: send_at, retries, by lane
--   n       hash    counters of lanes     timer   zset    due -> id: expiry, grace, retention
--   out     zset    since -> id#seq:      fly     zset    deadline -> id: attempts in flight
--                   to be enqueued        ev      stream  every change of status
--   hold    hash    hold, pause, breaker  sec     hash    accepted per second, a ring of 60
--   lw      hash    lane and recipient -> the last message that waits for its turn
--   pk:<h>  list    receipts that came before their message's provider id
--   no      zset    due -> id: messages with notices to be told
--   nq:<id> list    those notices, the oldest first
--   nd      stream  notices that were given up
--   poll    zset    due -> id: messages whose provider is asked for their status
--   sup     hash    scope and recipient -> suppression
--   sx      zset    recipient and scope, by name
--   su      zset    until -> scope and recipient, of those that end
--   w:<h>   string  when the recipient was last heard, within a service window
--   st:<h>  string  when the recipient last took a stop back
--
-- Statuses are one letter in records: h scheduled, q queued, s sending,
-- a accepted, t sent, d delivered, r read, f failed, j rejected, e expired,
-- c cancelled, u unknown. Lanes are t and b.

local P = KEYS[1]
local KEEP_CONTENT, KEEP_RECORD = tonumber(ARGV[1]), tonumber(ARGV[2])
local KEEP_DEAD, GRACE = tonumber(ARGV[3]), tonumber(ARGV[4])
local EVENTS, PARKED_RECEIPT_MS = 100000, 3600000

local function arg(i) return ARGV[i + 4] end
local function int(x) return string.format('%.0f', x) end
local function rec(id) return P .. 'm:' .. id end
local function hash(v) return string.sub(redis.sha1hex(v), 1, 12) end

local function clock()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local FIELDS = {'s', 'p', 'q', 'k', 'h', 'ex', 'n', 'rn', 'at', 'sp', 'to', 'r', 'b', 'pi', 'ou', 'al', 'as', 'pv', 'pu', 'ut', 'a', 'cb', 'cn', 'pd', 'px'}

local function load(id)
  local v = redis.call('HMGET', rec(id), unpack(FIELDS))
  if not v[1] then return nil end
  local m = {}
  for i, f in ipairs(FIELDS) do
    if v[i] then m[f] = v[i] end
  end
  return m
end

-- The counter a message in this state belongs to: scheduled, pending, parked,
-- active, or none.
local function bucket(s, parked)
  if s == 'h' then return 's' end
  if s == 'q' then return parked and 'k' or 'p' end
  if s == 's' then return 'a' end
  return nil
end

local function count(lane, from, to)
  if from == to then return end
  if from then redis.call('HINCRBY', P .. 'n', lane .. from, -1) end
  if to then redis.call('HINCRBY', P .. 'n', lane .. to, 1) end
end

local function later(h, s, at)
  h = h and (h .. ',' .. s .. int(at)) or (s .. int(at))
  if #h > 1500 then -- the beginning and the latest are kept
    h = string.sub(h, 1, 14) .. string.match(string.sub(h, -1000), '(,.*)$')
  end
  return h
end

-- When a message in this state is looked at again.
local function due(m, s, at)
  if s == 'h' or s == 'q' then return tonumber(m.ex) end
  if s == 's' then return nil end
  if s == 'u' and m.ou == 'r' then return at + GRACE end
  if s == 'u' or s == 'f' then return at + KEEP_DEAD end
  if m.pu then return at + KEEP_RECORD end
  return at + math.min(KEEP_CONTENT, KEEP_RECORD)
end

local function set_timer(id, m, s, at)
  local t = due(m, s, at)
  if t then redis.call('ZADD', P .. 'timer', int(t), id) else redis.call('ZREM', P .. 'timer', id) end
end

-- A full Redis refuses a script whose first write needs memory, and lets one
-- go on that has written before. What makes room, and what ends what has begun,
-- begins with this.
local function even_if_full() redis.call('DEL', P .. 'full') end

-- Puts a message behind the last one that waits for its turn to the same
-- recipient: it must not overtake that one.
local function join_line(id, m)
  local field = m.p .. hash(m.to)
  local last = redis.call('HGET', P .. 'lw', field)
  if last and last ~= id then
    m.pv = last
    redis.call('HSET', rec(id), 'pv', last)
  end
  redis.call('HSET', P .. 'lw', field, id)
end

-- Whether those behind a message in this status don't wait for it, but for the
-- one before it.
local function passed_by(s) return s == 'h' or s == 'c' or s == 'e' or s == 'j' end

-- Takes a message out of the line: it has begun, or ended without; then those
-- behind it wait for the one before it.
local function leave_line(id, m, begun)
  local field = m.p .. hash(m.to)
  if redis.call('HGET', P .. 'lw', field) ~= id then return end
  local last = nil
  if not begun then last = m.pv end
  for _ = 1, 32 do
    if not last then break end
    local b = redis.call('HMGET', rec(last), 's', 'pv')
    if b[1] == 'q' then break end
    last = nil
    if passed_by(b[1]) and b[2] then last = b[2] end
  end
  if last then redis.call('HSET', P .. 'lw', field, last) else redis.call('HDEL', P .. 'lw', field) end
end

-- Keeps the place of one whose attempt was not made after all: who came after it
-- still waits for it.
local function rejoin_line(id, m)
  redis.call('HSET', rec(id), 'wb', '1')
  redis.call('HSETNX', P .. 'lw', m.p .. hash(m.to), id)
end

-- Parks a waiting message until a time, or ends its parking (nil).
local function park(id, m, till)
  if till then
    redis.call('HSET', rec(id), 'k', int(till))
    redis.call('ZADD', P .. 'park' .. m.p, int(till), id)
    m.k = int(till)
  elseif m.k then
    redis.call('HDEL', rec(id), 'k')
    redis.call('ZREM', P .. 'park' .. m.p, id)
    m.k = nil
  end
end

-- Whether a script has made notices; whoever tells them wants to know.
local told = false

-- Makes a notice of a change for the one who asked for notices.
local function tell(id, m, from, to, at)
  m.cn = int(tonumber(m.cn or '0') + 1)
  local err = redis.call('HGET', rec(id), 'er') or ''
  redis.call('HSET', rec(id), 'cn', m.cn)
  redis.call('RPUSH', P .. 'nq:' .. id, m.cn .. ' ' .. from .. to .. int(at) .. ' ' .. err)
  redis.call('ZADD', P .. 'no', 'NX', int(clock()), id)
  told = true
end

-- The one way a status changes: record, history, counters, indexes by time,
-- event and notice together.
local function move(id, m, s, at, till)
  local from, before = bucket(m.s, m.k), m.s
  m.h = later(m.h, s, at)
  redis.call('HSET', rec(id), 's', s, 'ut', int(at), 'h', m.h)
  if before == 's' then redis.call('ZREM', P .. 'fly', id) end
  if before == 'q' and s ~= 'q' then
    if m.q then redis.call('ZREM', P .. 'out', id .. '#' .. m.q) end
    leave_line(id, m, s == 's')
  end
  park(id, m, till)
  m.s, m.ut = s, int(at)
  count(m.p, from, bucket(s, m.k))
  set_timer(id, m, s, at)
  redis.call('XADD', P .. 'ev', 'MAXLEN', '~', EVENTS, '*', 'id', id, 'f', before, 't', s, 'at', int(at))
  if s == 'r' or s == 'f' then redis.call('ZREM', P .. 'poll', id) end
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
  redis.call('HSET', rec(id), 'er', '{"class":"expired","code":"expired","title":"its time to live ended before it was sent"}')
  move(id, m, 'e', at)
end

-- Gives a queued message's next task a fresh sequence and a line in the
-- outbox, which it returns.
local function enqueue(id, m, at)
  m.q = int(tonumber(m.q or '0') + 1)
  redis.call('HSET', rec(id), 'q', m.q)
  redis.call('ZADD', P .. 'out', int(at), id .. '#' .. m.q)
  return id .. '#' .. m.q
end

-- Parks a queued message, and brings it back.
local function defer(id, m, till)
  park(id, m, till)
  count(m.p, 'p', 'k')
end

local function unpark(id, m)
  park(id, m, nil)
  redis.call('HDEL', rec(id), 'wb')
  count(m.p, 'k', 'p')
end

local function log_attempt(id, m, line)
  local al = m.al and (m.al .. '\n' .. line) or line
  local _, lines = string.gsub(al, '\n', '\n')
  while lines > 19 do
    al = string.sub(al, (string.find(al, '\n', 1, true)) + 1)
    lines = lines - 1
  end
  m.al = al
  redis.call('HSET', rec(id), 'al', al)
end

-- Ties a provider's id to the message. The one of the attempt that was recorded
-- last is shown; others are of attempts before.
local function link(id, m, pid, shown)
  if pid == '' or m.pi == pid then return end
  if m.pi and not shown then
    if not string.find(m.px or '', hash(pid), 1, true) then
      m.px = (m.px or '') .. hash(pid)
      redis.call('HSET', rec(id), 'px', m.px)
    end
  else
    if m.pi then
      m.px = (m.px or '') .. hash(m.pi)
      redis.call('HSET', rec(id), 'px', m.px)
    end
    m.pi = pid
    redis.call('HSET', rec(id), 'pi', pid)
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
    if err ~= '' then redis.call('HSET', rec(id), 'er', err) end
    if cur == 'f' then return false end
    move(id, m, 'f', at)
    return true
  end
  if (cur == 'f' or cur == 'e') and RANK[s] < 3 then return false end
  if RANK[cur] and RANK[s] <= RANK[cur] then return false end
  redis.call('HDEL', rec(id), 'er')
  move(id, m, s, at)
  return true
end

-- Applies what was reported of the message before its provider's id was known.
local function apply_parked(id, m)
  if not m.pi then return end
  local waiting = P .. 'pk:' .. hash(m.pi)
  for _, line in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
    local to, when, why, spec = string.match(line, '^(.)(%d+) ([^\n]*)\n?(.*)$')
    if apply(id, m, to, tonumber(when), why, m.pi) then suppress_as_told(m.to, spec, clock()) end
  end
  redis.call('DEL', waiting)
end

-- Which worker may act for the account.
local function owned(worker, epoch)
  local o = redis.call('HMGET', P .. 'owner', 'worker', 'epoch')
  return o[1] == worker and o[2] == epoch
end
