-- A word from a process that waits: it lives. Hands on what was left behind, by a holder that is gone
-- or by one that knows nothing of waiters, and tells what was handed to this process in case that the
-- message was lost.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 the process's channel, 2 its key of edges (deadlock.lua), or ''
-- reply for each lock a list: 1, or 0 where the process was given up meanwhile and must get in line
--       again, then "NUMBER FENCE[,FENCE...]" of each of its waiters that may claim
-- include owner
-- include queue

local few = 200
local channel = ARGV[1]
if ARGV[2] ~= '' then redis.pcall('PEXPIRE', ARGV[2], edges_live) end

local function fences_of(lock, token, wish)
  local fences = {}
  for i, each in ipairs(all_of(lock, wish)) do fences[i] = fence_of(each, wish.kind, token) end
  return table.concat(fences, ',')
end

-- Who may have been handed it: its holders, or where those are a crowd, the first in line.
local function holders_or_first(lock)
  if redis.call('TYPE', lock.name).ok == 'string' then return {redis.call('GET', lock.name)} end
  local crowded = redis.call('ZCARD', lock.name) > few
  return redis.call('ZRANGE', crowded and lock.queue or lock.name, 0, few - 1)
end

local function hear(lock)
  local seen = tonumber(redis.call('ZSCORE', lock.alive, channel) or 0)
  say_alive(lock, channel)
  local answer = {now - seen <= forgotten_after and 1 or 0}
  if redis.call('ZCARD', lock.queue) == 0 then return answer end
  hand_over(lock)
  for _, token in ipairs(holders_or_first(lock)) do
    local wish = wish_of(lock, token)
    if wish and wish.handed and wish.channel == channel and holds(lock, wish.kind, token) then
      answer[#answer + 1] = wish.id .. ' ' .. fences_of(lock, token, wish)
    end
  end
  return answer
end

local said = {}
for first = 1, #KEYS, keys_a_lock do
  -- Keys that somebody has spoilt are no other lock's matter. Who waits there is told when it asks.
  local well, answer = pcall(hear, keys_at(first))
  said[#said + 1] = well and answer or {0}
end
return said
