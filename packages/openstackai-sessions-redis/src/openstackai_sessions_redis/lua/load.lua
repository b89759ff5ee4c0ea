-- All of a session, as far as about ARGV[1] bytes of its newest messages go. ARGV[2]: '1' for plain elements.
-- KEYS[3] is the metadata.

if not state then
  return damaged and '!damaged' or ''
end
local metadata = call('HGETALL', KEYS[3])
if damaged or (state.bytes ~= '0' and #metadata == 0) then
  return '!damaged'
end
return {metadata, newest('', '', ARGV[1], ARGV[2])}
