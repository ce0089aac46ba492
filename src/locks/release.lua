-- Gives locks back, or the place in line for them, and hands each to the next.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 token, 2 kind
-- reply 1 if all of them were held by this token, else 0
local token, kind = ARGV[1], ARGV[2]
-- The common cases, before anything else is defined: nobody waits, or first in line is a living waiter
-- for this one mutex, who is given it just as by `hand_over`.
if kind == 'm' and #KEYS == 6 then
  local held = redis.call('GET', KEYS[1]) == token
  local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not first then return held and redis.call('DEL', KEYS[1]) or 0 end
  if held and not redis.call('ZSCORE', KEYS[2], token) then
    local wish = redis.call('HGET', KEYS[3], first) or ''
    local limit, id, channel = string.match(wish, '^m (%d+) (%d+) 0 (%S+) $')
    local seen = channel and redis.call('ZSCORE', KEYS[4], channel)
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    if seen and now - seen <= 750 then
      local last = tonumber(redis.call('GET', KEYS[5]) or 0) or 0
      local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
      redis.call('SET', KEYS[5], fence, 'PX', 86400000)
      redis.call('SET', KEYS[1], first, 'PX', 300)
      redis.call('HSET', KEYS[3], first, 'm ' .. limit .. ' ' .. id .. ' 1 ' .. channel .. ' ')
      redis.pcall('PUBLISH', channel, id .. ' handed ' .. string.format('%.0f', now) .. ' ' .. fence)
      return 1
    end
  end
end
-- include owner
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
