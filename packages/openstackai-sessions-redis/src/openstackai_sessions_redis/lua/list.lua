-- The first ids of a bucket in a range, without what has expired. KEYS: 1 index, 2 deadlines.
-- ARGV: 1 and 2 the range, 3 how many.

local clock = redis.call('TIME')
local now = string.format('(%.0f', math.floor(clock[1] * 1000 + clock[2] / 1000))
local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)
if #expired > 0 then
  -- On a replica, which takes no writes, they stay; the sessions themselves say that they are over.
  local done = redis.pcall('ZREM', KEYS[1], unpack(expired))
  if type(done) == 'number' then
    redis.call('ZREM', KEYS[2], unpack(expired))
    found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
  end
end
return table.concat(found, '\n')
