-- Remove the newest message. ARGV: 7 '' or the SHA-1 of the element that the caller has looked at and can read.

if damaged then
  return '!damaged'
end
if held == 0 then
  return remember('-')
end
local element = call('LINDEX', KEYS[2], -1)
local position, created, sum, id, start = string.match(element, ELEMENT)
local data = position and string.sub(element, start)
-- What was stored by this library and is unchanged can be read. Anything else the caller looks at before it goes; the sum
-- does not cover an id, and one that is not ASCII may be broken.
local sound = position and string.sub(redis.sha1hex(data), 1, 8) == sum and not string.find(id, '[\128-\255]')
if not sound and redis.sha1hex(element) ~= ARGV[7] then
  return '!check ' .. state.base .. '\n' .. element
end
if state.given ~= '0' then
  call('HLEN', KEYS[4])
end

begin()
call('RPOP', KEYS[2])
if state.given ~= '0' then
  state.given = text(state.given - call('HDEL', KEYS[4], id))
end
state.count = text(held - 1)
state.removals = text(state.removals + 1)
if state.bare ~= '-' then
  state.bare = text(math.min(state.bare, held - 1))
end
save()
return remember('+' .. text(position + state.base) .. ' ' .. created .. ' ' .. id .. '\n' .. data)
