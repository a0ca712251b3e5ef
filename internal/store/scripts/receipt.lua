-- Applies one receipt of the provider, or keeps it for the message that will
-- turn out to be meant.
-- Args: id (empty: unknown), provider id, status letter, error, suppression,
-- '!' if what the message names by its id must be uploaded again.
-- Returns what it did, and whether there is somebody to be told.
local id, pid, s, err = arg(1), arg(2), arg(3), arg(4)
local at = clock()
local m

local function keep_for_later()
  local waiting = P .. 'pk:' .. hash(pid)
  redis.call('RPUSH', waiting, s .. int(at) .. arg(6) .. ' ' .. err .. '\n' .. arg(5))
  redis.call('LTRIM', waiting, -16, -1)
  redis.call('PEXPIRE', waiting, PARKED_RECEIPT_MS)
  return {'parked', ''}
end

if id ~= '' then
  m = load(id)
  if not m then return {'unmatched', ''} end
  -- While a later attempt is in flight, and an earlier one may have arrived, nobody
  -- knows which one has failed.
  if s == 'f' and m.s == 's' and (m.pi or m.pd) and pid ~= '' and m.pi ~= pid then return keep_for_later() end
  even_if_full()
  local known = m.pi
  link(id, m, pid)
  if not known then apply_parked(id, m) end
else
  if pid == '' then return {'unmatched', ''} end
  local from = 'p' .. hash(pid)
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', P .. 'ix', '[' .. from, '(' .. from .. '~', 'LIMIT', 0, 8)) do
    local other = string.sub(entry, 14)
    local o = load(other)
    if o and (o.pi == pid or not m) then id, m = other, o end
  end
  if not m then return keep_for_later() end
  even_if_full()
end
if arg(6) == '!' then drop_files(m) end
local applied = apply(id, m, s, at, err, pid)
save(id, m)
if not applied then return {'ignored', ''} end
suppress_as_told(m.to, arg(5), at)
return {'applied', told and 'told' or ''}
