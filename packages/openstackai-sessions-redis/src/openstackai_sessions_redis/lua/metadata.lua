-- Set and remove metadata. ARGV: 7 the most bytes it may have, 8 the number of values, 9... keys with values, keys to go.

local values = tonumber(ARGV[8])
local bytes = state and tonumber(state.bytes) or 0
if damaged or (bytes > 0 and call('EXISTS', KEYS[3]) == 0) then
  return '!damaged'
end
local sets, gone = {}, {}
for i = 9, 8 + 2 * values, 2 do
  local old = state and call('HSTRLEN', KEYS[3], ARGV[i]) or 0  -- a value is JSON, so that 0 means that there is none
  bytes = bytes + #ARGV[i + 1] - old + (old == 0 and #ARGV[i] or 0)
  sets[#sets + 1] = ARGV[i]
  sets[#sets + 1] = ARGV[i + 1]
end
for i = 9 + 2 * values, #ARGV do
  local old = state and call('HSTRLEN', KEYS[3], ARGV[i]) or 0
  if old > 0 then
    bytes = bytes - old - #ARGV[i]
    gone[#gone + 1] = ARGV[i]
  end
end
if values == 0 and #gone == 0 then
  return remember('-')
end
if bytes > tonumber(ARGV[7]) then
  return '!metadata ' .. text(bytes)
end

begin()
send('HSET', KEYS[3], sets)
send('HDEL', KEYS[3], gone)
state.bytes = text(bytes)
save()
return remember('+')
