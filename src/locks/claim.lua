-- Makes a lock that was handed over one's own, for a lease of its own. Never takes a lock that is not
-- the caller's already: it may arrive late.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 token, 2 lease in ms, 0 for none, 3 kind, 4 the process's channel
-- reply 'held FENCE[,FENCE...]' | 'lost': it must ask again
-- include owner
local token, lease, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if kind == 'm' and #KEYS == 6 then  -- the common case, before the rest is defined
  if redis.call('GET', KEYS[1]) == token then
    if lease == 0 then
      redis.call('PERSIST', KEYS[1])
      redis.call('PERSIST', KEYS[5])
    else
      redis.call('PEXPIRE', KEYS[1], lease)
    end
    if redis.call('ZREM', KEYS[2], token) == 1 then redis.call('HDEL', KEYS[3], token) end
    forget_wait(token)
    return 'held ' .. (redis.call('GET', KEYS[5]) or '0')
  end
end
-- include queue

local fences = {}
for first = 1, #KEYS, keys_a_lock do
  local lock = keys_at(first)
  if not holds(lock, kind, token) then break end
  fences[#fences + 1] = fence_of(lock, kind, token)
end
local all = #fences == #KEYS / keys_a_lock
for first = 1, #KEYS, keys_a_lock do
  local lock = keys_at(first)
  if all then
    keep_for(lock, kind, token, lease)
    dequeue(lock, token)
  else
    local wish = wish_of(lock, token)
    if wish then
      wish.handed = false
      keep_wish(lock, token, wish)
      say_alive(lock, ARGV[4])
    end
  end
end
if not all then return 'lost' end
forget_wait(token)
return 'held ' .. table.concat(fences, ',')
