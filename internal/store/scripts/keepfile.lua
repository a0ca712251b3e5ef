-- Keeps the id of a file that was uploaded, in place of an older one.
-- Args: key, version, id, ms for which the id may be used.
even_if_full()
local life = tonumber(arg(4))
local value = arg(2) .. ' ' .. int(clock() + life) .. ' ' .. arg(3)
redis.call('SET', P .. 'f:' .. arg(1), value, 'PX', int(math.max(math.min(life, KEEP_RECORD), 1)))
return 'kept'
