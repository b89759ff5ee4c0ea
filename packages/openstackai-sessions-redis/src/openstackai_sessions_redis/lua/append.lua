-- Append messages whose ids are the library's own. ARGV: 7 the ids, one a line, 8... the messages, each 'SHA-1 id\npayload'.

if damaged then
  return '!damaged'
end
local batch = #ARGV - 7
if batch == 0 then
  return remember('-0 0')
end
if state and state.bare ~= '-' and call('HLEN', KEYS[4]) ~= tonumber(state.given) then
  return '!damaged'
end

begin()
local first = state.next
local position = first - state.base
local stamp = ' ' .. now_text .. ' '
local elements = {}
for i = 1, batch do
  elements[i] = text(position + i - 1) .. stamp .. ARGV[7 + i]
end
send('RPUSH', KEYS[2], elements)
if state.bare ~= '-' then
  local ids = {}
  for i = 1, batch do
    ids[2 * i - 1] = string.match(ARGV[7 + i], '^%x+ ([^\n]*)\n')
    ids[2 * i] = text(position + i - 1)
  end
  state.given = text(state.given + send('HSET', KEYS[4], ids))
end
state.next = text(first + batch)
state.count = text(state.count + batch)
save()
return remember('+' .. first .. ' ' .. now_text, '\n' .. ARGV[7])
