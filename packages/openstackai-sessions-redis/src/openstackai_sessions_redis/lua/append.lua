-- Append a batch. ARGV: 7 the ids of the batch, one a line; 8 '' or a letter a message: '.' the library's own id, 'i' one
-- that is kept in the index of ids, 'g' the caller's, 'u' the caller's that looks like the library's own;
-- 9... the messages, each 'SHA-1 id\npayload'.

if damaged then
  return '!damaged'
end
local marks = ARGV[8]
local batch = #ARGV - 8
if batch == 0 then
  return remember('-0 0')
end

local index_all = state.bare
if string.find(marks, 'u', 1, true) and alive then
  if not indexed() then
    return '!index'
  end
  index_all = index_all or 0
end
if (marks ~= '' or index_all) and alive and call('HLEN', KEYS[4]) ~= state.given then
  return '!damaged'
end

local known = {}
local notes = {}
local given = alive and string.find(marks, '[gu]')
while given do
  local id, data = string.match(ARGV[8 + given], '^%x+ ([^\n]*)\n()')
  local element = look_up(id)
  if element then
    local position, created, _, stored_id, stored = string.match(element, ELEMENT)
    if stored_id ~= id or string.sub(element, stored) ~= string.sub(ARGV[8 + given], data) then
      return '!id' .. given
    end
    known[given] = true
    notes[#notes + 1] = ' ' .. given .. ':' .. text(tonumber(position) + state.base) .. ':' .. created
  end
  given = string.find(marks, '[gu]', given + 1)
end
if #notes == batch then
  return remember('-0 0' .. table.concat(notes), '\n' .. ARGV[7])
end

begin()
state.bare = index_all or (begun and string.find(marks, 'u', 1, true) and 0) or nil
if begun and marks ~= '' then
  call('HLEN', KEYS[4])
end
clean()
local first = state.next
local position = first - state.base
local stamp = ' ' .. text(now) .. ' '
local elements, ids = {}, {}
for i = 1, batch do
  if not known[i] then
    local at = text(position)
    elements[#elements + 1] = at .. stamp .. ARGV[8 + i]
    if state.bare or string.find(marks, '^[igu]', i) then
      ids[#ids + 1] = string.match(ARGV[8 + i], '^%x+ ([^\n]*)\n')
      ids[#ids + 1] = at
    end
    position = position + 1
  end
end
push(KEYS[2], elements)
state.next = first + #elements
state.count = state.count + #elements
if #ids > 0 then
  state.given = state.given + put(KEYS[4], ids)
end
save()
return remember('+' .. text(first) .. ' ' .. text(now) .. table.concat(notes), '\n' .. ARGV[7])
