-- Put a staged import in its place. KEYS: 9 staged log, 10 staged index of ids.
-- ARGV: 7 'append' or 'replace', 8 the document's created_at or '', 9 the number of messages, 10 the most bytes of
--       metadata, 11... metadata keys with values.

local append = ARGV[7] == 'append'
local count = tonumber(ARGV[9])
if append and (damaged or (state and state.bytes ~= '0' and call('EXISTS', KEYS[3]) == 0)) then
  return '!damaged'
end
if call('LLEN', KEYS[9]) ~= count then
  return '!staged'
end
local staged_ids = call('HLEN', KEYS[10])
if count == 0 and #ARGV == 10 and (append or not state) then
  return remember('-')
end

local metadata, bytes = {}, append and state and tonumber(state.bytes) or 0
for i = 11, #ARGV, 2 do
  local old = append and state and call('HSTRLEN', KEYS[3], ARGV[i]) or 0
  bytes = bytes + #ARGV[i + 1] - old + (old == 0 and #ARGV[i] or 0)
  metadata[#metadata + 1] = ARGV[i]
  metadata[#metadata + 1] = ARGV[i + 1]
end
if bytes > tonumber(ARGV[10]) then
  return '!metadata ' .. text(bytes)
end

-- Behind what is there, the staged messages are copied, and those that are there already left out.
local behind = append and held > 0 and count > 0
local known, fresh = {}, count
if behind then
  if not indexed() then
    return '!index'
  end
  if call('HLEN', KEYS[4]) ~= tonumber(state.given) then
    return '!damaged'
  end
  for from = 0, count - 1, 1000 do
    local chunk, ids = call('LRANGE', KEYS[9], from, from + 999), {}
    for i = 1, #chunk do
      ids[i] = string.match(chunk[i], '^%d+ %-?%d+ %x+ ([^\n]*)\n')
    end
    for i, position in ipairs(call('HMGET', KEYS[4], unpack(ids))) do
      if position then
        local element = call('LINDEX', KEYS[2], find(tonumber(position)))
        local _, _, _, id, stored = string.match(element or '', ELEMENT)
        if id ~= ids[i] or string.sub(element, stored) ~= string.sub(chunk[i], (string.find(chunk[i], '\n', 1, true)) + 1) then
          return '!id' .. (from + i)
        end
        known[from + i] = true
        fresh = fresh - 1
      end
    end
  end
  if fresh == 0 and #metadata == 0 then
    call('UNLINK', KEYS[9], KEYS[10])
    return remember('-')
  end
end

begin()
if behind then
  local position = state.next - state.base
  local given = tonumber(state.given)
  for from = 0, count - 1, 1000 do
    local elements, ids = {}, {}
    local chunk = call('LRANGE', KEYS[9], from, from + 999)
    local n = 0
    for i = 1, #chunk do
      if not known[from + i] then
        local at = text(position)
        local rest, id = string.match(chunk[i], '^%d+() %-?%d+ %x+ ([^\n]*)\n')
        n = n + 1
        elements[n] = at .. string.sub(chunk[i], rest)
        ids[2 * n - 1] = id
        ids[2 * n] = at
        position = position + 1
      end
    end
    send('RPUSH', KEYS[2], elements)
    given = given + send('HSET', KEYS[4], ids)
  end
  call('UNLINK', KEYS[9], KEYS[10])
  state.next = text(state.next + fresh)
  state.count = text(held + fresh)
  state.given = text(given)
  state.bare = '0'
elseif count > 0 or not append then
  call('UNLINK', KEYS[2], KEYS[4])
  if count > 0 then
    call('RENAME', KEYS[9], KEYS[2])
    call('PERSIST', KEYS[2])
  end
  if staged_ids > 0 then
    call('RENAME', KEYS[10], KEYS[4])
    call('PERSIST', KEYS[4])
  end
  state.base = text(state.next - 1)
  state.next = text(state.next + count)
  state.count = ARGV[9]
  state.removals = text(state.removals + 1)
  state.given = text(staged_ids)
  state.bare = '-'
end
if not append then
  call('UNLINK', KEYS[3])
  if ARGV[8] ~= '' then
    state.created = ARGV[8]
  end
end
send('HSET', KEYS[3], metadata)
state.bytes = text(bytes)
save()
return remember('+')
