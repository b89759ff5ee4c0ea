-- Before every write, after _session.lua.
-- KEYS: 1 state, 2 log, 3 metadata, 4 index of ids, 5 operations, 6 older operations; of the bucket: 7 index, 8 deadlines.
-- ARGV: 1 op_id, 2 digest, 3 for how long operations are remembered, 4 ttl or '' (both in microseconds),
--       5 a life to begin, 6 session id.

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The ledger is two hashes, so that forgetting costs nothing: once the newer is old enough that all that the older
-- holds may be forgotten, it takes the older one's place. The field '' says since when it has been filled, and for
-- how long its own operations and those of the older one must be remembered (handles may differ in that).
local ledger = call('HMGET', KEYS[5], ARGV[1], '')
local entry = ledger[1] or call('HGET', KEYS[6], ARGV[1])
local remembered_for = tonumber(ARGV[3])
if entry then
  local at, start = string.match(entry, '^(%d+) ()', #ARGV[2] + 1)
  if at and now - tonumber(at) <= remembered_for then
    if string.sub(entry, 1, #ARGV[2]) ~= ARGV[2] then
      return '!op'
    end
    return '=' .. string.sub(entry, start)
  end
end

-- Remember the outcome of this operation, and return it.
local function remember(outcome, unsent)
  local since, own, older
  if ledger[2] then
    since, own, older = string.match(ledger[2], '^(%d+) (%d+) (%d+)$')
    since, own, older = tonumber(since), tonumber(own), tonumber(older)
  end
  local turned = not since
  if since and now - since > math.max(own, older) then
    call('RENAME', KEYS[5], KEYS[6])
    since, older, turned = nil, own, true
  end
  if turned or remembered_for > own then
    since, own, older = since or now, math.max(remembered_for, since and own or 0), older or 0
    local header = table.concat({text(since), text(own), text(older)}, ' ')
    call('HSET', KEYS[5], '', header, ARGV[1], ARGV[2] .. text(now) .. ' ' .. outcome .. (unsent or ''))
    call('PEXPIREAT', KEYS[5], text(math.ceil((since + math.max(own, older) + own) / 1000)))
  else
    call('HSET', KEYS[5], ARGV[1], ARGV[2] .. text(now) .. ' ' .. outcome .. (unsent or ''))
  end
  return outcome
end

-- Every eighth write takes some sessions of its bucket out of the index that have expired.
local expired = clock[2] % 8 == 0 and call('ZRANGEBYSCORE', KEYS[8], '-inf', '(' .. text(math.floor(now / 1000)), 'LIMIT', 0, 16) or {}

local function sweep()
  for i = 1, #expired do
    if expired[i] ~= ARGV[6] then
      call('ZREM', KEYS[7], expired[i])
      call('ZREM', KEYS[8], expired[i])
    end
  end
end

-- What an earlier life has left behind.
local function drop()
  call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
end

local begun = false
local remains = false

-- Begin a life where there is none. Reads only: it is `clean` and `save` that write.
local function begin()
  if alive then
    return
  end
  remains = held > 0 or call('EXISTS', KEYS[3], KEYS[4]) > 0
  call('ZSCORE', KEYS[7], ARGV[6])
  begun = true
  held = 0
  state = {
    life = ARGV[5], next = 1, base = 0, count = 0, removals = 0, created = text(now), bytes = 0, given = 0
  }
end

-- The first line that writes where a session may grow: it must be a command that a full server refuses, because
-- after any other the server lets the rest of the script pass.
local function clean()
  if remains then
    call('SET', KEYS[1], '')
    drop()
  end
end

-- Store the state, refresh the deadline, and keep the bucket's index.
local function save()
  state.ttl = ARGV[4] ~= '' and tonumber(ARGV[4]) or state.ttl
  local line = table.concat({
    '1', state.life, text(state.next), text(state.base), text(state.count), text(state.removals), text(state.bytes),
    text(state.given), state.bare and text(state.bare) or '-', state.created, text(now), state.ttl and text(state.ttl) or '-'
  }, ' ')
  if begun then
    call('ZADD', KEYS[7], 0, ARGV[6])
  end
  if not state.ttl then
    call('SET', KEYS[1], line)
    if begun then
      call('ZREM', KEYS[8], ARGV[6])
    end
  else
    local deadline = text(math.ceil((now + state.ttl) / 1000))
    call('SET', KEYS[1], line, 'PXAT', deadline)
    call('ZADD', KEYS[8], deadline, ARGV[6])
    if state.count > 0 then
      call('PEXPIREAT', KEYS[2], deadline)
    end
    if state.bytes > 0 then
      call('PEXPIREAT', KEYS[3], deadline)
    end
    if state.given > 0 then
      call('PEXPIREAT', KEYS[4], deadline)
    end
  end
  sweep()
end

-- `unpack` puts its values on Lua's stack, which holds some 8,000.
local function push(key, elements)
  for i = 1, #elements, 1000 do
    call('RPUSH', key, unpack(elements, i, math.min(i + 999, #elements)))
  end
end

local function put(key, pairs_of)
  local added = 0
  for i = 1, #pairs_of, 1000 do
    added = added + call('HSET', key, unpack(pairs_of, i, math.min(i + 999, #pairs_of)))
  end
  return added
end

-- Where is the message with this id? Its element, or nil.
local function look_up(id)
  local position = call('HGET', KEYS[4], id)
  return position and call('LINDEX', KEYS[2], find(tonumber(position))) or nil
end

-- Ids that look like the library's own are kept in the index of ids only from when a caller gives one (`bare` is then
-- set: the number of oldest messages whose ids may not be in it yet). Whether every id of the log is in it by now.
local function indexed()
  return state.given == state.count or state.bare == 0
end
