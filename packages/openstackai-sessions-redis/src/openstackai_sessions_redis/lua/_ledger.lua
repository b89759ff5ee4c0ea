-- Before every write, after _state.lua.
-- KEYS: 1 state, 2 log, 3 metadata, 4 index of ids, 5 operations, 6 older operations; of the bucket: 7 index, 8 deadlines.
-- ARGV: 1 op_id, 2 digest, 3 for how long operations are remembered, 4 ttl or '' (both in microseconds),
--       5 a life to begin, 6 session id.

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local now_text = text(now)

-- The ledger is two hashes, so that forgetting costs nothing: once the newer is old enough that all that the older
-- holds may be forgotten, it takes the older one's place. The field '' says since when it has been filled, and for
-- how long its own operations and those of the older one must be remembered (handles may differ in that).
local ledger = call('HMGET', KEYS[5], ARGV[1], '')
local entry = ledger[1] or call('HGET', KEYS[6], ARGV[1])
if entry then
  local at, start = string.match(entry, '^(%d+) ()', #ARGV[2] + 1)
  if at and now - at <= tonumber(ARGV[3]) then
    if string.sub(entry, 1, #ARGV[2]) ~= ARGV[2] then
      return '!op'
    end
    return '=' .. string.sub(entry, start)
  end
end

-- Remember the outcome of this operation, and return it without `more`, which a repetition gets too.
local function remember(outcome, more)
  local value = table.concat({ARGV[2], now_text, ' ', outcome, more})
  local for_own, since, own, older = tonumber(ARGV[3]), nil, 0, 0
  if ledger[2] then
    since, own, older = string.match(ledger[2], '^(%d+) (%d+) (%d+)$')
    since, own, older = tonumber(since), tonumber(own), tonumber(older)
  end
  if since and now - since > math.max(own, older) then
    call('RENAME', KEYS[5], KEYS[6])
    since, own, older = nil, 0, own
  end
  if since and own >= for_own then
    call('HSET', KEYS[5], ARGV[1], value)
  else
    since, own = since or now, for_own
    call('HSET', KEYS[5], '', table.concat({text(since), text(own), text(older)}, ' '), ARGV[1], value)
    call('PEXPIREAT', KEYS[5], text(math.ceil((since + math.max(own, older) + own) / 1000)))
  end
  return outcome
end
