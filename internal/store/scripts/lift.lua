-- Ends a hold that comes from a certain outcome.
-- Args: the outcome.
if redis.call('HGET', P .. 'hold', 'why') ~= arg(1) then return 'another' end
redis.call('HDEL', P .. 'hold', 'until', 'reason', 'scope', 'why')
return 'lifted'
