-- Takes note of what a recipient wrote or chose.
-- Args: recipient, ms when it was said (0 or less: nobody knows), ms a service
-- window lasts (0: it opens none), consent: stop, start, stop-marketing,
-- start-marketing or '', the number the recipient has changed to or ''.
-- Returns "noted" and, if something is due of what waited, "due".
local from, said, window, consent, moved = arg(1), tonumber(arg(2)), tonumber(arg(3)), arg(4), arg(5)
local at = clock()
said = math.min(said, at)
local word = ''

-- What waits for room in the tier needs none within a service window.
local function bring_back(to)
  for _, lane in ipairs({'t', 'b'}) do
    local id = redis.call('HGET', P .. 'lw', lane .. hash(to))
    for _ = 1, 32 do
      if not id then break end
      local m = load(id)
      if not m then break end
      if m.s == 'q' and m.k and tonumber(m.k) >= BEYOND then
        park(id, m, at)
        save(id, m)
        word = 'due'
      end
      id = m.pv
    end
  end
end

-- Providers repeat callbacks for days: only a younger word replaces an older one.
local REPEATED_MS = 8 * 86400000

local function note(to)
  if window > 0 and said + window > at then
    local key = P .. 'w:' .. hash(to)
    if said > tonumber(redis.call('GET', key) or '0') then
      redis.call('SET', key, int(said), 'PX', int(said + window - at))
    end
    bring_back(to)
  end
  local started = P .. 'st:' .. hash(to)

  -- A stop of an unknown time is obeyed as if it were said now. A start isn't, for
  -- it may be older than a stop.
  local function stop(scope)
    local when = said
    if when <= 0 then when = at end
    if when > tonumber(redis.call('GET', started) or '0') then suppress(to, scope, 'opt-out', when, 0) end
  end

  local function start(scope)
    local stopped, operator = string.match(redis.call('HGET', P .. 'sup', scope .. to) or '0 0 ', '^(%d+) %d+ (!?)')
    if said >= tonumber(stopped) and operator ~= '!' then unsuppress(to, scope) end
    if said > tonumber(redis.call('GET', started) or '0') and said + REPEATED_MS > at then
      redis.call('SET', started, int(said), 'PX', int(said + REPEATED_MS - at))
    end
  end

  if consent == 'stop' then
    stop('a')
  elseif consent == 'start' then
    start('a')
    start('m')
  elseif consent == 'stop-marketing' then
    stop('m')
  elseif consent == 'start-marketing' then
    start('m')
  end
end

-- Who takes another number is the same person, and what holds for them goes on
-- holding, unless they have said since that it doesn't. What ends by itself ends
-- there too; the old number keeps its entries, for it may be told of again.
local function follow(to, scope)
  local since, till, reason = string.match(redis.call('HGET', P .. 'sup', scope .. to) or '', '^(%d+) (%d+) (.*)$')
  if not since then return end
  since, till = tonumber(since), tonumber(till)
  if till ~= 0 and till <= at then return end
  local by_operator = string.sub(reason, 1, 1) == '!'
  if not by_operator and since <= tonumber(redis.call('GET', P .. 'st:' .. hash(moved)) or '0') then return end
  if string.match(redis.call('HGET', P .. 'sup', scope .. moved) or '', '^%d+ 0 ') then return end
  suppress(moved, scope, reason, since, till)
end

local function heard(to)
  note(to)
  if moved == '' or moved == to then return end
  follow(to, 'a')
  follow(to, 'm')
  follow(to, 'c')
end

heard(from)
local known = redis.call('GET', P .. 'al:' .. hash(from))
if known then heard(known) end -- who is written to by another number
return {'noted', word}
