-- Before every script on one session. KEYS[1] is its state, KEYS[2] its log.
-- Reads everything that later lines need: a script that fails (a key of another type, say) has then written nothing.

local call = redis.call

local function text(number)
  return string.format('%.0f', number)  -- tostring() would round what has more than 14 digits
end

-- The state is one line: layout, life, next position, base, count, removals, bytes of metadata, ids in the index, oldest
-- messages that may not be in it ('-': not kept), created, updated, ttl in microseconds ('-': none).
-- The key expires when the session does: where it is, the session is alive.
local kept = call('GET', KEYS[1])
local held = call('LLEN', KEYS[2])
local state = {}
if kept then
  -- The times of a document may lie beyond 2^53 microseconds, so `created` stays text.
  state.life, state.next, state.base, state.count, state.removals, state.bytes, state.given, state.bare, state.created,
    state.updated, state.ttl = string.match(kept,
    '^1 (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (-?%d+) (%d+) (%S+)$')
  if not state.life then
    return '!state'
  end
  state.next, state.base, state.count = tonumber(state.next), tonumber(state.base), tonumber(state.count)
  state.removals, state.bytes, state.given = tonumber(state.removals), tonumber(state.bytes), tonumber(state.given)
  state.bare, state.ttl = tonumber(state.bare), tonumber(state.ttl)  -- nil for '-'
end
local alive = kept and true or false

-- A server that evicts keys takes them one by one; a session that lacks one is reported, never shown as it is.
local damaged = (alive and state.count ~= held) or (not alive and held > 0)

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

-- The elements at the indexes from `first` to `last`, in chunks, beginning at that end which `newest_first` says, as many
-- as fit into about `budget` bytes; and whether some were left out (1) or not (0).
local function gather(first, last, budget, newest_first)
  local chunks, size, count, step = {}, 0, 0, 64
  while first <= last and size < budget do
    local from, to = first, math.min(last, first + step - 1)
    if newest_first then
      from, to = math.max(first, last - step + 1), last
    end
    local chunk = call('LRANGE', KEYS[2], from, to)
    for i = 1, #chunk do
      size = size + #chunk[i]
    end
    count = count + #chunk
    if newest_first then
      table.insert(chunks, 1, chunk)
      last = from - 1
    else
      chunks[#chunks + 1] = chunk
      first = to + 1
    end
    step = size / count < 8192 and 1024 or 64
  end
  return chunks, first <= last and 1 or 0
end

-- What every reading of the log returns. Packed, it is one string, many times cheaper to take apart than many strings are;
-- where the stored text is broken UTF-8, which packing does not bear, the caller asks for it `plain`.
local function reply(chunks, more, plain)
  if plain == '1' then
    return {kept, more, chunks}
  end
  return cmsgpack.pack({kept, more, chunks})
end

-- The newest `limit` elements at positions below `before`.
local function newest(limit, before, budget, plain)
  local stop = held
  if before ~= '' then
    stop = find(tonumber(before) - state.base)
  end
  local start = limit == '' and 0 or math.max(0, stop - tonumber(limit))
  local chunks, more = gather(start, stop - 1, tonumber(budget), true)
  return reply(chunks, more, plain)
end
