-- Expires a message whose time has come by Redis' clock.
-- Args: id.
even_if_full()
local id = arg(1)
local m = load(id)
if not m or (m.s ~= 'q' and m.s ~= 'h') then return 'dropped' end
local at = clock()
if tonumber(m.ex) > at then return 'early' end
expire(id, m, at)
return 'expired'
