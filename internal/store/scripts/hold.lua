-- Holds the account; an earlier end never replaces a later one.
-- Args: ms from now, reason, scope, the outcome it comes from, '1' if a callback
-- told of it, the part of its rate that the account comes back with (0: no other
-- than now). Returns the end in force.
local till = clock() + tonumber(arg(1))
local was = tonumber(redis.call('HGET', P .. 'hold', 'until') or '0')
if was > till then
  till = was
else
  redis.call('HSET', P .. 'hold', 'until', int(till), 'reason', arg(2), 'scope', arg(3), 'why', arg(4), 'told', arg(5))
end
if arg(6) ~= '0' then redis.call('HSET', P .. 'hold', 'share', arg(6), 'grows', int(till)) end
return int(till)
