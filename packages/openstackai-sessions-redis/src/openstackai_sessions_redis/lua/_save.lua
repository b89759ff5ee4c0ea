-- Before the scripts that change a session, after _ledger.lua.

-- Every eighth write takes some sessions out of the bucket's index that have expired.
local expired = clock[2] % 8 == 0
  and call('ZRANGEBYSCORE', KEYS[8], '-inf', '(' .. text(math.floor(now / 1000)), 'LIMIT', 0, 16) or {}

local begun = false

-- Begin a life where there is none. To be called when all has been read, before the first write.
local function begin()
  if ARGV[4] ~= '' or state and state.ttl ~= '-' then
    call('ZCARD', KEYS[8])
  end
  if state then
    return
  end
  call('ZSCORE', KEYS[7], ARGV[6])
  if held > 0 or call('EXISTS', KEYS[3], KEYS[4]) > 0 then
    -- The first command that writes must be one that a full server refuses: after any other it lets the rest pass.
    call('SET', KEYS[1], '')
    call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  end
  begun = true
  held = 0
  state = {
    life = ARGV[5], next = '1', base = '0', count = '0', removals = '0', bytes = '0', given = '0', bare = '-',
    created = now_text, updated = now_text, ttl = '-'
  }
end

-- Store the state, refresh the deadline, and keep the bucket's index.
local function save()
  local ttl = ARGV[4] ~= '' and ARGV[4] or state.ttl
  local line = table.concat({
    '1', state.life, state.next, state.base, state.count, state.removals, state.bytes, state.given, state.bare,
    state.created, now_text, ttl
  }, ' ')
  if begun then
    call('ZADD', KEYS[7], 0, ARGV[6])
    call('ZREM', KEYS[8], ARGV[6])
  end
  if ttl == '-' then
    call('SET', KEYS[1], line)
  else
    local deadline = text(math.ceil((now + ttl) / 1000))
    call('SET', KEYS[1], line, 'PXAT', deadline)
    call('ZADD', KEYS[8], deadline, ARGV[6])
    if state.count ~= '0' then
      call('PEXPIREAT', KEYS[2], deadline)
    end
    if state.bytes ~= '0' then
      call('PEXPIREAT', KEYS[3], deadline)
    end
    if state.given ~= '0' then
      call('PEXPIREAT', KEYS[4], deadline)
    end
  end
  for i = 1, #expired do
    if expired[i] ~= ARGV[6] then
      call('ZREM', KEYS[7], expired[i])
      call('ZREM', KEYS[8], expired[i])
    end
  end
end

-- Give `values` to a command that takes any number of them. `unpack` puts them on Lua's stack, which holds some 8,000.
local function send(command, key, values)
  local result = 0
  for i = 1, #values, 1000 do
    result = result + call(command, key, unpack(values, i, math.min(i + 999, #values)))
  end
  return result
end
