-- Does what is due for an account, a bounded piece at a time, and lists the
-- tasks to be enqueued. Only the owner may.
-- Args: worker, epoch, most entries of a kind, age in ms at which a line of
-- the outbox is enqueued again, most attempts of a message, ms until the
-- provider is first asked after one that has become unknown (0: it isn't asked).
-- Returns "kept", ms until the next thing is due (0: nothing waits), ms of the
-- account's hold, what is paused (a all, t, b), whether there was more than it
-- did at one time (0, 1), whether attempts have become unknown (0, 1), the part
-- of its rate that a throttle left the account ('': there was none lately) and ms
-- until that grows, how many messages wait for room in the tier, then id#sequence
-- and lane of each task.
if not owned(arg(1), arg(2)) then return {'fenced'} end
even_if_full()
local most, at = tonumber(arg(3)), clock()
local stale, attempts = tonumber(arg(4)), tonumber(arg(5))
local RAMP_KEPT_MS = 600000 -- longer than any account takes to come back from a throttle
local tasks, more, doubts = {}, '0', '0'

local function overdue(name, till)
  local found = redis.call('ZRANGEBYSCORE', P .. name, '-inf', int(till), 'LIMIT', 0, most)
  if #found == most then more = '1' end
  return found
end

for _, id in ipairs(overdue('fly', at)) do
  local m = load(id)
  if m and m.s == 's' then
    local began = tonumber(m.ct) + tonumber(m.as)
    log_attempt(m, m.at, began, int(at - began), 'u', 'no_record', 'no outcome was recorded by the deadline')
    put(m, 'er', '{"class":"unknown","code":"no_record","title":"no outcome was recorded by the deadline"}')
    put(m, 'sp', int(tonumber(m.sp or '0') + 1))
    move(id, m, 'u', at)
    save(id, m)
    if arg(6) ~= '0' then redis.call('ZADD', P .. 'poll', int(at + tonumber(arg(6))), id) end
    doubts = '1'
  else
    redis.call('ZREM', P .. 'fly', id)
  end
end

local function forget_batch(name)
  redis.call('DEL', P .. 'b:' .. name)
  redis.call('ZREM', P .. 'bl', name)
  redis.call('ZREM', P .. 'bx', name)
end

-- What was kept long enough leaves nothing.
local function forget(id, m)
  local gone = {'a' .. id, 't' .. hash(m.to) .. id}
  if m.r then gone[#gone + 1] = 'r' .. hash(m.r) .. id end
  if m.pi then gone[#gone + 1] = 'p' .. hash(m.pi) .. id end
  for h in string.gmatch(m.px or '', '............') do gone[#gone + 1] = 'p' .. h .. id end
  redis.call('ZREM', P .. 'ix', unpack(gone))
  redis.call('ZREM', P .. 'poll', id)
  redis.call('DEL', rec(id))
  if not m.b then return end
  local left = redis.call('HMGET', batch(id), 'n', 'done')
  if not left[1] then return end
  if redis.call('HINCRBY', batch(id), 'gone', 1) >= tonumber(left[1]) and left[2] then forget_batch(string.sub(id, 1, 17)) end
end

-- A batch that never came to its end, or never had a message.
local function look_at_batch(name)
  local b = redis.call('HMGET', P .. 'b:' .. name, 'ct', 'n', 'gone')
  if not b[1] then return end
  if tonumber(b[3] or '0') >= tonumber(b[2] or '0') and tonumber(b[1]) + HORIZON <= at then return forget_batch(name) end
  set_alarm(name, at + HORIZON)
end

local function look(id, slot)
  if #id == 17 then return look_at_batch(id) end
  local m = load(id)
  if not m or (m.tb and m.tb ~= slot) then return end -- another alarm has taken this one's place
  drop(m, 'tb')
  if m.s == 'u' and m.ou == 'r' and (tonumber(m.sp or '0') >= attempts or tonumber(m.ex) <= at) then
    m.kept = true -- it isn't sent again: it stays unknown
  end
  local t = due(m)
  if not t or t > at then
    set_timer(id, m)
  elseif m.x and (m.s == 'h' or m.s == 'q') then
    return void(id, m)
  elseif m.s == 'h' or m.s == 'q' then
    expire(id, m, at)
  elseif m.s == 'u' and m.ou == 'r' and not m.x and not m.kept then
    put(m, 'pd', '1')
    move(id, m, 'q', at, at)
  elseif m.s ~= 'u' and m.s ~= 'f' and not m.pu and KEEP_RECORD > KEEP_CONTENT then
    drop(m, 'c')
    put(m, 'pu', '1')
    set_timer(id, m)
  elseif redis.call('EXISTS', P .. 'nq:' .. id) == 1 then -- somebody is still to be told
    put(m, 'tb', set_alarm(id, at + 3600000))
  else
    return forget(id, m)
  end
  save(id, m)
end

local looks = most
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', P .. 'timer', '-inf', int(at), 'LIMIT', 0, most)) do
  local ids = redis.call('LPOP', P .. 'tm:' .. slot, looks) or {}
  for _, id in ipairs(ids) do look(id, slot) end
  looks = looks - #ids
  if redis.call('EXISTS', P .. 'tm:' .. slot) == 0 then redis.call('ZREM', P .. 'timer', slot) end
  if looks <= 0 then
    more = '1'
    break
  end
end

-- The name of a line, as in Go: seven letters of five bits.
local LETTERS = '0123456789abcdefghjkmnpqrstvwxyz'
local function line_name(n)
  local name = ''
  for _ = 1, 7 do
    local digit = n % 32
    name = string.sub(LETTERS, digit + 1, digit + 1) .. name
    n = (n - digit) / 32
  end
  return name
end

local stopped = redis.call('ZRANGE', P .. 'bx', 0, 0, 'WITHSCORES')
if stopped[1] then
  local name, from = stopped[1], tonumber(stopped[2])
  local last = tonumber(redis.call('HGET', P .. 'b:' .. name, 'l') or '0')
  local till = math.min(from + most - 1, last)
  for line = from, till do
    local id = name .. line_name(line)
    local m = load(id)
    if m and m.x and (m.s == 'q' or m.s == 'h') then void(id, m) end
  end
  if till >= last then redis.call('ZREM', P .. 'bx', name) else redis.call('ZADD', P .. 'bx', till + 1, name) end
  more = '1'
end

for _, lane in ipairs({'t', 'b'}) do
  for _, id in ipairs(overdue('park' .. lane, at)) do
    local m = load(id)
    if m and m.x and (m.s == 'h' or m.s == 'q') then
      void(id, m)
    elseif m and (m.s == 'h' or m.s == 'q') then
      if m.s == 'h' then
        move(id, m, 'q', at)
        join_line(id, m)
      else
        unpark(id, m)
      end
      tasks[#tasks + 1] = {enqueue(id, m, at), m.p}
      save(id, m)
    else
      redis.call('ZREM', P .. 'park' .. lane, id)
    end
  end
end

for _, field in ipairs(overdue('su', at)) do
  unsuppress(string.sub(field, 2), string.sub(field, 1, 1))
end

-- A line of the outbox that stayed shows an enqueue that failed.
for _, entry in ipairs(overdue('out', at - stale)) do
  local id, seq = string.match(entry, '^(.*)#(%d+)$')
  local m = load(id)
  if m and m.s == 'q' and m.q == seq and not m.k then
    redis.call('ZADD', P .. 'out', int(at), entry)
    tasks[#tasks + 1] = {entry, m.p}
  else
    redis.call('ZREM', P .. 'out', entry)
  end
end

redis.call('XTRIM', P .. 'ev', 'MINID', '~', int(at - 3600000))

local next_due = 0
local function head(name, offset)
  local first = redis.call('ZRANGE', P .. name, 0, 0, 'WITHSCORES')
  if not first[2] then return end
  local t = math.max(tonumber(first[2]) + offset, at)
  if next_due == 0 or t < next_due then next_due = t end
end
head('fly', 1)
head('timer', 0)
head('parkt', 0)
head('parkb', 0)
head('su', 0)
head('out', stale)
head('bx', 0) -- at once, for a line is no time

local hold = redis.call('HMGET', P .. 'hold', 'until', 'pause', 'pauset', 'pauseb', 'share', 'grows')
local held = hold[1] and math.max(tonumber(hold[1]) - at, 0) or 0
local paused = (hold[2] and 'a' or '') .. (hold[3] and 't' or '') .. (hold[4] and 'b' or '')
if held > 0 and (next_due == 0 or at + held < next_due) then next_due = at + held end

local share, grows_in = hold[5] or '', 0
if hold[6] then grows_in = tonumber(hold[6]) - at end
if grows_in < -RAMP_KEPT_MS then
  redis.call('HDEL', P .. 'hold', 'share', 'grows')
  share = ''
end

local waiting = redis.call('ZCOUNT', P .. 'parkt', int(BEYOND), '+inf') + redis.call('ZCOUNT', P .. 'parkb', int(BEYOND), '+inf')

local result = {
  'kept', int(next_due == 0 and 0 or math.max(next_due - at, 1)), int(held), paused, more, doubts, share, int(grows_in), int(waiting),
}
for _, task in ipairs(tasks) do
  result[#result + 1] = task[1]
  result[#result + 1] = task[2]
end
return result
