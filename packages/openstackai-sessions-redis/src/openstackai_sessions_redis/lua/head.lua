-- The state of a session: life, count, newest position, created, updated.

if damaged then
  return '!damaged'
elseif not alive then
  return ''
end
local last = held > 0 and position_at(held - 1) + state.base or 0
return table.concat({state.life, text(state.count), text(last), state.created, state.updated}, ' ')
