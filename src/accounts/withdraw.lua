-- Takes an amount from a balance, appends to the history, records the outcome: all or nothing.
-- With a token it is also the commit of the lock strategy: refused unless the lock is still ours,
-- and the lock is released in the same step.
--
-- KEYS  1 balance, 2 history, then the request record where ARGV[4] is not '', then the lock
--       where ARGV[6] is not ''
-- ARGV  1 amount, 2 history limit, 3 strategy, 4 idempotency key or '', 5 milliseconds that the
--       record lives, 6 token or ''
-- reply 'ok BALANCE' | 'insufficient BALANCE' | 'missing' | 'lock_lost' | '=' and a recorded one,
--       or 'corrupt' | 'wrongtype history' | 'wrongtype record' | 'mismatch' or an error:
--       nothing was changed
--
-- Numbers in Lua are doubles, so amounts stay text. A script is not rolled back, so whatever could
-- fail is done or checked before DECRBY. What may be forbidden behind it (an ACL without LPUSH, say)
-- is taken back by hand: only there, since taking back disturbs those who watch the balance.
local amount, limit, strategy = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local id, ttl, token = ARGV[4], ARGV[5], ARGV[6]
local record_key = id ~= '' and KEYS[3]
local lock_key = token ~= '' and KEYS[#KEYS]
local ours = lock_key and redis.pcall('GET', lock_key) == token

-- Where DEL is forbidden the lock ends with its lease.
local function answer(words)
  if ours then redis.pcall('DEL', lock_key) end
  return words
end

-- Nil, or the error of a refused SET.
local function keep(words)
  if not record_key then return end
  local kept = redis.pcall('SET', record_key, 'withdraw ' .. amount .. ' ' .. words, 'PX', ttl)
  return kept.err and kept
end

-- What a failed read means: a key of another type has a name of its own.
local function failed(what, failure)
  return answer(string.sub(failure.err, 1, 9) == 'WRONGTYPE' and what or failure)
end

if record_key then
  local record = redis.pcall('GET', record_key)
  if type(record) == 'table' then return failed('wrongtype record', record) end
  if record then
    local same = 'withdraw ' .. amount .. ' '
    if string.sub(record, 1, #same) ~= same then return answer('mismatch') end
    return answer('=' .. string.sub(record, #same + 1))
  end
end
if lock_key and not ours then return 'lock_lost' end

local balance = redis.pcall('GET', KEYS[1])
if not balance then return answer('missing') end
if type(balance) == 'table' then return failed('corrupt', balance) end
if (balance ~= '0' and not string.find(balance, '^[1-9]%d*$')) or #balance > 19
    or (#balance == 19 and balance > '9223372036854775807') then
  return answer('corrupt')
end
local length = limit > 0 and redis.pcall('LLEN', KEYS[2])
if type(length) == 'table' then return failed('wrongtype history', length) end
if #balance < #amount or (#balance == #amount and balance < amount) then
  return answer(keep('insufficient ' .. balance) or 'insufficient ' .. balance)
end
local time = length and redis.call('TIME')
if length and length >= limit then  -- makes room for one; a limit of 1 leaves none, which is 1 to 0
  redis.call('LTRIM', KEYS[2], limit > 1 and 0 or 1, limit > 1 and limit - 2 or 0)
end

local left = redis.call('DECRBY', KEYS[1], amount)
if left < 9007199254740992 then left = string.format('%.0f', left) else left = redis.call('GET', KEYS[1]) end
local refused
if length then
  local entry = amount .. ' ' .. left .. ' ' .. time[1] .. string.format('%03d', math.floor(time[2] / 1000))
      .. ' ' .. strategy
  if id ~= '' then entry = entry .. ' ' .. id end
  refused = redis.pcall('LPUSH', KEYS[2], entry)
  refused = type(refused) == 'table' and refused
end
if not refused then
  refused = keep('ok ' .. left)
  if refused and length then redis.pcall('LPOP', KEYS[2]) end
end
if refused then
  redis.call('DECRBY', KEYS[1], '-' .. amount)
  return answer(refused)
end
return answer('ok ' .. left)
