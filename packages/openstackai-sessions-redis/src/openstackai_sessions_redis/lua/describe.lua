-- For each session, whose state is at KEYS[i], that state, or '' where it is no more.

local lines = {}
for i = 1, #KEYS do
  lines[i] = redis.call('GET', KEYS[i]) or ''
end
return table.concat(lines, '\n')
