-- What the scripts of locks share: who holds a lock, who waits for it, and handing it on. Put in
-- front of a script by a line "-- include queue", behind "-- include owner".
--
-- A lock is six keys in one slot. `name` is what the lock is called: of a mutex the holder's token,
-- as redis-py stores it; of a semaphore or a read-write lock a sorted set of tokens by the
-- millisecond at which their leases end. Beside it: `queue`, the waiters' tokens by ticket;
-- `waiters`, what each of them wants; `alive`, the processes that wait by when they last said so;
-- `fence`, the last fencing token; `holders`, kind and fence of each holder in a sorted set.
--
-- Kinds: m a mutex, p one of a semaphore's permits, r a reader, w a writer.
local keys_a_lock = 6
local handed_lease = 300   -- ms in which a lock that was handed over must be claimed
local alive_within = 750   -- ms since a process last said that it waits
local forgotten_after = 3000  -- then its waiters leave the line; they come back with their tickets
local edges_live = 3500    -- longer, so that whose edges were lost is asked to get in line again
local fence_lives = 86400000  -- ms at least, and as long as the lease: by it a lock is listed

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

local function integer(number) return string.format('%.0f', number) end

local function keys_at(first)
  return {name = KEYS[first], queue = KEYS[first + 1], waiters = KEYS[first + 2],
          alive = KEYS[first + 3], fence = KEYS[first + 4], holders = KEYS[first + 5]}
end

-- The same as in locks/keys.cpp, for locks that only another waiter named.
local function keys_of(name)
  local open = string.find(name, '{', 1, true)
  local close = open and string.find(name, '}', open + 1, true)
  local tagged = close and close > open + 1
  local side = tagged and name .. ':redislock:t:' or '{' .. name .. '}:redislock:'
  return {name = name, queue = side .. 'queue', waiters = side .. 'waiters', alive = side .. 'alive',
          fence = side .. 'fence', holders = side .. 'holders'}
end

-- ---- who holds it

-- Leases that have ended are no longer held.
local function clear_ended(lock)
  local ended = redis.call('ZRANGEBYSCORE', lock.name, '-inf', now)
  for _, token in ipairs(ended) do redis.call('HDEL', lock.holders, token) end
  if #ended > 0 then redis.call('ZREMRANGEBYSCORE', lock.name, '-inf', now) end
end

local function holds(lock, kind, token)
  if kind == 'm' then return redis.call('GET', lock.name) == token end
  local ends = redis.call('ZSCORE', lock.name, token)
  return ends and tonumber(ends) > now
end

local function writing(lock)
  local first = redis.call('ZRANGE', lock.name, 0, 0)[1]
  local how = first and redis.call('HGET', lock.holders, first)
  return how and string.sub(how, 1, 1) == 'w'
end

local function free(lock, kind, limit)
  if kind == 'm' then return redis.call('EXISTS', lock.name) == 0 end
  clear_ended(lock)
  local count = redis.call('ZCARD', lock.name)
  if kind == 'p' then return count < limit end
  if kind == 'w' then return count == 0 end
  return count == 0 or not writing(lock)
end

-- The larger of the last one plus one and the server's time, so that it grows also after the key
-- was lost, and after a failover that took longer than the clocks differ.
local function next_fence(lock, lease)
  local last = tonumber(redis.call('GET', lock.fence) or 0) or 0
  local fence = integer(math.max(last + 1, now_us))
  if lease == 0 then redis.call('SET', lock.fence, fence)
  else redis.call('SET', lock.fence, fence, 'PX', integer(math.max(lease, fence_lives))) end
  return fence
end

-- A key of leases lives as long as the longest of them.
local function outlive(lock, lease)
  if lease == 0 then
    redis.call('PERSIST', lock.name)
    redis.call('PERSIST', lock.holders)
  else
    local left = redis.call('PTTL', lock.name)
    if left >= 0 and left < lease then redis.call('PEXPIRE', lock.name, lease) end
    left = redis.call('PTTL', lock.holders)
    if left >= 0 and left < lease then redis.call('PEXPIRE', lock.holders, lease) end
  end
end

local function keep_for(lock, kind, token, lease)
  if kind == 'm' then
    if lease == 0 then
      redis.call('PERSIST', lock.name)
      redis.call('PERSIST', lock.fence)
    else
      redis.call('PEXPIRE', lock.name, lease)
    end
  else
    redis.call('ZADD', lock.name, 'XX', lease == 0 and 'inf' or integer(now + lease), token)
    outlive(lock, lease)
  end
end

local function take(lock, kind, token, lease)
  local fence = next_fence(lock, lease)
  if kind == 'm' then
    if lease == 0 then redis.call('SET', lock.name, token)
    else redis.call('SET', lock.name, token, 'PX', integer(lease)) end
  else
    local fresh = redis.call('EXISTS', lock.name) == 0
    if fresh then redis.call('DEL', lock.holders) end  -- of leases that ended, or a key that was lost
    redis.call('ZADD', lock.name, lease == 0 and 'inf' or integer(now + lease), token)
    redis.call('HSET', lock.holders, token, kind .. ' ' .. fence)
    if fresh and lease > 0 then
      redis.call('PEXPIRE', lock.name, lease)
      redis.call('PEXPIRE', lock.holders, lease)
    else
      outlive(lock, lease)
    end
  end
  return fence
end

local function fence_of(lock, kind, token)
  if kind == 'm' then return redis.call('GET', lock.fence) or '0' end
  return string.sub(redis.call('HGET', lock.holders, token) or 'm 0', 3)
end

local function drop(lock, kind, token)
  if kind == 'm' then
    redis.call('DEL', lock.name)
  else
    redis.call('ZREM', lock.name, token)
    redis.call('HDEL', lock.holders, token)
  end
end

-- ---- who waits for it

-- What a waiter wants, as kept in `waiters`: "kind limit id handed channel", and for several locks at
-- once their names, each behind its length.
local function wish_of(lock, token)
  local text = redis.call('HGET', lock.waiters, token)
  if not text then return nil end
  local kind, limit, id, handed, channel, names = string.match(text, '^(%a) (%d+) (%d+) (%d) (%S+) ?(.*)$')
  if not kind then return nil end
  return {kind = kind, limit = tonumber(limit), id = id, handed = handed == '1', channel = channel, names = names}
end

local function keep_wish(lock, token, wish)
  redis.call('HSET', lock.waiters, token, wish.kind .. ' ' .. integer(wish.limit) .. ' ' .. wish.id .. ' '
      .. (wish.handed and '1' or '0') .. ' ' .. wish.channel .. ' ' .. wish.names)
end

-- The locks that a waiter stands at: several where it wants all of them at once.
local function all_of(lock, wish)
  if wish.names == '' then return {lock} end
  local locks = {}
  for i, name in ipairs(unpacked(wish.names)) do locks[i] = keys_of(name) end
  return locks
end

local function keep_line(lock)
  for _, key in ipairs({lock.alive, lock.queue, lock.waiters}) do redis.call('PEXPIRE', key, 60000) end
end

local function say_alive(lock, channel)
  redis.call('ZADD', lock.alive, now, channel)
  redis.call('ZREMRANGEBYSCORE', lock.alive, '-inf', integer(now - forgotten_after - 1))
  keep_line(lock)
end

-- Behind everybody, also where the clock was set back.
local function next_ticket(locks)
  local ticket = now_us
  for _, lock in ipairs(locks) do
    local last = redis.call('ZRANGE', lock.queue, -1, -1, 'WITHSCORES')[2]
    if last then ticket = math.max(ticket, tonumber(last) + 1) end
  end
  return ticket
end

-- Who stands there keeps its place.
local function enqueue(lock, token, wish, ticket)
  redis.call('ZADD', lock.queue, 'NX', integer(ticket), token)
  keep_wish(lock, token, wish)
  keep_line(lock)
end

local function dequeue(lock, token)
  if redis.call('ZREM', lock.queue, token) == 1 then redis.call('HDEL', lock.waiters, token) end
end

local function tell(wish, words) redis.pcall('PUBLISH', wish.channel, wish.id .. ' ' .. words) end

local function alive(lock, wish)
  return now - tonumber(redis.call('ZSCORE', lock.alive, wish.channel) or 0) <= alive_within
end

-- Whether free locks are kept for a waiter for several, that is not all free at once: from a quarter
-- of a second on for as long as it has stood by then, then not for twice as long, and so on. Were they
-- never kept, they could go to younger ones for ever. Were they always kept, then who holds one of them
-- and waits for another would wait for ever.
local function keeps(lock, token)
  local stood = (now_us - tonumber(redis.call('ZSCORE', lock.queue, token) or now_us)) / 250000
  return stood >= 1 and math.floor(math.log(stood) / math.log(2)) % 2 == 0
end

-- Whether nobody before this waiter is to have the lock first, now that it is free.
local function is_next(lock, token)
  local place = redis.call('ZRANK', lock.queue, token) or 0
  for _, other in ipairs(place > 0 and redis.call('ZRANGE', lock.queue, 0, math.min(place, 64) - 1) or {}) do
    local wish = wish_of(lock, other)
    local waits = wish and not wish.handed and alive(lock, wish) and not holds(lock, wish.kind, other)
    if waits and (wish.names == '' or keeps(lock, other)) then return false end
  end
  return true
end

-- Several locks at once: all of them, or nil. All lines are in the order of tickets, so that of two who
-- want several one is next everywhere.
local function hand_all(locks, token)
  for _, lock in ipairs(locks) do
    if not free(lock, 'm', 0) or not is_next(lock, token) then return nil end
  end
  local fences = {}
  for i, lock in ipairs(locks) do fences[i] = take(lock, 'm', token, handed_lease) end
  return table.concat(fences, ',')
end

-- Did not come for what was handed to it. It leaves the line, for nobody may be there to come, and
-- is told: who still waits comes back with its ticket. So who is away for long, or gone although its
-- process lives, costs the others one hand-over and not one each time.
local function pass_over(lock, token, wish, seen)
  for _, each in ipairs(all_of(lock, wish)) do dequeue(each, token) end
  forget_wait(token)
  local silent_since = now - alive_within - 1  -- until the process's next word; it may be dead
  if seen > silent_since then redis.call('ZADD', lock.alive, integer(silent_since), wish.channel) end
  tell(wish, 'again')
end

-- Gives a lock to those who are first in line, for a short time in which they must claim it. Whose
-- process said nothing for a while is passed over and keeps its place. `own` is who calls, who needs
-- not be told: its fence is returned if it was its turn. Second is returned whether somebody alive
-- stands there who has to wait.
local function hand_over(lock, own)
  local own_fence
  local page = 0
  if redis.call('TYPE', lock.name).ok == 'string' then return nil, true end  -- a mutex, and held
  while true do
    local tokens = redis.call('ZRANGE', lock.queue, page, page + 63)
    if #tokens == 0 then return own_fence, false end
    page = page + 64
    for _, token in ipairs(tokens) do
      local wish = wish_of(lock, token)
      if not wish then
        redis.call('ZREM', lock.queue, token)
        page = page - 1
      else
        local seen = tonumber(redis.call('ZSCORE', lock.alive, wish.channel) or 0)
        local held = holds(lock, wish.kind, token)
        if wish.handed and not held then
          pass_over(lock, token, wish, seen)
          page = page - 1
        elseif now - seen > forgotten_after then
          for _, each in ipairs(all_of(lock, wish)) do dequeue(each, token) end
          forget_wait(token)
          page = page - 1
        elseif now - seen <= alive_within and not held then
          if not free(lock, wish.kind, wish.limit) then return own_fence, true end
          local locks = all_of(lock, wish)
          local fence
          if #locks > 1 then fence = hand_all(locks, token)
          else fence = take(lock, wish.kind, token, handed_lease) end
          if not fence then
            if keeps(lock, token) then return own_fence, true end
          elseif token == own then own_fence = fence
          else
            wish.handed = true
            for _, each in ipairs(locks) do keep_wish(each, token, wish) end
            tell(wish, 'handed ' .. integer(now) .. ' ' .. fence)
          end
        end
      end
    end
  end
end
