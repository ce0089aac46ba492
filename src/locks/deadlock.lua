-- Who waits for whom: an edge from each waiting owner to the locks that it waits for, kept by process
-- in "redislock:waits:<process>". Followed from a new waiter, on whose arrival alone a cycle can
-- close, so that the youngest is who learns of it, once. Put in front of a script by a line
-- "-- include deadlock", behind "queue".
--
-- Stuck is who cannot go on even when everybody does who can (E. W. Dijkstra's banker; R. C. Holt,
-- "Some deadlock properties of computer systems", 1972). On a cluster other locks may be out of
-- reach; then no cycle is found.
local most_looks = 1000  -- at holders; the rest are taken for able to go on

-- "SINCE TOKEN,NAMES", each behind its length, since tokens and names are any bytes. A waiter for
-- several waits for the holders of all.
local function remember_wait(locks, token, ticket)
  local key, who = waits_of(owner_of(token) or '')
  if not key then return end
  local words = {#token .. ':' .. token}
  for i, lock in ipairs(locks) do words[i + 1] = #lock.name .. ':' .. lock.name end
  local edge = integer(math.floor(ticket / 1000)) .. ' ' .. table.concat(words)
  if type(redis.pcall('HSET', key, who, edge)) ~= 'table' then redis.pcall('PEXPIRE', key, edges_live) end
end

-- What an owner waits for, unless it was handed to it already.
local function wait_of(owner)
  local key, who = waits_of(owner)
  local text = key and redis.pcall('HGET', key, who)
  if type(text) ~= 'string' then return nil end
  local since, packed = string.match(text, '^(%d+) (.*)$')
  if not since then return nil end
  local names = all_names(packed)
  local token = table.remove(names, 1)
  local locks = {}
  local wish, place
  for i, name in ipairs(names) do
    locks[i] = keys_of(name)
    local rank = redis.pcall('ZRANK', locks[i].queue, token)
    if type(rank) == 'number' then wish, place = wish_of(locks[i], token), rank end
  end
  if not wish or wish.handed then return nil end
  return {since = since, locks = locks, wish = wish, place = place, blockers = {}, unseen = 0}
end

local function holders_of(lock)
  local kind = redis.pcall('TYPE', lock.name)
  kind = kind.ok or kind.err
  if kind == 'string' then return {redis.call('GET', lock.name)} end
  if kind == 'zset' then return redis.call('ZRANGEBYSCORE', lock.name, '(' .. integer(now), 'inf') end
  return {}
end

-- A reader waits for other readers only where a writer stands before it.
local function writer_before(lock, place)
  if writing(lock) then return true end
  if place == 0 then return false end
  for _, token in ipairs(redis.call('ZRANGE', lock.queue, 0, math.min(place, 100) - 1)) do
    local wish = wish_of(lock, token)
    if wish and wish.kind == 'w' then return true end
  end
  return false
end

-- Adds who is in the way, and how many of them must go on: all, or for a permit as many as are short.
local function find_blockers(owner, wait)
  local count = 0
  for _, lock in ipairs(wait.locks) do
    if wait.wish.kind ~= 'r' or writer_before(lock, wait.place) then
      local holders = holders_of(lock)
      count = count + #holders
      wait.unseen = wait.unseen + math.max(#holders - most_looks, 0)
      for i = 1, math.min(#holders, most_looks) do
        local holder = owner_of(holders[i])
        if holder ~= owner then
          wait.blockers[#wait.blockers + 1] = {owner = holder, name = lock.name}
        end
      end
    end
  end
  wait.needed = #wait.blockers + wait.unseen
  if wait.wish.kind == 'p' then wait.needed = count - wait.wish.limit + 1 end
end

local function can_go_on(wait, free)
  local able = wait.unseen
  for _, each in ipairs(wait.blockers) do
    if not each.owner or free[each.owner] then able = able + 1 end
  end
  return able >= wait.needed
end

-- All waits that hang together with the one of `me`, the nearest first.
local function waits_around(me)
  local waits, order, free = {}, {me}, {}
  local looks = 0
  local at = 1
  while order[at] do
    local owner = order[at]
    at = at + 1
    local wait = looks < most_looks and wait_of(owner)
    if wait then
      waits[owner] = wait
      find_blockers(owner, wait)
      for _, each in ipairs(wait.blockers) do
        looks = looks + 1
        if each.owner and not waits[each.owner] and free[each.owner] == nil then
          free[each.owner] = false
          order[#order + 1] = each.owner
        end
      end
    else
      free[owner] = owner ~= me
    end
  end
  return waits, order, free
end

-- The shortest way from `me` to `me` along those who are stuck.
local function way_back(me, waits, free)
  local from, line, at = {}, {me}, 1
  while line[at] do
    local owner = line[at]
    at = at + 1
    for _, each in ipairs(waits[owner].blockers) do
      local holder = each.owner
      if holder == me then
        local cycle = {owner, each.name, waits[owner].since}
        while owner ~= me do
          local before = from[owner]
          owner = before.owner
          for i, word in ipairs({owner, before.name, waits[owner].since}) do
            table.insert(cycle, i, word)
          end
        end
        return cycle
      end
      if holder and not free[holder] and not from[holder] and waits[holder] then
        from[holder] = {owner = owner, name = each.name}
        line[#line + 1] = holder
      end
    end
  end
  return nil
end

-- The cycle that this wait closed, as owner, lock and since when of each, the waiter first; or nil.
local function find_cycle(token)
  local me = owner_of(token)
  if not me then return nil end
  local waits, order, free = waits_around(me)
  if not waits[me] then return nil end
  local changed = true
  while changed do
    changed = false
    for i = #order, 2, -1 do  -- the farthest first, on whom the others depend
      local owner = order[i]
      if not free[owner] and can_go_on(waits[owner], free) then
        free[owner] = true
        changed = true
      end
    end
  end
  if can_go_on(waits[me], free) then return nil end
  return way_back(me, waits, free)
end
