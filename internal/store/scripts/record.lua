-- Records what became of an attempt. The same call again changes nothing.
-- Args: id, nonce, next status (a, f, q, u), attempt line, provider id, error,
-- ms until the retry, whether the attempt counts (0, 1), suppression, ms until
-- the provider is first asked for the status (0: it isn't asked).
local id, nonce, s, pid, err = arg(1), arg(2), arg(3), arg(5), arg(6)
local m = load(id)
if not m then return 'gone' end
if m.rn == nonce then return 'recorded' end
even_if_full()
local at, mine = clock(), m.n == nonce
if not mine and s ~= 'a' then return 'late' end
-- A yes is proof, whoever brings it: of an attempt before the one in flight, or
-- of an intent that a failover has lost. It ends the waiting for another try.
if not mine and m.s ~= 'q' and m.s ~= 'u' then
  link(id, m, pid)
  redis.call('HSET', rec(id), 'pd', '1')
  return 'late'
end
log_attempt(id, m, arg(4))
suppress_as_told(m.to, arg(9), at)
redis.call('HSET', rec(id), 'rn', nonce, 'sp', int(tonumber(m.sp or '0') + tonumber(arg(8))))
link(id, m, pid, true)
if s == 'a' then
  local slot, sec = 's' .. math.floor(at / 1000) % 60, int(math.floor(at / 1000))
  local was = redis.call('HGET', P .. 'sec', slot)
  local n = was and string.match(was, '^' .. sec .. ':(%d+)$') or 0
  redis.call('HSET', P .. 'sec', slot, sec .. ':' .. int(tonumber(n) + 1))
end
-- A receipt may have decided before the answer was recorded.
if m.s == 's' or (m.s == 'u' and s ~= 'u') or (m.s == 'q' and s == 'a') then
  if s == 'a' then redis.call('HDEL', rec(id), 'er') else redis.call('HSET', rec(id), 'er', err) end
  move(id, m, s, at, s == 'q' and at + tonumber(arg(7)) or nil)
  if s == 'q' and arg(7) == '0' then rejoin_line(id, m) end -- it waits for no retry of its own
end
apply_parked(id, m)
if s == 'a' and m.pi and arg(10) ~= '0' and open_end(m.s) then
  redis.call('ZADD', P .. 'poll', int(at + tonumber(arg(10))), id)
end
return 'recorded'
