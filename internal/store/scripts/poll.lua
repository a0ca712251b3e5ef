-- Claims the message whose provider is asked next what became of it. Only the
-- owner may. The claim is that the message is due again when its next question
-- is: one whose answer gets lost is left out, and none is asked twice.
-- Args: worker, epoch, then how messages are asked after that the provider has,
-- and those of which that is unknown: each the ms for which, and the gaps between
-- the questions in ms, the last of which repeats.
-- Returns "claimed", ms until the next is due (0: nothing waits), then id,
-- provider id (empty: unknown), recipient and the attempt's beginning, if one is
-- due.
even_if_full()
if not owned(arg(1), arg(2)) then return {'fenced'} end
local at = clock()
local result = {'claimed', '0'}

-- Which gap is next follows from the age alone; none after its life.
local function gap(plan, age)
  local life, sum, last = nil, 0, nil
  for n in string.gmatch(plan, '%d+') do
    n = tonumber(n)
    if not life then
      life = n
      if age >= life then return nil end
    else
      sum, last = sum + n, n
      if age < sum then return n end
    end
  end
  return last
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'poll', '-inf', int(at), 'LIMIT', 0, 100)) do
  local m = load(id)
  local pid, began, wait = '', nil, nil
  if m and m.as then
    began = tonumber(m.ct) + tonumber(m.as)
    if m.s == 'u' then
      wait = gap(arg(4), at - since(m))
    elseif m.pi and open_end(m.s) then
      pid, wait = m.pi, gap(arg(3), at - began)
    end
  end
  if wait then
    redis.call('ZADD', P .. 'poll', int(at + wait), id)
    result[3], result[4], result[5], result[6] = id, pid, m.to, int(began)
    break
  end
  redis.call('ZREM', P .. 'poll', id)
end
local first = redis.call('ZRANGE', P .. 'poll', 0, 0, 'WITHSCORES')
if first[2] then result[2] = int(math.max(tonumber(first[2]) - at, 1)) end
return result
