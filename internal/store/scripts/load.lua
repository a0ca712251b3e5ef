-- Reads a record together with its recipient's standing.
-- Args: id.
-- Returns the record's fields in pairs (none: it isn't kept), the suppressions
-- by scope (a, m, c; '' where there is none), when the recipient was last heard
-- ('': not lately), and when the message's batch was cancelled ('': it wasn't).
local id = arg(1)
local result = redis.call('HGETALL', rec(id))
if #result == 0 then return result end
local to, in_batch
for i = 1, #result, 2 do
  if result[i] == 'to' then to = result[i + 1] end
  if result[i] == 'b' then in_batch = true end
end
local sup = redis.call('HMGET', P .. 'sup', 'a' .. to, 'm' .. to, 'c' .. to)
for i = 1, 3 do result[#result + 1] = sup[i] or '' end
result[#result + 1] = redis.call('GET', P .. 'w:' .. hash(to)) or ''
result[#result + 1] = in_batch and redis.call('HGET', batch(id), 'x') or ''
return result
