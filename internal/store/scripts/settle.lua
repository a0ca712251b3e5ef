-- KEYS[1] is the due index. Sets when an account is next due, or takes it out,
-- unless somebody asked for an earlier time since it was read.
-- Args: account, the score that was read ('': none), ms until it is next due
-- (0: never). Returns the score the account has then ('': none).
local score, wait = redis.call('ZSCORE', KEYS[1], ARGV[1]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local moved = score and score ~= ARGV[2]
if wait == 0 then
  if score and not moved then redis.call('ZREM', KEYS[1], ARGV[1]) end
elseif not moved or tonumber(score) > now + wait then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + wait), ARGV[1])
end
return redis.call('ZSCORE', KEYS[1], ARGV[1]) or ''
