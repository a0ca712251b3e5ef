-- Gives messages whose task died with its worker a fresh one. What has an
-- intent, is parked or is done is left alone.
-- Args: worker, epoch, then ids. Returns id#sequence and lane of each task.
if not owned(arg(1), arg(2)) then return {'fenced'} end
local at, result = clock(), {'adopted'}
for i = 3, #ARGV - 4 do
  local id = arg(i)
  local m = load(id)
  if m and m.s == 'q' and not m.k then
    redis.call('ZREM', P .. 'out', id .. '#' .. m.q)
    result[#result + 1] = enqueue(id, m, at)
    result[#result + 1] = m.p
    save(id, m)
  end
end
return result
