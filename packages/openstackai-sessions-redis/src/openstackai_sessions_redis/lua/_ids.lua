-- Before the scripts that look for ids, after _log.lua.

-- Where is the message with this id? Its element, or nil.
local function look_up(id)
  local position = call('HGET', KEYS[4], id)
  return position and call('LINDEX', KEYS[2], find(tonumber(position))) or nil
end

-- Ids that look like the library's own are kept in the index of ids only from when a caller gives one. Whether every id of
-- the log is in it by now.
local function indexed()
  return state.given == state.count or state.bare == '0'
end
