-- Takes an amount from a balance, appends to the history, records the outcome: all or nothing.
-- With a token it is also the commit of the lock strategy: refused unless the lock is still ours,
-- and the lock is released in the same step.
--
-- KEYS  1 balance, 2 history, then the request record where ARGV[4] is not '', then the lock
--       where ARGV[6] is not ''
-- ARGV  1 amount, 2 history limit, 3 strategy, 4 idempotency key or '', 5 milliseconds that the
--       record lives, 6 token or ''
-- reply 'ok BALANCE' | 'insufficient BALANCE' | 'missing' | 'lock_lost' | '=' and a recorded one,
--       or 'corrupt' | 'wrongtype history' | 'wrongtype record' | 'mismatch': nothing was changed
--
-- Numbers in Lua are doubles, so amounts stay text. DECRBY is the first write; whatever could fail
-- is checked before it, since a script is not rolled back.
local amount, limit, strategy = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local id, ttl, token = ARGV[4], ARGV[5], ARGV[6]
local record_key = id ~= '' and KEYS[3]
local lock_key = token ~= '' and KEYS[#KEYS]
local ours = lock_key and redis.pcall('GET', lock_key) == token

local function answer(words)
  if ours then redis.call('DEL', lock_key) end
  return words
end

local function keep(words)
  if record_key then redis.call('SET', record_key, 'withdraw ' .. amount .. ' ' .. words, 'PX', ttl) end
  return answer(words)
end

if record_key then
  local record = redis.pcall('GET', record_key)
  if type(record) == 'table' then return answer('wrongtype record') end
  if record then
    local same = 'withdraw ' .. amount .. ' '
    if string.sub(record, 1, #same) ~= same then return answer('mismatch') end
    return answer('=' .. string.sub(record, #same + 1))
  end
end
if lock_key and not ours then return 'lock_lost' end

local balance = redis.pcall('GET', KEYS[1])
if not balance then return answer('missing') end
if type(balance) == 'table' or (balance ~= '0' and not string.find(balance, '^[1-9]%d*$'))
    or #balance > 19 or (#balance == 19 and balance > '9223372036854775807') then
  return answer('corrupt')
end
local length = limit > 0 and redis.pcall('LLEN', KEYS[2])
if type(length) == 'table' then return answer('wrongtype history') end
if #balance < #amount or (#balance == #amount and balance < amount) then
  return keep('insufficient ' .. balance)
end

local left = redis.call('DECRBY', KEYS[1], amount)
if left < 9007199254740992 then left = string.format('%.0f', left) else left = redis.call('GET', KEYS[1]) end
if length then
  local time = redis.call('TIME')
  local entry = amount .. ' ' .. left .. ' ' .. time[1] .. string.format('%03d', math.floor(time[2] / 1000))
      .. ' ' .. strategy
  if id ~= '' then entry = entry .. ' ' .. id end
  redis.call('LPUSH', KEYS[2], entry)
  if length >= limit then redis.call('LTRIM', KEYS[2], 0, limit - 1) end
end
return keep('ok ' .. left)
