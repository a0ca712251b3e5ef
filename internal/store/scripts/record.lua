-- Records what became of an attempt. The same call again changes nothing.
-- Args: id, nonce, next status (a, f, q, u), provider id, error, ms until the
-- retry, whether the attempt counts (0, 1), suppression, ms until the provider
-- is first asked what became of it (0: it isn't asked), the number by which the
-- provider knows the recipient ('': it doesn't say), then of the attempt: number,
-- when it began, ms it took, outcome, code, detail.
local id, nonce, s, pid, err = arg(1), arg(2), arg(3), arg(4), arg(5)
local m = load(id)
if not m then return 'gone' end
if m.n == '!' .. nonce then return 'recorded' end
even_if_full()
local at, mine = clock(), m.n == nonce
if not mine and s ~= 'a' then return 'late' end
-- A yes is proof, whoever brings it: of an attempt before the one in flight, or
-- of an intent that a failover has lost. It ends the waiting for another try.
if not mine and m.s ~= 'q' and m.s ~= 'u' then
  link(id, m, pid)
  put(m, 'pd', '1')
  save(id, m)
  return 'late'
end
if s == 'q' and m.x then s = given_up(m) end -- its batch was cancelled: it isn't tried again
log_attempt(m, arg(11), tonumber(arg(12)), arg(13), arg(14), arg(15), arg(16))
suppress_as_told(m.to, arg(8), at)
put(m, 'n', '!' .. nonce)
put(m, 'sp', int(tonumber(m.sp or '0') + tonumber(arg(7))))
link(id, m, pid, true)
if s == 'a' and arg(10) ~= '' and arg(10) ~= m.to then
  redis.call('SET', P .. 'al:' .. hash(arg(10)), m.to, 'PX', int(KEEP_RECORD))
end
if s == 'a' then
  local slot, sec = 's' .. math.floor(at / 1000) % 60, int(math.floor(at / 1000))
  local was = redis.call('HGET', P .. 'sec', slot)
  local n = was and string.match(was, '^' .. sec .. ':(%d+)$') or 0
  redis.call('HSET', P .. 'sec', slot, sec .. ':' .. int(tonumber(n) + 1))
end
-- A receipt may have decided before the answer was recorded.
if m.s == 's' or (m.s == 'u' and s ~= 'u') or (m.s == 'q' and s == 'a') then
  if s == 'a' or err == '' then drop(m, 'er') else put(m, 'er', err) end
  move(id, m, s, at, s == 'q' and at + tonumber(arg(6)) or nil)
  if s == 'q' and arg(6) == '0' then rejoin_line(id, m) end -- it waits for no retry of its own
end
apply_parked(id, m)
save(id, m)
local worth = s == 'u' and m.s == 'u'
if s == 'a' and m.pi and open_end(m.s) then worth = true end
if worth and arg(9) ~= '0' then
  redis.call('ZADD', P .. 'poll', int(at + tonumber(arg(9))), id)
end
return 'recorded'
