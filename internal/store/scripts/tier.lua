-- KEYS[1] is the count of a tier: recipient -> when they were last written to
-- first. Counts one more, if the tier lets it; one that is counted stays so.
-- Args: recipient ('': nobody, it only looks), the tier, ms that it looks back,
-- most old entries dropped at one time.
-- Returns whether the recipient is counted now (0, 1), how many are, and ms until
-- there is room for another (0: there is).
local to, limit, back, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local function int(x) return string.format('%.0f', x) end

local old = redis.call('ZCOUNT', KEYS[1], '-inf', int(now - back))
local used = redis.call('ZCARD', KEYS[1]) - old
local counted = 0
if to ~= '' then
  local who = string.sub(redis.sha1hex(to), 1, 12)
  local last = redis.call('ZSCORE', KEYS[1], who)
  local known = last and tonumber(last) > now - back
  if known or used < limit then
    counted = 1
    if not known then used = used + 1 end
    redis.call('ZADD', KEYS[1], int(now), who)
    local dropped = math.min(redis.call('ZCOUNT', KEYS[1], '-inf', int(now - back)), most)
    if dropped > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, dropped - 1) end
    redis.call('PEXPIRE', KEYS[1], int(back))
  end
end
if used < limit then return {counted, used, 0} end
-- Room comes when as many have left as are beyond one less than the tier.
local first = redis.call('ZCARD', KEYS[1]) - limit
local leaves = redis.call('ZRANGE', KEYS[1], first, first, 'WITHSCORES')
return {counted, used, math.max(tonumber(leaves[2]) + back - now, 1)}
