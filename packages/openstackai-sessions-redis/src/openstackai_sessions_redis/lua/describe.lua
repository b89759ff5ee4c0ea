-- For each session, whose state is at KEYS[i]: 'count created updated', or '' where it is no more.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local lines = {}
for i, key in ipairs(KEYS) do
  local state = redis.call('HMGET', key, 'deadline', 'count', 'created', 'updated')
  local over = not state[2] or (state[1] and now >= tonumber(state[1]))
  lines[i] = over and '' or table.concat(state, ' ', 2)
end
return table.concat(lines, '\n')
