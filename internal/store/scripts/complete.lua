-- Says that a batch's upload came to its end.
-- Args: what its messages' ids begin with.
local key = P .. 'b:' .. arg(1)
if redis.call('EXISTS', key) == 0 then return 'gone' end
even_if_full()
redis.call('HSET', key, 'done', '1')
return 'complete'
