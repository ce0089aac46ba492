-- Adds an amount to a balance, appends to the history, records the outcome: all or nothing. What may
-- be forbidden behind the change is taken back by hand, as in withdraw.lua.
--
-- KEYS  1 balance, 2 history, then the request record where ARGV[4] is not ''
-- ARGV  1 amount, 2 history limit, 3 the largest balance that still has room for the amount,
--       4 idempotency key or '', 5 milliseconds that the record lives
-- reply 'ok BALANCE' | 'overflow BALANCE' | 'missing' | '=' and a recorded one,
--       or 'corrupt' | 'wrongtype history' | 'wrongtype record' | 'mismatch' or an error: nothing was
--       changed
local amount, limit, room = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local id, ttl = ARGV[4], ARGV[5]
local record_key = id ~= '' and KEYS[3]

-- Nil, or the error of a refused SET.
local function keep(words)
  if not record_key then return end
  local kept = redis.pcall('SET', record_key, 'deposit ' .. amount .. ' ' .. words, 'PX', ttl)
  return kept.err and kept
end

-- What a failed read means: a key of another type has a name of its own.
local function failed(what, failure)
  return string.sub(failure.err, 1, 9) == 'WRONGTYPE' and what or failure
end

if record_key then
  local record = redis.pcall('GET', record_key)
  if type(record) == 'table' then return failed('wrongtype record', record) end
  if record then
    local same = 'deposit ' .. amount .. ' '
    if string.sub(record, 1, #same) ~= same then return 'mismatch' end
    return '=' .. string.sub(record, #same + 1)
  end
end

local balance = redis.pcall('GET', KEYS[1])
if not balance then return 'missing' end
if type(balance) == 'table' then return failed('corrupt', balance) end
if (balance ~= '0' and not string.find(balance, '^[1-9]%d*$')) or #balance > 19
    or (#balance == 19 and balance > '9223372036854775807') then
  return 'corrupt'
end
local length = limit > 0 and redis.pcall('LLEN', KEYS[2])
if type(length) == 'table' then return failed('wrongtype history', length) end
if #balance > #room or (#balance == #room and balance > room) then
  return keep('overflow ' .. balance) or 'overflow ' .. balance
end
local time = length and redis.call('TIME')
if length and length >= limit then  -- makes room for one; a limit of 1 leaves none, which is 1 to 0
  redis.call('LTRIM', KEYS[2], limit > 1 and 0 or 1, limit > 1 and limit - 2 or 0)
end

local left = redis.call('INCRBY', KEYS[1], amount)
if left < 9007199254740992 then left = string.format('%.0f', left) else left = redis.call('GET', KEYS[1]) end
local refused
if length then
  local entry = '-' .. amount .. ' ' .. left .. ' ' .. time[1] .. string.format('%03d', math.floor(time[2] / 1000))
      .. ' deposit'
  if id ~= '' then entry = entry .. ' ' .. id end
  refused = redis.pcall('LPUSH', KEYS[2], entry)
  refused = type(refused) == 'table' and refused
end
if not refused then
  refused = keep('ok ' .. left)
  if refused and length then redis.pcall('LPOP', KEYS[2]) end
end
if refused then
  redis.call('INCRBY', KEYS[1], '-' .. amount)
  return refused
end
return 'ok ' .. left
