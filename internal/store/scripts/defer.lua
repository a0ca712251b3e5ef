-- Parks a queued message whose task may not begin now. Its task is done then.
-- Args: id, sequence, ms until it is due ('': when the tier has room), whether it
-- waits for the message before it (0, 1): who waits so is not overtaken by the one
-- behind it.
even_if_full()
local id = arg(1)
local m = load(id)
if not m or m.s ~= 'q' or m.k or m.q ~= arg(2) then return 'dropped' end
redis.call('ZREM', P .. 'out', id .. '#' .. m.q)
local beyond = arg(3) == ''
if arg(4) == '1' and m.pv then -- behind one that waits for room: until then it would come in vain
  local before = redis.call('HGET', rec(m.pv), 'k')
  if before and tonumber(before) >= BEYOND then beyond = true end
end
if beyond then defer(id, m, BEYOND + tonumber(m.ct)) else defer(id, m, clock() + tonumber(arg(3))) end
if arg(4) == '1' then put(m, 'wb', '1') end
save(id, m)
return 'parked'
