-- Ends a hold that comes from a certain outcome.
-- Args: the outcome, '1' if also one that a callback told of.
local hold = redis.call('HMGET', P .. 'hold', 'why', 'told')
if hold[1] ~= arg(1) or (hold[2] == '1' and arg(2) ~= '1') then return 'another' end
redis.call('HDEL', P .. 'hold', 'until', 'reason', 'scope', 'why', 'told')
return 'lifted'
