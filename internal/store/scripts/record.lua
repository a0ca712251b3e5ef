-- Records what became of an attempt. The same call again changes nothing.
-- Args: id, nonce, next status (a, f, q, u), attempt line, provider id, error,
-- ms until the retry, whether the attempt counts (0, 1), suppression.
local id, nonce, s, pid, err = arg(1), arg(2), arg(3), arg(5), arg(6)
local m = load(id)
if not m then return 'gone' end
if m.rn == nonce then return 'recorded' end
if m.n ~= nonce then -- another attempt has begun since
  if s == 'a' then
    link(id, m, pid)
    redis.call('HSET', rec(id), 'pd', '1')
  end
  return 'late'
end
local at = clock()
log_attempt(id, m, arg(4))
suppress_as_told(m.to, arg(9), at)
redis.call('HSET', rec(id), 'rn', nonce, 'sp', int(tonumber(m.sp or '0') + tonumber(arg(8))))
link(id, m, pid)
if s == 'a' then
  local slot, sec = 's' .. math.floor(at / 1000) % 60, int(math.floor(at / 1000))
  local was = redis.call('HGET', P .. 'sec', slot)
  local n = was and string.match(was, '^' .. sec .. ':(%d+)$') or 0
  redis.call('HSET', P .. 'sec', slot, sec .. ':' .. int(tonumber(n) + 1))
end
-- A receipt may have decided before the answer was recorded. An answer that says
-- yes stops the sending again of what was unknown for too long.
if m.s == 's' or (m.s == 'u' and s ~= 'u') or (m.s == 'q' and s == 'a') then
  if s == 'a' then redis.call('HDEL', rec(id), 'er') else redis.call('HSET', rec(id), 'er', err) end
  move(id, m, s, at, s == 'q' and at + tonumber(arg(7)) or nil)
end
if m.pi then
  local waiting = P .. 'pk:' .. hash(m.pi)
  for _, line in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
    local to, when, why = string.match(line, '^(.)(%d+) (.*)$')
    apply(id, m, to, tonumber(when), why)
  end
  redis.call('DEL', waiting)
end
return 'recorded'
