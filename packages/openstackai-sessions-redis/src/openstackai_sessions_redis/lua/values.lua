-- Metadata. KEYS[3] is its key. ARGV: the keys wanted; none: all.

if not state then
  return damaged and '!damaged' or ''
elseif damaged or (state.bytes ~= '0' and call('EXISTS', KEYS[3]) == 0) then
  return '!damaged'
elseif #ARGV == 0 then
  return call('HGETALL', KEYS[3])
end
local values = {}
for i = 1, #ARGV do
  values[i] = call('HGET', KEYS[3], ARGV[i])
end
return values
