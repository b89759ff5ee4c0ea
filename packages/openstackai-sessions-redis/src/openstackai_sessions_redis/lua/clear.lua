-- Remove every message; positions go on, metadata stays.

if not alive or (state.count == 0 and held == 0) then
  return remember('-')
end
call('UNLINK', KEYS[2], KEYS[4])
state.count = 0
state.removals = state.removals + 1
state.given = 0
state.bare = nil
save()
return remember('+')
