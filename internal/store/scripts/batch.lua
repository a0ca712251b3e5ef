-- Opens a batch, or finds the one that its key was used for.
-- Args: what its messages' ids begin with, account, ms when it was created, key's
-- hash ('': none), key's life in ms.
-- Returns "opened", "taken" (the id belongs to another), or "known" and its name.
local name, key = arg(1), arg(4)
if key ~= '' then
  local seen = redis.call('GET', P .. 'i:' .. key)
  if seen and seen ~= name and redis.call('EXISTS', P .. 'b:' .. seen) == 1 then return {'known', seen} end
end
local was = redis.call('HGET', P .. 'b:' .. name, 'ct')
if was then return {was == arg(3) and 'opened' or 'taken'} end
redis.call('HSET', P .. 'b:' .. name, 'ac', arg(2), 'ct', arg(3))
redis.call('ZADD', P .. 'bl', 0, name)
set_alarm(name, clock() + HORIZON)
if key ~= '' then
  redis.call('SET', P .. 'i:' .. key, name, 'PX', arg(5))
  redis.call('SETRANGE', P .. 'bh:' .. name, 7, '\0')
  redis.call('PEXPIRE', P .. 'bh:' .. name, arg(5))
end
return {'opened'}
