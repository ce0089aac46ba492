-- Takes a quantity from a stock for an order: for good, with an entry in the outbox, or reserved for a while.
-- All or nothing: a script is not rolled back, so what was done before something is refused is taken back by
-- hand. With a lock's token it is also the commit of the lock strategy: refused unless the lock is
-- still ours, and the lock is released in the same step.
--
-- KEYS  1 level, 2 holds, 3 buyers, 4 record, 5 outbox, then the lock where ARGV[11] is not ''
-- ARGV  1 quantity, 2 order id, 3 token of this request, 4 milliseconds that it is reserved, or 0 for good,
--       5 milliseconds that the record lives, 6 user or '', 7 how many a user may have, or 0, 8 how many orders
--       may wait in the outbox, or 0, 9 '1' to append to the outbox, 10 sku, 11 token of the lock or ''
-- reply 'ok LEVEL QUANTITY STATE' | 'duplicate LEVEL QUANTITY STATE', of the order that has this id |
--       'sold_out LEVEL' | 'limit LEVEL' | 'backlog LEVEL' | 'missing' | 'lock_lost'
--       or 'corrupt' | 'wrongtype WHAT' or an error: nothing was taken
-- include shelf
local quantity, id, token, hold, lives, user = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local limit, most, appends, sku, lock_token = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1', ARGV[10], ARGV[11]
local wanted = tonumber(quantity)
local record_key, outbox_key = KEYS[4], KEYS[5]
local lock_key = lock_token ~= '' and KEYS[6]
local ours = lock_key and redis.pcall('GET', lock_key) == lock_token

-- Where DEL is forbidden the lock ends with its lease.
local function answer(words)
  if ours then redis.pcall('DEL', lock_key) end
  return words
end

local found, why = read_record(record_key, id)
if why then return answer(why) end
if found then
  if found.made_by ~= token then return answer(facts_of('duplicate', found)) end
  found.state = hold == '0' and 'confirmed' or 'reserved'
  return answer(facts_of('ok', found))
end
if lock_key and not ours then return 'lock_lost' end

local level
level, why = read_level()
if not level then return answer(why) end
local has = 0
local function look()
  if user == '' then return end
  has = redis.pcall('HGET', buyers_key, user)
  if type(has) == 'table' then
    why = refusal_of('buyers', has)
  elseif has and not string.find(has, '^-?%d+$') then
    why = 'wrongtype buyers'
  end
  has = not why and has and tonumber(has) or 0
end
local function allowed() return limit == 0 or has + wanted <= limit end

local settled
repeat
  settled, why = settle(settled_at_once)
  if why then return answer(why) end
  if settled > 0 then level = read_level() end
  look()
  if why then return answer(why) end
until settled < settled_at_once or (level >= wanted and allowed())
if not allowed() then return answer('limit ' .. integer(level)) end
if level < wanted then return answer('sold_out ' .. integer(level)) end
if most > 0 then
  local waiting = redis.pcall('XLEN', outbox_key)
  if type(waiting) == 'table' then return answer(refusal_of('outbox', waiting)) end
  -- A reservation becomes an entry when it is confirmed, which is not refused any more.
  if waiting + redis.call('ZCARD', holds_key) >= most then return answer('backlog ' .. integer(level)) end
end

local left = integer(level - wanted)
local state = hold == '0' and 'confirmed' or 'reserved'
local member, entry, said
if state == 'reserved' then
  member = hold_of(quantity, user, id)
  said = redis.pcall('ZADD', holds_key, tostring(now + tonumber(hold)), member)
  if type(said) == 'table' then return answer(said) end
elseif appends then
  entry = append(outbox_key, id, sku, quantity, user)
  if type(entry) == 'table' then return answer(refusal_of('outbox', entry)) end
end
local made = 0
said = redis.pcall('DECRBY', level_key, quantity)
if type(said) == 'number' then
  made = 1
  if user ~= '' then said = redis.pcall('HINCRBY', buyers_key, user, quantity) end
end
if type(said) == 'number' then
  made = 2
  said = redis.pcall('SET', record_key, words_of(state, quantity, left, token, '-', user), 'PX', lives)
  if said.ok then return answer('ok ' .. left .. ' ' .. quantity .. ' ' .. state) end
end
-- Refused in the middle.
if made == 2 and user ~= '' then redis.pcall('HINCRBY', buyers_key, user, '-' .. quantity) end
if made > 0 then redis.pcall('INCRBY', level_key, quantity) end
if member then redis.pcall('ZREM', holds_key, member) elseif entry then redis.pcall('XDEL', outbox_key, entry) end
return answer(said)
