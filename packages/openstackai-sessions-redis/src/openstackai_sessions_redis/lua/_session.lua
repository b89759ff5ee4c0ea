-- Before every script on one session. KEYS[1] is its state, KEYS[2] its log.
-- Reads everything that later lines need: a script that fails (a key of another type, say) has then written nothing.

local call = redis.call

local function text(number)
  return string.format('%.0f', number)  -- tostring() would round what has more than 14 digits
end

local function number(value)
  return value and tonumber(value) or nil
end

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

local kept = call('HMGET', KEYS[1], 'life', 'next', 'base', 'count', 'removals', 'created', 'updated', 'ttl', 'deadline',
  'bytes', 'given', 'bare')
local held = call('LLEN', KEYS[2])

-- The times of a document may lie beyond 2^53 microseconds, so `created` stays text.
local state = {
  life = kept[1], next = number(kept[2]), base = number(kept[3]), count = number(kept[4]), removals = number(kept[5]),
  created = kept[6], updated = kept[7], ttl = number(kept[8]), deadline = number(kept[9]), bytes = number(kept[10]),
  given = number(kept[11]), bare = number(kept[12])
}

local alive = state.life and not (state.deadline and now >= state.deadline)

-- A server that evicts keys takes them one by one; a session that lacks one is reported, never shown as it is.
local damaged = (alive and state.count ~= held) or (not state.life and held > 0)

-- An element of the log: position (counted from the state's base), microseconds, eight digits of the payload's SHA-1,
-- id, a line end, payload.
local ELEMENT = '^(%d+) (-?%d+) (%x+) ([^\n]*)\n()'

local function position_at(index)
  local position = string.match(call('LINDEX', KEYS[2], index), '^(%d+) ')
  if not position then
    error('openstackai-unreadable ' .. index)
  end
  return tonumber(position)
end

-- The index of the first element at `position` or above. Positions rise by one except where messages were popped, so
-- that the two ends of the log nearly always say where it is.
local function find(position)
  if held == 0 then
    return 0
  end
  local first, newest = position_at(0), position_at(held - 1)
  if position <= first then
    return 0
  elseif position > newest then
    return held
  end
  local low = math.max(0, held - 1 - (newest - position))
  local high = math.min(held - 1, position - first)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if position_at(middle) < position then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- One string for many elements: their lengths, a line end, and all of them end to end.
local function joined(elements)
  local lengths = {}
  for i = 1, #elements do
    lengths[i] = #elements[i]
  end
  return table.concat(lengths, ' ') .. '\n' .. table.concat(elements)
end

-- The elements at the indexes from `first` to `last`, from that end on which `newest_first` says, as many as fit into
-- about `budget` bytes, oldest first; and whether some were left out.
local function gather(first, last, budget, newest_first)
  local taken, size, step = {}, 0, 64
  while first <= last and size < budget do
    local from, to = first, math.min(last, first + step - 1)
    if newest_first then
      from, to = math.max(first, last - step + 1), last
    end
    local chunk = call('LRANGE', KEYS[2], from, to)
    for i = 1, #chunk do
      size = size + #chunk[i]
    end
    if newest_first then
      for i = #chunk, 1, -1 do
        taken[#taken + 1] = chunk[i]
      end
      last = from - 1
    else
      for i = 1, #chunk do
        taken[#taken + 1] = chunk[i]
      end
      first = to + 1
    end
    step = size / #taken < 8192 and 1024 or 64
  end
  if newest_first then
    local count = #taken
    for i = 1, math.floor(count / 2) do
      taken[i], taken[count + 1 - i] = taken[count + 1 - i], taken[i]
    end
  end
  return taken, first <= last
end

-- The newest `limit` elements at positions below `before`, with the line that every reply about the log begins with.
local function newest(limit, before, budget)
  local stop = held
  if before ~= '' then
    stop = find(tonumber(before) - state.base)
  end
  local start = limit == '' and 0 or math.max(0, stop - tonumber(limit))
  local elements, more = gather(start, stop - 1, budget, true)
  return table.concat({state.life, text(state.removals), text(state.base), more and '1' or '0'}, ' ')
    .. '\n' .. joined(elements)
end
