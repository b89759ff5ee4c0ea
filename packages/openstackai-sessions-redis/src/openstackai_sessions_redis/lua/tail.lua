-- The ARGV[1] newest messages, as they are nearly always asked for. KEYS: 1 state, 2 log.
-- The caller compares their number with the state: this script does as little as can be done.

return cmsgpack.pack({
  redis.call('GET', KEYS[1]) or '', 0, {redis.call('LRANGE', KEYS[2], '-' .. ARGV[1], -1)}
})
