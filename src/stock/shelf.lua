-- What the scripts of a stock share: its level, and giving back what was reserved and never confirmed.
-- Put in front of a script by a line "-- include shelf".
--
-- A stock is five keys in one slot, of which every script gets the first three: the level, how many there
-- are to be had; `holds`, a sorted set of the open reservations by the millisecond at which they end; and
-- `buyers`, a hash of how many each user has. Then a record for each order, and the outbox.
--
-- A hold is 'QUANTITY LENGTH USERID', with the length of the user's name in bytes. A record is 'STATE
-- QUANTITY LEVEL TOKEN TOKEN USER': what became of the order, the level after it, the token of the request
-- that made it, that of the request that confirmed or cancelled it or '-', and whose it is. An order that
-- is recorded as reserved and is not among the holds has timed out. So whatever takes it out of the holds
-- decides what becomes of it, once.
local level_key, holds_key, buyers_key = KEYS[1], KEYS[2], KEYS[3]
local settled_at_once = 100
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Of numbers that may have more digits than tostring would write.
local function integer(number) return string.format('%.0f', number) end

-- What a refused command means: a key of another type has a name of its own.
local function refusal_of(what, failure)
  return string.sub(failure.err, 1, 9) == 'WRONGTYPE' and 'wrongtype ' .. what or failure
end

-- The level; or nil, and why.
local function read_level()
  local text = redis.pcall('GET', level_key)
  if not text then return nil, 'missing' end
  if type(text) == 'table' then
    return nil, string.sub(text.err, 1, 9) == 'WRONGTYPE' and 'corrupt' or text
  end
  if (text ~= '0' and not string.find(text, '^[1-9]%d*$')) or #text > 15 then return nil, 'corrupt' end
  return tonumber(text)
end

local function hold_of(quantity, user, id) return quantity .. ' ' .. #user .. ' ' .. user .. id end

-- Ends a hold and gives back what it holds: the level then. Or nil, and the error of what was refused; then
-- nothing was changed. It is taken from the holds first, for that is never refused for want of memory.
local function give_back(hold, ends)
  local quantity, length, rest = string.match(hold, '^(%d+) (%d+) (.*)$')
  local taken = redis.pcall('ZREM', holds_key, hold)
  if type(taken) == 'table' then return nil, taken end
  local level = redis.pcall('INCRBY', level_key, quantity)
  if type(level) == 'table' then
    redis.pcall('ZADD', holds_key, ends, hold)
    return nil, level
  end
  if length ~= '0' then
    local user = string.sub(rest, 1, tonumber(length))
    local has = redis.pcall('HINCRBY', buyers_key, user, '-' .. quantity)
    if type(has) == 'number' and has <= 0 then redis.pcall('HDEL', buyers_key, user) end
  end
  return level
end

-- Gives back some of what has timed out; the level must have been read. How many there were; or nil, and why.
local function settle(most)
  local due = redis.pcall('ZRANGEBYSCORE', holds_key, '-inf', tostring(now), 'WITHSCORES', 'LIMIT', 0, most)
  if due.err then return nil, refusal_of('reservations', due) end
  for i = 1, #due, 2 do
    local _, failure = give_back(due[i], due[i + 1])
    if failure then return nil, failure end
  end
  return #due / 2
end

-- The record of an order and what it says; nil where there is none; or nil, and why.
local function read_record(key, id)
  local text = redis.pcall('GET', key)
  if not text then return nil end
  if type(text) == 'table' then return nil, refusal_of('order', text) end
  local state, quantity, level, made_by, ended_by, user = string.match(text, '^(%l+) (%d+) (%d+) (%x+) (%S+) (.*)$')
  if not state then return nil, 'wrongtype order' end
  local found = {text = text, state = state, quantity = quantity, level = level, made_by = made_by,
                 ended_by = ended_by, user = user, hold = hold_of(quantity, user, id)}
  if state == 'reserved' then
    local ends = redis.pcall('ZSCORE', holds_key, found.hold)
    if type(ends) == 'table' then return nil, refusal_of('reservations', ends) end
    found.ends = ends
    if not ends or tonumber(ends) <= now then found.state = 'expired' end
  end
  return found
end

local function words_of(state, quantity, level, made_by, ended_by, user)
  return state .. ' ' .. quantity .. ' ' .. level .. ' ' .. made_by .. ' ' .. ended_by .. ' ' .. user
end

local function facts_of(word, found)
  return word .. ' ' .. found.level .. ' ' .. found.quantity .. ' ' .. found.state
end

-- The id of a new entry of the outbox; or the error of what was refused.
local function append(outbox, id, sku, quantity, user)
  return redis.pcall('XADD', outbox, '*', 'order_id', id, 'sku', sku, 'qty', quantity, 'user', user, 'at',
      tostring(now))
end
