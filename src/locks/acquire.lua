-- Takes a lock, or several mutexes at once, or gets in line for it.
--
-- KEYS  the six keys of each lock (queue.lua)
-- ARGV  1 token, 2 lease in ms, 0 for none, 3 kind, 4 limit of a semaphore, 5 '1' if it need not wait
--       its turn, 6 '1' to get in line, 7 '1' to look for a deadlock, then where it gets in line:
--       8 the process's channel, 9 the waiter's number there, 10 the ticket that it has, or 0,
--       11 the names of several locks
-- reply 'held FENCE[,FENCE...]', 'busy', 'queued TICKET', or a list: 'deadlock', then owner, lock and
--       since when (ms) for each party
--
-- The same token again is no harm: it is told that it holds the lock, or keeps its place in line.
local token, lease, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local barging, waiting = ARGV[5] == '1', ARGV[6] == '1'

if kind == 'm' and #KEYS == 6 then  -- the common case, before anything else is defined
  local holder = redis.pcall('GET', KEYS[1])
  if type(holder) == 'table' then return holder end
  if not holder and (barging and not waiting or redis.call('ZCARD', KEYS[2]) == 0) then
    local time = redis.call('TIME')
    local last = tonumber(redis.call('GET', KEYS[5]) or 0) or 0
    local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
    if lease == 0 then
      redis.call('SET', KEYS[5], fence)
      redis.call('SET', KEYS[1], token)
    else
      redis.call('SET', KEYS[5], fence, 'PX', string.format('%.0f', math.max(lease, 86400000)))
      redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
    end
    return 'held ' .. fence
  end
  if holder and holder ~= token and not waiting then return 'busy' end
end
-- include owner
-- include queue
-- include deadlock

local limit = tonumber(ARGV[4])
local locks = {}
for first = 1, #KEYS, keys_a_lock do locks[#locks + 1] = keys_at(first) end

local function got(fences)
  for _, lock in ipairs(locks) do
    keep_for(lock, kind, token, lease)
    dequeue(lock, token)
  end
  forget_wait(token)
  return 'held ' .. fences
end

local held, fences = 0, {}
for i, lock in ipairs(locks) do
  if holds(lock, kind, token) then
    held = held + 1
    fences[i] = fence_of(lock, kind, token)
  end
end
if held == #locks then return got(table.concat(fences, ',')) end
local dropped = {}
if held > 0 then  -- some of their leases ended: none of them is kept
  for i, lock in ipairs(locks) do
    if fences[i] then
      drop(lock, kind, token)
      dropped[#dropped + 1] = lock
    end
  end
end
local function not_got(answer)
  for _, lock in ipairs(dropped) do hand_over(lock) end
  return answer
end

-- Who reads already must not stand behind a writer, who waits for just that.
local function reads_already()
  local owner = owner_of(token)
  if kind ~= 'r' or not owner or not free(locks[1], 'r', 0) then return false end
  for _, holder in ipairs(redis.call('ZRANGE', locks[1].name, 0, -1)) do
    if owner_of(holder) == owner then return true end
  end
  return false
end

local function take_all()
  for i, lock in ipairs(locks) do
    if not free(lock, kind, limit) then return nil end
    fences[i] = ''
  end
  for i, lock in ipairs(locks) do fences[i] = take(lock, kind, token, lease) end
  return table.concat(fences, ',')
end

local out_of_turn = barging or reads_already()
if not out_of_turn then
  out_of_turn = true
  for _, lock in ipairs(locks) do
    local ahead = redis.call('ZCARD', lock.queue) > 0
    if ahead and not waiting then  -- it may have been left behind, and who stands there be dead
      local _, alive = hand_over(lock)
      ahead = alive
    end
    out_of_turn = out_of_turn and not ahead
  end
end
if out_of_turn then
  local taken = take_all()
  if taken then return got(taken) end
end
if not waiting then return not_got('busy') end

local wish = {kind = kind, limit = limit, id = ARGV[9], handed = false, channel = ARGV[8], names = ARGV[11]}
local ticket
for _, lock in ipairs(locks) do
  ticket = ticket or tonumber(redis.call('ZSCORE', lock.queue, token) or nil)
  say_alive(lock, wish.channel)
end
ticket = ticket or tonumber(ARGV[10])
if ticket == 0 then ticket = next_ticket(locks) end
for _, lock in ipairs(locks) do enqueue(lock, token, wish, ticket) end
local own = hand_over(locks[1], token)
if own then return got(own) end

if ARGV[7] == '1' then
  remember_wait(locks, token, ticket)
  local cycle = find_cycle(token)
  if cycle then
    for _, lock in ipairs(locks) do dequeue(lock, token) end
    forget_wait(token)
    for _, lock in ipairs(locks) do hand_over(lock) end
    return {'deadlock', unpack(cycle)}
  end
end
return not_got('queued ' .. integer(ticket))
