-- Holds the account; an earlier end never replaces a later one.
-- Args: ms from now, reason, scope, the outcome it comes from, '1' if a callback
-- told of it. Returns the end in force.
local till = clock() + tonumber(arg(1))
local was = redis.call('HGET', P .. 'hold', 'until')
if was and tonumber(was) > till then return was end
redis.call('HSET', P .. 'hold', 'until', int(till), 'reason', arg(2), 'scope', arg(3), 'why', arg(4), 'told', arg(5))
return int(till)
