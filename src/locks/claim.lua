-- Makes a lock that was handed over one's own, for a lease of its own. Never takes a lock that is not
-- the caller's already: it may arrive late.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 token, 2 lease in ms, 0 for none, 3 kind, 4 the process's channel, 5 what a mutex is to store
--       from now on in place of the token, or nothing
-- reply 'held FENCE[,FENCE...]' | 'stored': not the token, but what it was to be replaced by, so either
--       this has been done before or somebody else stores the same | 'lost': it must ask again
-- include owner
local token, lease, kind, final = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[5] or ''

if kind == 'm' and #KEYS == 6 and final == '' then  -- the common case, before the rest is defined
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

local locks, fences, stored = {}, {}, 0
for first = 1, #KEYS, keys_a_lock do
  local lock = keys_at(first)
  locks[#locks + 1] = lock
  if holds(lock, kind, token) then fences[#fences + 1] = fence_of(lock, kind, token)
  elseif final ~= '' and holds(lock, kind, final) then stored = stored + 1 end
end
if stored == #locks then return 'stored' end
if #fences < #locks then
  for _, lock in ipairs(locks) do
    local wish = wish_of(lock, token)
    if wish then
      wish.handed = false
      keep_wish(lock, token, wish)
      say_alive(lock, ARGV[4])
    end
  end
  return 'lost'
end
for _, lock in ipairs(locks) do
  keep_for(lock, kind, token, lease)
  if final ~= '' then
    if lease == 0 then redis.call('SET', lock.name, final)
    else redis.call('SET', lock.name, final, 'PX', integer(lease)) end
  end
  dequeue(lock, token)
end
forget_wait(token)
return 'held ' .. table.concat(fences, ',')
