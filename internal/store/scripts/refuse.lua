-- Ends a queued message that our own checks refuse (j), or that we can't handle
-- (f). No attempt was made.
-- Args: id, sequence, error, status.
even_if_full()
local id = arg(1)
local m = load(id)
if not m or m.s ~= 'q' or m.k or m.q ~= arg(2) then return 'dropped' end
if m.x then
  void(id, m)
  return 'dropped'
end
put(m, 'er', arg(3))
move(id, m, arg(4), clock())
save(id, m)
return 'refused'
