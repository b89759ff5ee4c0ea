-- All of a session, as far as about ARGV[1] bytes of its newest messages go. KEYS[3] is the metadata.

if not alive then
  return damaged and '!damaged' or ''
end
local metadata = call('HGETALL', KEYS[3])
if damaged or (state.bytes > 0 and #metadata == 0) then
  return '!damaged'
end
return {state.created, metadata, newest('', '', tonumber(ARGV[1]))}
