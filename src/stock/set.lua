-- Sets the level, and forgets reservations and what users have; or, if asked, leaves an existing stock alone.
--
-- KEYS  1 level, 2 holds, 3 buyers
-- ARGV  1 level, 2 '1' to keep what exists
-- reply 'ok LEVEL' with what is stored now, or 'corrupt' or an error: nothing was changed
-- include shelf
if ARGV[2] == '1' then
  local level, why = read_level()
  if level then return 'ok ' .. integer(level) end
  if why ~= 'missing' then return why end
end
redis.call('DEL', holds_key, buyers_key)  -- first: it is not refused for want of memory, nor is what follows it
redis.call('SET', level_key, ARGV[1])
return 'ok ' .. ARGV[1]
