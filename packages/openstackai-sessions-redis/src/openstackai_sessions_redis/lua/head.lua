-- The state of a session, and its newest position.

if damaged then
  return '!damaged'
elseif not state then
  return ''
end
local newest = 0
if held > 0 then
  local position = string.match(call('LINDEX', KEYS[2], -1), '^(%d+) ')
  -- Where the newest element is no record, its position is not above this; whoever reads it will be told.
  newest = position and position + state.base or state.next - 1
end
return kept .. ' ' .. text(newest)
