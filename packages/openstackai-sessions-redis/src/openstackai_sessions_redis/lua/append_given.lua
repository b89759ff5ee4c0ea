-- Append messages some of whose ids are the caller's. ARGV: 7 the ids, one a line; 8 a letter a message: '.' the library's
-- own id, 'i' one that is kept in the index of ids all the same, 'g' the caller's, 'u' the caller's that looks like the
-- library's own; 9... the messages, each 'SHA-1 id\npayload'.

if damaged or (state and call('HLEN', KEYS[4]) ~= tonumber(state.given)) then
  return '!damaged'
end
local marks = ARGV[8]
local batch = #ARGV - 8
local index_all = state and state.bare or '-'
if string.find(marks, 'u', 1, true) then
  if state and not indexed() then
    return '!index'
  end
  index_all = index_all == '-' and '0' or index_all
end

local known, notes = {}, {}
local i = state and string.find(marks, '[gu]')
while i do
  local id, data = string.match(ARGV[8 + i], '^%x+ ([^\n]*)\n()')
  local element = look_up(id)
  if element then
    local position, created, _, stored_id, stored = string.match(element, ELEMENT)
    if stored_id ~= id or string.sub(element, stored) ~= string.sub(ARGV[8 + i], data) then
      return '!id' .. i
    end
    known[i] = true
    notes[#notes + 1] = ' ' .. i .. ':' .. text(position + state.base) .. ':' .. created
  end
  i = string.find(marks, '[gu]', i + 1)
end
if #notes == batch then
  return remember('-0 0' .. table.concat(notes), '\n' .. ARGV[7])
end

begin()
local first = state.next
local position = first - state.base
local stamp = ' ' .. now_text .. ' '
local elements, ids = {}, {}
for i = 1, batch do
  if not known[i] then
    local at = text(position + #elements)
    elements[#elements + 1] = at .. stamp .. ARGV[8 + i]
    if index_all ~= '-' or string.sub(marks, i, i) ~= '.' then
      ids[#ids + 1] = string.match(ARGV[8 + i], '^%x+ ([^\n]*)\n')
      ids[#ids + 1] = at
    end
  end
end
send('RPUSH', KEYS[2], elements)
state.given = text(state.given + send('HSET', KEYS[4], ids))
state.bare = index_all
state.next = text(first + #elements)
state.count = text(state.count + #elements)
save()
return remember('+' .. first .. ' ' .. now_text .. table.concat(notes), '\n' .. ARGV[7])
