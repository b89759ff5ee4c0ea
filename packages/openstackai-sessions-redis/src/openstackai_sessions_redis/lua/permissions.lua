-- May this user do all that the writing scripts do? What a script has written stays when a later command of it is not
-- permitted, so this is asked before a store's first write. KEYS: 1 a key that nothing else uses. Returns '+', the error of
-- a command that is not permitted, or '?' where the server (full, or a replica) does not say.

local done = redis.pcall('SET', KEYS[1], '', 'PX', 1000)
local function denied(outcome)
  local text = type(outcome) == 'table' and outcome.err or ''
  return (string.find(text, 'NOPERM', 1, true) or string.find(text, "can't run", 1, true)
    or string.find(text, "can't access", 1, true) or string.find(text, 'no permission', 1, true)) and text
end
if denied(done) then
  return redis.error_reply('NOPERM SET: ' .. denied(done))
elseif type(done) == 'table' and done.err then
  return '?'
end

-- To a key that holds a string, most of these are an error after the permission has been looked at, and write nothing.
local missing
for _, command in ipairs({
  {'RPUSH', KEYS[1], ''}, {'RPOP', KEYS[1]}, {'HSET', KEYS[1], '', ''}, {'HDEL', KEYS[1], ''},
  {'ZADD', KEYS[1], '0', ''}, {'ZREM', KEYS[1], ''}, {'RENAME', KEYS[1], KEYS[1]}, {'PTTL', KEYS[1]},
  {'PERSIST', KEYS[1]}, {'PEXPIRE', KEYS[1], '1000'}, {'PEXPIREAT', KEYS[1], '1'}, {'UNLINK', KEYS[1]}
}) do
  local text = denied(redis.pcall(unpack(command)))
  missing = missing or text and command[1] .. ': ' .. text
end
return missing and redis.error_reply('NOPERM ' .. missing) or '+'
