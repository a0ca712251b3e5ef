package queue

import "github.com/redis/go-redis/v9"

// renewScript keeps a worker alive and says who else is, in one command. A
// renewal fails, with an empty answer, once the key is gone: what has lapsed
// never comes back under its nonce. Keys of the dead expire by themselves;
// their nonces are forgotten here. It also says when the next of the others
// would die unless it renews, so that a death is noticed as it happens.
//
// KEYS: live:<nonce>, nonces, owners, version, and one that is never there
// ARGV: "start", "renew" or "read"; nonce; JSON of the worker; TTL in ms;
// version of the directory that the caller has; prefix of the live keys
// Answer: version, [nonce, JSON, …], [account, "nonce:epoch", …] if the version
// moved, ms until the first of the others would die (-1: there is no other)
var renewScript = redis.NewScript(`
if ARGV[1] == 'start' then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  redis.call('SADD', KEYS[2], ARGV[2])
elseif ARGV[1] == 'renew' and not redis.call('SET', KEYS[1], ARGV[3], 'XX', 'PX', ARGV[4]) then
  return {}
end
local live, soonest = {}, -1
for _, nonce in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local worker = redis.call('GET', ARGV[6] .. nonce)
  if worker then
    live[#live + 1] = nonce
    live[#live + 1] = worker
    local left = redis.call('PTTL', ARGV[6] .. nonce)
    if nonce ~= ARGV[2] and (soonest < 0 or left < soonest) then
      soonest = left
    end
  else
    redis.call('SREM', KEYS[2], nonce)
  end
end
local version = redis.call('GET', KEYS[4]) or '0'
local owners = {}
if version ~= ARGV[5] then
  owners = redis.call('HGETALL', KEYS[3])
end
return {version, live, owners, soonest}`)

// quitScript takes a worker out of the living.
//
// KEYS: live:<nonce>, nonces
// ARGV: nonce
var quitScript = redis.NewScript(`
redis.call('SREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])`)

// takeScript makes a worker the owner if the owner and epoch are still the
// expected ones. Asked again after it succeeded, it answers the same.
//
// KEYS: the account's owner key
// ARGV: expected worker, expected epoch, new worker
// Answer: 1 or 0, then worker and epoch as they are now, then how many ms the
// owner must wait before its first send
var takeScript = redis.NewScript(`
local worker = redis.call('HGET', KEYS[1], 'worker') or ''
local epoch = redis.call('HGET', KEYS[1], 'epoch') or '0'
local wanted = string.format('%.0f', tonumber(ARGV[2]) + 1)
if worker == ARGV[1] and epoch == ARGV[2] then
  redis.call('HSET', KEYS[1], 'worker', ARGV[3], 'epoch', wanted)
elseif worker ~= ARGV[3] or epoch ~= wanted then
  return {0, worker, epoch, 0}
end
local now = redis.call('TIME')
local wait = tonumber(redis.call('HGET', KEYS[1], 'next') or '0') - (now[1] * 1000 + math.floor(now[2] / 1000))
return {1, ARGV[3], wanted, math.max(0, math.min(60000, wait))}`)

// releaseScript lets go of an account, if it is still the worker's, and leaves
// the time before which the next owner must not send.
//
// KEYS: the account's owner key
// ARGV: worker, epoch, ms from now
// Answer: 1 if nobody owns the account now, 0 if another worker does
var releaseScript = redis.NewScript(`
local worker = redis.call('HGET', KEYS[1], 'worker') or ''
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then
  return 0
end
if worker == ARGV[1] then
  local now = redis.call('TIME')
  local next = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'worker', '', 'next', string.format('%.0f', next))
  return 1
end
return worker == '' and 1 or 0`)

// recordScript brings the directory up to what the owner keys said, for reports
// may arrive out of order: an older epoch never replaces a younger one, unless
// the mode says that the directory itself was found wrong.
//
// KEYS: owners, version
// ARGV: "report" or "repair"; channel to poke, or ""; then account, worker, epoch, …
var recordScript = redis.NewScript(`
local changed = false
for i = 3, #ARGV, 3 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local new = ARGV[i + 1] .. ':' .. ARGV[i + 2]
  local before = old and tonumber(string.match(old, ':(%d+)$')) or -1
  local epoch = tonumber(ARGV[i + 2])
  if old ~= new and (ARGV[1] == 'repair' or epoch > before or (epoch == before and ARGV[i + 1] == '')) then
    redis.call('HSET', KEYS[1], ARGV[i], new)
    changed = true
  end
end
if changed then
  redis.call('INCR', KEYS[2])
end
if ARGV[2] ~= '' then
  redis.call('PUBLISH', ARGV[2], '')
end
return 1`)
