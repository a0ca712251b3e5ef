-- Claims idempotency keys and writes records, their indexes, counters, events
-- and lines in the outbox: each message whole, or not at all.
-- Args: a key's life in ms, then for each message: id, created, lane, recipient,
-- reference, send_at (0: at once), expires ('': a line that is only to be
-- recognised), idempotency key's hash, body hash, answer, line of a batch (0:
-- none), what is to be remembered of the line (8 bytes, or nothing), the number of
-- arguments that follow and are the record's fields in pairs.
-- Returns for each: "created", "known" and the first answer, "reused" (the key,
-- by another body), and of lines "again", "changed", "passed" or "cancelled".
local life = arg(1)
local result = {}

-- Where it is remembered what a batch's lines say. That ends with the batch's
-- key, which an upload may outlast.
local function memory(id) return P .. 'bh:' .. string.sub(id, 1, 17) end

local remembers = nil
local function is_remembered(id)
  if remembers == nil then remembers = redis.call('EXISTS', memory(id)) == 1 end
  return remembers
end

-- Compares a line with what was said on it before.
local function said(id, line, words)
  local was = redis.call('GETRANGE', memory(id), line * 8 - 8, line * 8 - 1)
  if was == '' or was == '\0\0\0\0\0\0\0\0' then return nil end
  return was == words and 'again' or 'changed'
end

-- Whether the batch takes no more lines: it was cancelled, or isn't kept.
local over = nil
local function is_over(id)
  if over == nil then
    local b = redis.call('HMGET', batch(id), 'ct', 'x')
    over = not b[1] or b[2]
  end
  return over
end

local function accept(i)
  local id, lane, send_at, idem, body = arg(i), arg(i + 2), tonumber(arg(i + 5)), arg(i + 7), arg(i + 8)
  local line, words = tonumber(arg(i + 10)), arg(i + 11)
  if idem ~= '' then
    local seen = redis.call('GET', P .. 'i:' .. idem)
    if seen then
      if string.sub(seen, 1, 32) == body then return 'known' .. string.sub(seen, 33) end
      return 'reused'
    end
  end
  if line > 0 then
    local was = words ~= '' and said(id, line, words)
    if was then return was end
    if arg(i + 6) == '' then return 'passed' end
    if is_over(id) then return 'cancelled' end
  end
  if redis.call('EXISTS', rec(id)) == 1 then return 'created' end -- the client sent the command twice

  local at, s = clock(), send_at > 0 and 'h' or 'q'
  local m = {p = lane, ex = arg(i + 6), to = arg(i + 3), ct = arg(i + 1), q = '0', b = line > 0 and '1' or nil, put = {'s', s}}
  m.s = s
  for f = i + 13, i + 12 + tonumber(arg(i + 12)) do m.put[#m.put + 1] = arg(f) end
  redis.call('ZADD', P .. 'ix', 0, 'a' .. id, 0, 't' .. hash(m.to) .. id)
  if arg(i + 4) ~= '' then redis.call('ZADD', P .. 'ix', 0, 'r' .. hash(arg(i + 4)) .. id) end
  if s == 'h' then
    park(id, m, send_at)
  else
    join_line(id, m)
    redis.call('ZADD', P .. 'out', int(at), id .. '#0')
  end
  count(id, m, nil, place(m, s))
  set_timer(id, m)
  save(id, m)
  redis.call('XADD', P .. 'ev', 'MAXLEN', '~', EVENTS, '*', 'id', id, 'f', '', 't', s, 'at', arg(i + 1))
  if idem ~= '' then redis.call('SET', P .. 'i:' .. idem, body .. arg(i + 9), 'PX', life) end
  if line > 0 then
    add(batch(id), 'n', 1)
    if words ~= '' and is_remembered(id) then redis.call('SETRANGE', memory(id), line * 8 - 8, words) end
  end
  return 'created'
end

local i, last = 2, 0
while i <= #ARGV - 4 do
  local verdict = accept(i)
  if verdict == 'created' then last = math.max(last, tonumber(arg(i + 10))) end
  result[#result + 1] = verdict
  i = i + 13 + tonumber(arg(i + 12))
end
if last > 0 then
  local key = batch(arg(2))
  local b = redis.call('HMGET', key, 'ct', 'l')
  if b[1] and last > tonumber(b[2] or '0') then redis.call('HSET', key, 'l', last) end
end
return result
