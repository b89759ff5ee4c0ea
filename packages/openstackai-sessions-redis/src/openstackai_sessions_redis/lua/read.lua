-- The newest messages. ARGV: 1 how many or '', 2 below which position or '', 3 about how many bytes at most,
-- 4 '' or the life and the count of removals that the log must have, for a further page of one reading,
-- 5 '1' for plain elements.

if damaged then
  return '!damaged'
elseif not state then
  return ARGV[4] == '' and '' or '!changed'
elseif ARGV[4] ~= '' and ARGV[4] ~= state.life .. ' ' .. state.removals then
  return '!changed'
end
return newest(ARGV[1], ARGV[2], ARGV[3], ARGV[5])
