-- Before every script on one session. KEYS[1] is its state, KEYS[2] its log.
-- Scripts read all that they touch before they write: one that fails (a key of another type, say) has written nothing.

local call = redis.call

local function text(number)
  return string.format('%.0f', number)  -- tostring() would round what has more than 14 digits
end

-- The state is one line: layout, life, next position, base, count, removals, bytes of metadata, ids in the index, oldest
-- messages that may not be in it ('-': it is not kept in full), created, updated, ttl in microseconds ('-': none).
-- Its fields stay text here. The key expires when the session does: where it is, the session is alive.
local kept = call('GET', KEYS[1])
local held = call('LLEN', KEYS[2])
local state
if kept then
  local life, next, base, count, removals, bytes, given, bare, created, updated, ttl = string.match(kept,
    '^1 (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (-?%d+) (%d+) (%S+)$')
  if not life then
    return '!state'
  end
  state = {
    life = life, next = next, base = base, count = count, removals = removals, bytes = bytes, given = given, bare = bare,
    created = created, updated = updated, ttl = ttl
  }
end

-- A server that evicts keys takes them one by one; a session that lacks one is reported, never shown as it is.
local damaged = held ~= (state and tonumber(state.count) or 0)

-- An element of the log: position (counted from the state's base), microseconds, eight digits of the payload's SHA-1,
-- id, a line end, payload.
local ELEMENT = '^(%d+) (-?%d+) ([^ \n]*) ([^\n]*)\n()'
