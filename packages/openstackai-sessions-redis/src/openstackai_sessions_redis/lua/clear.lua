-- Remove every message; positions go on, metadata stays.

if not state or (state.count == '0' and held == 0) then
  return remember('-')
end
begin()
call('UNLINK', KEYS[2], KEYS[4])
state.count = '0'
state.removals = text(state.removals + 1)
state.given = '0'
state.bare = '-'
save()
return remember('+')
