-- Brings back messages that wait for room in the tier, transactional first, in
-- the order they were accepted. Only the owner may.
-- Args: worker, epoch, most of them.
-- Returns id#sequence and lane of each task.
if not owned(arg(1), arg(2)) then return {'fenced'} end
even_if_full()
local at, left, result = clock(), tonumber(arg(3)), {'released'}
for _, lane in ipairs({'t', 'b'}) do
  if left <= 0 then break end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'park' .. lane, int(BEYOND), '+inf', 'LIMIT', 0, left)) do
    left = left - 1
    local m = load(id)
    if m and m.s == 'q' and m.x then
      void(id, m)
    elseif m and m.s == 'q' then
      unpark(id, m)
      result[#result + 1] = enqueue(id, m, at)
      result[#result + 1] = m.p
      save(id, m)
    else
      redis.call('ZREM', P .. 'park' .. lane, id)
    end
  end
end
return result
