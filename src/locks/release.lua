-- Gives locks back, or the place in line for them, and hands each to the next.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 token, 2 kind
-- reply 1 if all of them were held by this token, else 0
local token, kind = ARGV[1], ARGV[2]
if kind == 'm' and #KEYS == 6 and redis.call('ZCARD', KEYS[2]) == 0 then  -- nobody waits
  if redis.call('GET', KEYS[1]) ~= token then return 0 end
  return redis.call('DEL', KEYS[1])
end
-- include queue

local released = 1
for first = 1, #KEYS, keys_a_lock do
  local lock = keys_at(first)
  if holds(lock, kind, token) then drop(lock, kind, token) else released = 0 end
  dequeue(lock, token)
end
forget_wait(token)
for first = 1, #KEYS, keys_a_lock do hand_over(keys_at(first)) end
return released
