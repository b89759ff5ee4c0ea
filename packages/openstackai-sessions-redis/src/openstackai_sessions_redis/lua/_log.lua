-- Before the scripts that look for positions in the log or return parts of it.

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
