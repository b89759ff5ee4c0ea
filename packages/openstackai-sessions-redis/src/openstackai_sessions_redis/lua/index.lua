-- Add the ids of some more old messages to the index of ids (KEYS[4]). ARGV: 1 how many. Returns how many are left.

if not state or damaged then
  return 0
end
local bare = state.bare == '-' and held or tonumber(state.bare)
local first = math.max(0, bare - tonumber(ARGV[1]))
local ids = {}
for i, element in ipairs(bare > 0 and call('LRANGE', KEYS[2], first, bare - 1) or {}) do
  local position, _, _, id = string.match(element, ELEMENT)
  if position then
    ids[#ids + 1] = id
    ids[#ids + 1] = position
  end
end
local given = call('HLEN', KEYS[4])
for i = 1, #ids, 1000 do
  given = given + call('HSET', KEYS[4], unpack(ids, i, math.min(i + 999, #ids)))
end
local line = string.gsub(kept, '^(1 %d+ %d+ %d+ %d+ %d+ %d+) %d+ %S+', '%1 ' .. text(given) .. ' ' .. text(first))
call('SET', KEYS[1], line, 'KEEPTTL')
local left = call('PTTL', KEYS[1])
if left > 0 then
  call('PEXPIRE', KEYS[4], left + 1000)  -- a little longer than the state, never less
end
return first
