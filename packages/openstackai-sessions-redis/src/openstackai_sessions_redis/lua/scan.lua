-- The oldest messages of a range. ARGV: 1 life, 2 above which position, 3 up to which, 4 how many,
-- 5 about how many bytes at most, 6 '1' for plain elements.

if damaged then
  return '!damaged'
elseif not state or state.life ~= ARGV[1] then
  return ''
end
local start = find(tonumber(ARGV[2]) - state.base + 1)
local stop = find(tonumber(ARGV[3]) - state.base + 1)
local chunks, more = gather(start, math.min(start + tonumber(ARGV[4]), stop) - 1, tonumber(ARGV[5]), false)
return reply(chunks, more, ARGV[6])
