-- Reads a file that the provider keeps. One that is in use isn't forgotten
-- before its id expires.
-- Args: key.
-- Returns version, id and the ms that are left of its life, or nothing.
local was = redis.call('GET', P .. 'f:' .. arg(1))
if not was then return {} end
local version, till, file = string.match(was, '^(%S*) (%d+) (.*)$')
local left = tonumber(till) - clock()
if left <= 0 then return {} end
redis.call('PEXPIRE', P .. 'f:' .. arg(1), math.min(left, KEEP_RECORD))
return {version, file, int(left)}
