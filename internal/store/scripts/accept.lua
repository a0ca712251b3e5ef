-- Claims idempotency keys and writes records, their indexes, counters, events
-- and lines in the outbox: each message whole, or not at all.
-- Args: a key's life in ms, account, then for each message: id, created, lane,
-- recipient, the recipient's hash, reference, send_at (0: at once), expires ('': a
-- line that is only to be recognised), idempotency key's hash, body hash, answer,
-- line of a batch (0: none), what is to be remembered of the line (8 bytes, or
-- nothing), type, content, the number of arguments that follow and are further
-- fields of the record in pairs.
-- Returns for each: "created", "known" and the first answer, "reused" (the key,
-- by another body), and of lines "again", "changed", "passed" or "cancelled".
local life, account = arg(1), arg(2)
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

local function accept(a)
  local id, created, lane, to, who = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  local reference, send_at, expires = ARGV[a + 5], tonumber(ARGV[a + 6]), ARGV[a + 7]
  local idem, body, line, words = ARGV[a + 8], ARGV[a + 9], tonumber(ARGV[a + 11]), ARGV[a + 12]
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
  end
  if redis.call('EXISTS', rec(id)) == 1 then return 'created' end -- the client sent the command twice
  if expires == '' then return 'passed' end
  if line > 0 and is_over(id) then return 'cancelled' end

  local at, s = clock(), send_at > 0 and 'h' or 'q'
  local m = {s = s, p = lane, ex = expires, to = to, th = who, ct = created, b = line > 0 and '1' or nil}
  m.put = {'s', s, 'a', account, 'p', lane, 'to', to, 'y', ARGV[a + 13], 'c', ARGV[a + 14], 'ct', created, 'ex', expires}
  for f = a + 16, a + 15 + tonumber(ARGV[a + 15]) do m.put[#m.put + 1] = ARGV[f] end
  if m.b then put(m, 'b', '1') end
  if reference ~= '' then
    put(m, 'r', reference)
    redis.call('ZADD', P .. 'ix', 0, 'a' .. id, 0, 't' .. who .. id, 0, 'r' .. hash(reference) .. id)
  else
    redis.call('ZADD', P .. 'ix', 0, 'a' .. id, 0, 't' .. who .. id)
  end
  if s == 'h' then
    park(id, m, send_at)
  else
    join_line(id, m)
    redis.call('ZADD', P .. 'out', int(at), id .. '#0')
  end
  count(id, m, nil, place(m, s))
  set_timer(id, m)
  save(id, m)
  redis.call('XADD', P .. 'ev', 'MAXLEN', '~', EVENTS, '*', 'id', id, 'f', '', 't', s, 'at', created)
  if idem ~= '' then redis.call('SET', P .. 'i:' .. idem, body .. ARGV[a + 10], 'PX', life) end
  if line > 0 then
    add(batch(id), 'n', 1)
    if words ~= '' and is_remembered(id) then redis.call('SETRANGE', memory(id), line * 8 - 8, words) end
  end
  return 'created'
end

local a, last = 7, 0
while a <= #ARGV do
  local verdict = accept(a)
  if verdict == 'created' then last = math.max(last, tonumber(ARGV[a + 11])) end
  result[#result + 1] = verdict
  a = a + 16 + tonumber(ARGV[a + 15])
end
if last > 0 then
  local key = batch(ARGV[7])
  local b = redis.call('HMGET', key, 'ct', 'l')
  if b[1] and last > tonumber(b[2] or '0') then redis.call('HSET', key, 'l', last) end
end
return result
