-- Put a part of an import aside. KEYS: 1 staged log, 2 staged index of ids.
-- ARGV: 1 milliseconds until it is dropped, 2 the number of elements, 3... the elements, then ids with positions.

local elements = tonumber(ARGV[2])
local function send(command, key, first, last)
  for i = first, last, 1000 do
    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, last)))
  end
  if first <= last then
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
redis.call('HLEN', KEYS[2])
send('RPUSH', KEYS[1], 3, 2 + elements)
send('HSET', KEYS[2], 3 + elements, #ARGV)
return redis.call('LLEN', KEYS[1])
