-- Who waits for whom: an edge from each waiting owner to the lock that it waits for, kept by process
-- in "redislock:waits:<process>". Followed from a new waiter, on whose arrival alone a cycle can
-- close, so that the youngest is who learns of it, once. Put in front of a script by a line
-- "-- include deadlock", behind "queue".
--
-- On a cluster other locks may be out of reach; then no cycle is found.
local edges_live = 3000  -- ms, renewed by each word from the process
local deepest = 64

local function remember_wait(lock, token, kind)
  local key, who = waits_of(owner_of(token) or '')
  if not key then return end
  local edge = integer(now) .. ' ' .. kind .. ' ' .. token .. ' ' .. lock.name
  if type(redis.pcall('HSET', key, who, edge)) ~= 'table' then redis.pcall('PEXPIRE', key, edges_live) end
end

local function wait_of(owner)
  local key, who = waits_of(owner)
  local text = key and redis.pcall('HGET', key, who)
  if type(text) ~= 'string' then return nil end
  local since, kind, token, name = string.match(text, '^(%d+) (%a) (%S+) (.*)$')
  if not since or type(redis.pcall('ZSCORE', keys_of(name).queue, token)) ~= 'string' then return nil end
  return {since = since, kind = kind, name = name}
end

local function holders_of(name)
  local kind = redis.pcall('TYPE', name)
  kind = kind.ok or kind.err
  if kind == 'string' then return {redis.call('GET', name)} end
  if kind == 'zset' then return redis.call('ZRANGEBYSCORE', name, '(' .. integer(now), 'inf') end
  return {}
end

-- Whether `owner` can go on only after `me` has. A waiter for a mutex or a read-write lock is stuck
-- with any of the holders; one for a permit only if every permit's holder is. Adds to `cycle` who
-- waits for what since when.
local function stuck(owner, me, cycle, known, depth)
  if known[owner] ~= nil or depth > deepest then return known[owner] or false end
  known[owner] = false
  local edge = wait_of(owner)
  if not edge then return false end
  local found = false
  for _, token in ipairs(holders_of(edge.name)) do
    local holder = owner_of(token)
    local itself = holder == owner
    local behind = not itself and holder and (holder == me or stuck(holder, me, cycle, known, depth + 1))
    if edge.kind == 'p' then
      if not behind and not itself then return false end
      found = found or behind
    elseif behind then
      found = true
      break
    end
  end
  if found then
    cycle[#cycle + 1] = owner
    cycle[#cycle + 1] = edge.name
    cycle[#cycle + 1] = edge.since
    known[owner] = true
  end
  return found and true or false
end

-- The cycle that this wait closed, the waiter first, or nil.
local function find_cycle(token)
  local owner = owner_of(token)
  if not owner then return nil end
  local found = {}
  if not stuck(owner, owner, found, {}, 1) then return nil end
  local cycle = {}
  for at = #found - 2, 1, -3 do  -- they were added on the way back
    for i = at, at + 2 do cycle[#cycle + 1] = found[i] end
  end
  return cycle
end
