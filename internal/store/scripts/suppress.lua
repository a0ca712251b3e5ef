-- An operator's word on one recipient: it replaces what was there.
-- Args: recipient, scope (a, m, c), "put" or "remove", ms until which (0: for
-- good), reason.
local to, scope = arg(1), arg(2)
if arg(3) == 'remove' then
  return unsuppress(to, scope) == 1 and 'removed' or 'absent'
end
unsuppress(to, scope)
suppress(to, scope, '!' .. arg(5), clock(), tonumber(arg(4)))
return 'put'
