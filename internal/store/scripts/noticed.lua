-- What became of telling one notice. The same call again changes nothing.
-- Args: id, number, "done", "failed" or "dropped", ms until the next try, error,
-- tries made, ms of the first one ('': none).
even_if_full()
local id, n, what = arg(1), arg(2), arg(3)
local line = redis.call('LINDEX', P .. 'nq:' .. id, 0)
if not line or string.match(line, '^(%d+) ') ~= n then return 'known' end
local at = clock()
if what == 'failed' then
  if redis.call('EXISTS', rec(id)) == 1 then redis.call('HSET', rec(id), 'nt', arg(6), 'ns', arg(7)) end
  redis.call('ZADD', P .. 'no', int(at + tonumber(arg(4))), id)
  return 'later'
end
if what == 'dropped' then
  redis.call('XADD', P .. 'nd', 'MAXLEN', '~', 10000, '*', 'id', id, 'n', line, 'er', arg(5))
end
redis.call('LPOP', P .. 'nq:' .. id)
if redis.call('EXISTS', rec(id)) == 1 then redis.call('HDEL', rec(id), 'nt', 'ns') end
if redis.call('LLEN', P .. 'nq:' .. id) > 0 then
  redis.call('ZADD', P .. 'no', int(at), id)
else
  redis.call('ZREM', P .. 'no', id)
end
return 'told'
