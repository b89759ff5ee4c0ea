-- Remove the newest message. ARGV: 7 '' or the SHA-1 of the element that the caller has looked at and can read.

if damaged then
  return '!damaged'
end
if not alive or state.count == 0 then
  return remember('-')
end
local element = call('LINDEX', KEYS[2], -1)
local position, created, sum, id, start = string.match(element, ELEMENT)
local data = position and string.sub(element, start)
-- What was stored by this library and is unchanged can be read. Anything else the caller looks at before it goes.
if not (position and string.sub(redis.sha1hex(data), 1, 8) == sum) and redis.sha1hex(element) ~= ARGV[7] then
  return '!check ' .. text(state.base) .. '\n' .. element
end
if state.given > 0 then
  call('HGET', KEYS[4], id)
end

call('RPOP', KEYS[2])
if state.given > 0 then
  state.given = state.given - call('HDEL', KEYS[4], id)
end
state.count = state.count - 1
state.removals = state.removals + 1
state.bare = state.bare and math.min(state.bare, state.count) or nil
save()
return remember('+' .. text(tonumber(position) + state.base) .. ' ' .. created .. ' ' .. id .. '\n' .. data)
