-- Claims the message whose provider is asked next for its status. Only the owner
-- may. The claim is that the message is due again when its next question is: one
-- whose answer gets lost is left out, and none is asked twice.
-- Args: worker, epoch, ms for which a message is asked after, then the gaps
-- between its questions in ms; the last one repeats.
-- Returns "claimed", ms until the next is due (0: nothing waits), then id and
-- provider id, if one is due.
even_if_full()
if not owned(arg(1), arg(2)) then return {'fenced'} end
local at, life = clock(), tonumber(arg(3))
local result = {'claimed', '0'}

-- Which gap is next follows from the age alone.
local function gap(age)
  local sum = 0
  for i = 4, #ARGV - 4 do
    sum = sum + tonumber(arg(i))
    if age < sum then return tonumber(arg(i)) end
  end
  return tonumber(arg(#ARGV - 4))
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'poll', '-inf', int(at), 'LIMIT', 0, 100)) do
  local v = redis.call('HMGET', rec(id), 's', 'pi', 'as', 'ct')
  local age = v[3] and at - tonumber(v[4]) - tonumber(v[3]) or life
  if v[2] and open_end(v[1]) and age < life then
    redis.call('ZADD', P .. 'poll', int(at + gap(age)), id)
    result[3], result[4] = id, v[2]
    break
  end
  redis.call('ZREM', P .. 'poll', id)
end
local first = redis.call('ZRANGE', P .. 'poll', 0, 0, 'WITHSCORES')
if first[2] then result[2] = int(math.max(tonumber(first[2]) - at, 1)) end
return result
