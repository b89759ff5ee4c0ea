-- Take expired sessions out of a bucket's index, at most ARGV[1]; their keys expire by themselves. Returns how many.
-- KEYS: 1 index, 2 deadlines.

local clock = redis.call('TIME')
local now = string.format('(%.0f', math.floor(clock[1] * 1000 + clock[2] / 1000))
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
if #expired > 0 then
  redis.call('ZCARD', KEYS[1])
  redis.call('ZREM', KEYS[1], unpack(expired))
  redis.call('ZREM', KEYS[2], unpack(expired))
end
return #expired
