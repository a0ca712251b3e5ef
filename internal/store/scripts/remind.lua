-- KEYS[1] is the due index. Has an account looked after at a time, if nobody
-- wants that earlier.
-- Args: account, ms from now, or the time in ms. Returns in how many ms it is.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local at = ARGV[3] ~= '' and tonumber(ARGV[3]) or now + tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], 'LT', string.format('%.0f', at), ARGV[1])
return tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) - now
