-- Claims the idempotency key and writes the record, its indexes, its counter,
-- its event and its line in the outbox: all or nothing.
-- Args: id, created, lane, recipient, reference, batch, send_at (0: at once),
-- expires, idempotency key's hash, body hash, key's life in ms, answer, then
-- the record's fields in pairs.
local id, created, lane = arg(1), tonumber(arg(2)), arg(3)
local send_at, idem, body = tonumber(arg(7)), arg(9), arg(10)

if idem ~= '' then
  local seen = redis.call('GET', P .. 'i:' .. idem)
  if seen then
    if string.sub(seen, 1, 32) == body then return {'known', string.sub(seen, 33)} end
    return {'reused'}
  end
end
if redis.call('EXISTS', rec(id)) == 1 then return {'created'} end -- the client sent the command twice

local fields = {}
for i = 13, #ARGV - 4 do fields[#fields + 1] = arg(i) end
redis.call('HSET', rec(id), unpack(fields))

local at = clock()
local m = {p = lane, ex = arg(8), to = arg(4)}
local s = send_at > 0 and 'h' or 'q'
local to = 't' .. hash(arg(4))
if s == 'q' then join_line(id, m) end

redis.call('ZADD', P .. 'ix', 0, 'a' .. id, 0, to .. id)
if arg(5) ~= '' then redis.call('ZADD', P .. 'ix', 0, 'r' .. hash(arg(5)) .. id) end
if arg(6) ~= '' then redis.call('ZADD', P .. 'ix', 0, 'b' .. hash(arg(6)) .. id) end
if s == 'h' then
  park(id, m, send_at)
else
  redis.call('ZADD', P .. 'out', int(at), id .. '#0')
end
redis.call('HSET', rec(id), 's', s, 'ut', int(created), 'h', s .. int(created))
count(lane, nil, bucket(s))
set_timer(id, m, s, at)
redis.call('XADD', P .. 'ev', 'MAXLEN', '~', EVENTS, '*', 'id', id, 'f', '', 't', s, 'at', int(created))
if idem ~= '' then redis.call('SET', P .. 'i:' .. idem, body .. arg(12), 'PX', arg(11)) end
return {'created'}
