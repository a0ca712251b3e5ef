-- Cancels a message of which no call is in flight and none was accepted.
-- Args: id.
local id = arg(1)
local m = load(id)
if not m then return 'gone' end
if m.s == 'c' then return 'cancelled' end
if (m.s ~= 'h' and m.s ~= 'q') then return 'conflict' end
if m.x then
  void(id, m)
  return told and 'told' or 'cancelled'
end
local at = clock()
if tonumber(m.ex) <= at then return 'conflict' end
if m.pd then return 'conflict' end -- an attempt whose outcome nobody knows may have reached the recipient
move(id, m, 'c', at)
save(id, m)
return told and 'told' or 'cancelled'
