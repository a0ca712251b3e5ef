-- Cancels what waits in a batch: from here on its messages count as cancelled,
-- and none of them begins. Their records follow, piece by piece (keep.lua).
-- Args: what its messages' ids begin with.
local key = P .. 'b:' .. arg(1)
if redis.call('EXISTS', key) == 0 then return 'gone' end
if redis.call('HEXISTS', key, 'x') == 1 then return 'cancelled' end
even_if_full()
local waiting = {'ts', 'tp', 'tk', 'bs', 'bp', 'bk'}
for i, n in ipairs(redis.call('HMGET', key, unpack(waiting))) do
  n = tonumber(n or '0')
  add(P .. 'n', waiting[i], -n)
  add(key, waiting[i], -n)
  add(key, 'c', n)
end
redis.call('HSET', key, 'x', int(clock()))
redis.call('ZADD', P .. 'bx', 1, arg(1))
return 'cancelled'
