-- Who waits for whom: an edge from each waiting owner to the locks that it waits for, kept by process
-- in "redislock:waits:<process>". Followed from a new waiter, on whose arrival a cycle closes, so that
-- the youngest is who learns of it, once. (Where one task waits for several locks at once, a cycle can
-- close with a hand-over too: it is found when one of its waiters asks again, after 20 s.) Put in front of a script by a line
-- "-- include deadlock", behind "queue".
--
-- Stuck is who cannot go on even when everybody does who can (E. W. Dijkstra's banker; R. C. Holt,
-- "Some deadlock properties of computer systems", 1972). On a cluster other locks may be out of
-- reach; then no cycle is found.
local most_looks = 1000  -- at holders; the rest are taken for able to go on

local most_waits = 32    -- of one owner at once; of more the oldest are forgotten

-- "SINCE TOKEN,NAMES", each behind its length, since tokens and names are any bytes. A waiter for
-- several waits for the holders of all.
local function remember_wait(locks, token, ticket)
  local key, who = waits_of(owner_of(token) or '')
  if not key then return end
  local edges = other_waits(key, who, token) or {}
  local words = {#token .. ':' .. token}
  for i, lock in ipairs(locks) do words[i + 1] = #lock.name .. ':' .. lock.name end
  local edge = integer(math.floor(ticket / 1000)) .. ' ' .. table.concat(words)
  edges[#edges + 1] = #edge .. ':' .. edge
  if #edges > most_waits then table.remove(edges, 1) end
  if type(redis.pcall('HSET', key, who, table.concat(edges))) ~= 'table' then
    redis.pcall('PEXPIRE', key, edges_live)
  end
end

-- One wait, unless it was handed over already.
local function read_wait(edge, only)
  local since, packed = string.match(edge, '^(%d+) (.*)$')
  if not since then return nil end
  local names = unpacked(packed)
  local token = table.remove(names, 1)
  if only and token ~= only then return nil end
  local wait = {since = since, locks = {}, places = {}, blockers = {}, unseen = 0}
  for i, name in ipairs(names) do
    local lock = keys_of(name)
    local place = redis.pcall('ZRANK', lock.queue, token)
    wait.locks[i] = lock
    wait.places[i] = type(place) == 'number' and place or 0
    if type(place) == 'number' then wait.wish = wait.wish or wish_of(lock, token) end
  end
  return wait.wish and not wait.wish.handed and wait
end

-- All that an owner waits for, or its wait with one token alone.
local function read_waits(owner, only)
  local key, who = waits_of(owner)
  local text = key and redis.pcall('HGET', key, who)
  local waits = {}
  for _, edge in ipairs(type(text) == 'string' and unpacked(text) or {}) do
    waits[#waits + 1] = read_wait(edge, only) or nil
  end
  return waits
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
  for i, lock in ipairs(wait.locks) do
    if wait.wish.kind ~= 'r' or writer_before(lock, wait.places[i]) then
      local holders = holders_of(lock)
      count = count + #holders
      wait.unseen = wait.unseen + math.max(#holders - most_looks, 0)
      for at = 1, math.min(#holders, most_looks) do
        local holder = owner_of(holders[at])
        if holder ~= owner then
          wait.blockers[#wait.blockers + 1] = {owner = holder, name = lock.name, since = wait.since}
        end
      end
    end
  end
  wait.needed = #wait.blockers + wait.unseen
  if wait.wish.kind == 'p' then wait.needed = count - wait.wish.limit + 1 end
end

-- An owner who waits for several at once goes on when it has all of them.
local function can_go_on(waits, free)
  for _, wait in ipairs(waits) do
    local able = wait.unseen
    for _, each in ipairs(wait.blockers) do
      if not each.owner or free[each.owner] then able = able + 1 end
    end
    if able < wait.needed then return false end
  end
  return true
end

-- All waits that hang together with the one of `me` and `token`, the nearest first.
local function waits_around(me, token)
  local waits, order, free = {}, {me}, {}
  local looks = 0
  local at = 1
  while order[at] do
    local owner = order[at]
    at = at + 1
    local own = looks < most_looks and read_waits(owner, owner == me and token) or {}
    if #own > 0 then
      waits[owner] = own
      for _, wait in ipairs(own) do
        find_blockers(owner, wait)
        for _, each in ipairs(wait.blockers) do
          looks = looks + 1
          if each.owner and not waits[each.owner] and free[each.owner] == nil then
            free[each.owner] = false
            order[#order + 1] = each.owner
          end
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
  local function along(owner, each)
    local cycle = {owner, each.name, each.since}
    while owner ~= me do
      local step = from[owner]
      owner = step.owner
      for i, word in ipairs({owner, step.name, step.since}) do table.insert(cycle, i, word) end
    end
    return cycle
  end
  while line[at] do
    local owner = line[at]
    at = at + 1
    for _, wait in ipairs(waits[owner]) do
      for _, each in ipairs(wait.blockers) do
        local holder = each.owner
        if holder == me then return along(owner, each) end
        if holder and not free[holder] and not from[holder] and waits[holder] then
          from[holder] = {owner = owner, name = each.name, since = each.since}
          line[#line + 1] = holder
        end
      end
    end
  end
  return nil
end

-- The cycle that this wait closed, as owner, lock and since when of each, the waiter first; or nil.
local function find_cycle(token)
  local me = owner_of(token)
  if not me then return nil end
  local waits, order, free = waits_around(me, token)
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
