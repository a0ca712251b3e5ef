-- Claims the oldest notice of each message that is due. Only the owner may.
-- Args: worker, epoch, most, ms of the claim.
-- Returns "claimed", ms until the next is due (0: nothing waits), then for each:
-- id, notice, account, URL, reference, batch, provider id, metadata, tries made,
-- ms of the first try ('': none).
even_if_full()
if not owned(arg(1), arg(2)) then return {'fenced'} end
local at, found = clock(), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'no', '-inf', int(at), 'LIMIT', 0, tonumber(arg(3)))) do
  local line = redis.call('LINDEX', P .. 'nq:' .. id, 0)
  local v = redis.call('HMGET', rec(id), 'a', 'cb', 'r', 'b', 'pi', 'md', 'nt', 'ns')
  if line and v[2] then
    redis.call('ZADD', P .. 'no', int(at + tonumber(arg(4))), id)
    found[#found + 1] = {id, line, v[1], v[2], v[3] or '', v[4] or '', v[5] or '', v[6] or '', v[7] or '0', v[8] or ''}
  else
    redis.call('ZREM', P .. 'no', id)
    redis.call('DEL', P .. 'nq:' .. id)
  end
end
local first = redis.call('ZRANGE', P .. 'no', 0, 0, 'WITHSCORES')
local result = {'claimed', first[2] and int(math.max(tonumber(first[2]) - at, 1)) or '0'}
for _, notice in ipairs(found) do
  for _, v in ipairs(notice) do result[#result + 1] = v end
end
return result
