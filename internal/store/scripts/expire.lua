-- Ends a message whose time has come by Redis' clock, or whose batch was
-- cancelled.
-- Args: id.
even_if_full()
local id = arg(1)
local m = load(id)
if not m or (m.s ~= 'q' and m.s ~= 'h') then return 'dropped' end
if m.x then
  void(id, m)
  return 'expired'
end
local at = clock()
if tonumber(m.ex) > at then return 'early' end
expire(id, m, at)
save(id, m)
return 'expired'
