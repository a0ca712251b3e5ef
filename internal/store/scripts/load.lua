-- Reads a record together with its recipient's standing.
-- Args: id.
-- Returns the record's fields in pairs (none: it isn't kept), the suppressions
-- by scope (a, m, c; '' where there is none), and when the recipient was last
-- heard ('': not lately).
local id = arg(1)
local fields = redis.call('HGETALL', rec(id))
local result = {}
for i, v in ipairs(fields) do result[i] = v end
if #fields == 0 then return result end
local to = redis.call('HGET', rec(id), 'to')
local sup = redis.call('HMGET', P .. 'sup', 'a' .. to, 'm' .. to, 'c' .. to)
for i = 1, 3 do result[#result + 1] = sup[i] or '' end
result[#result + 1] = redis.call('GET', P .. 'w:' .. hash(to)) or ''
return result
