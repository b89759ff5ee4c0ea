-- The state of a session, and its newest position.

if damaged then
  return '!damaged'
elseif not state then
  return ''
end
return kept .. ' ' .. text(held > 0 and position_at(held - 1) + state.base or 0)
