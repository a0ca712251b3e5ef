-- Takes note of what a recipient wrote or chose.
-- Args: recipient, ms when it was said, ms a service window lasts (0: it opens
-- none), consent: stop, start, stop-marketing, start-marketing or ''.
local to, said, window, consent = arg(1), tonumber(arg(2)), tonumber(arg(3)), arg(4)
local at = clock()
said = math.min(said, at)
if window > 0 and said + window > at then
  local key = P .. 'w:' .. hash(to)
  if said > tonumber(redis.call('GET', key) or '0') then
    redis.call('SET', key, int(said), 'PX', int(said + window - at))
  end
end
if consent == 'stop' then
  suppress(to, 'a', 'opt-out', at, 0)
elseif consent == 'start' then
  unsuppress(to, 'a')
  unsuppress(to, 'm')
elseif consent == 'stop-marketing' then
  suppress(to, 'm', 'opt-out', at, 0)
elseif consent == 'start-marketing' then
  unsuppress(to, 'm')
end
return 'noted'
