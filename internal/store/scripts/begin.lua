-- Writes the intent to call the provider, if this task may. The same call
-- again gives the same answer.
-- Args: id, sequence, worker, epoch, nonce, ms until the deadline, the files that
-- the call names by their ids, a line "key id" for each.
local id, seq, nonce = arg(1), arg(2), arg(5)
local m = load(id)
if not m then return {'dropped'} end
even_if_full()
if m.s == 's' and m.n == nonce then return {'begun', m.at} end
if m.s ~= 'q' or m.k or m.q ~= seq then return {'dropped'} end
if not owned(arg(3), arg(4)) then return {'fenced'} end
if m.x then
  void(id, m)
  return {'dropped'}
end

local at = clock()
if tonumber(m.ex) <= at then
  expire(id, m, at)
  save(id, m)
  return {'expired'}
end
local hold = redis.call('HMGET', P .. 'hold', 'until', 'pause', 'pause' .. m.p)
if hold[2] or hold[3] or (hold[1] and tonumber(hold[1]) > at) then return {'held'} end
-- Those before it that ended without an attempt, are scheduled or wait for a
-- retry are passed by; what was before them counts then.
local before = m.pv
for _ = 1, 32 do
  if not before then break end
  local b = redis.call('HMGET', rec(before), 's', 'k', 'wb', 'pv')
  if b[1] == 'q' and (not b[2] or b[3]) then return {'behind'} end
  before = nil
  if (b[1] == 'q' or passed_by(b[1])) and b[4] then before = b[4] end
end
if before then -- a long way back: the next look goes on from here
  redis.call('HSET', rec(id), 'pv', before)
  return {'behind'}
end

put(m, 'at', int(tonumber(m.at or '0') + 1))
put(m, 'n', nonce)
put(m, 'as', int(at - tonumber(m.ct)))
if arg(7) ~= '' then put(m, 'fl', arg(7)) end
move(id, m, 's', at)
drop(m, 'pv')
save(id, m)
redis.call('ZADD', P .. 'fly', int(at + tonumber(arg(6))), id)
return {'begun', m.at}
