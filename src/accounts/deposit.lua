-- Adds an amount to a balance, appends to the history, records the outcome: all or nothing.
--
-- KEYS  1 balance, 2 history, then the request record where ARGV[4] is not ''
-- ARGV  1 amount, 2 history limit, 3 the largest balance that still has room for the amount,
--       4 idempotency key or '', 5 milliseconds that the record lives
-- reply 'ok BALANCE' | 'overflow BALANCE' | 'missing' | '=' and a recorded one,
--       or 'corrupt' | 'wrongtype history' | 'wrongtype record' | 'mismatch': nothing was changed
local amount, limit, room = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local id, ttl = ARGV[4], ARGV[5]
local record_key = id ~= '' and KEYS[3]

local function keep(words)
  if record_key then redis.call('SET', record_key, 'deposit ' .. amount .. ' ' .. words, 'PX', ttl) end
  return words
end

if record_key then
  local record = redis.pcall('GET', record_key)
  if type(record) == 'table' then return 'wrongtype record' end
  if record then
    local same = 'deposit ' .. amount .. ' '
    if string.sub(record, 1, #same) ~= same then return 'mismatch' end
    return '=' .. string.sub(record, #same + 1)
  end
end

local balance = redis.pcall('GET', KEYS[1])
if not balance then return 'missing' end
if type(balance) == 'table' or (balance ~= '0' and not string.find(balance, '^[1-9]%d*$'))
    or #balance > 19 or (#balance == 19 and balance > '9223372036854775807') then
  return 'corrupt'
end
local length = limit > 0 and redis.pcall('LLEN', KEYS[2])
if type(length) == 'table' then return 'wrongtype history' end
if #balance > #room or (#balance == #room and balance > room) then return keep('overflow ' .. balance) end

local left = redis.call('INCRBY', KEYS[1], amount)
if left < 9007199254740992 then left = string.format('%.0f', left) else left = redis.call('GET', KEYS[1]) end
if length then
  local time = redis.call('TIME')
  local entry = '-' .. amount .. ' ' .. left .. ' ' .. time[1] .. string.format('%03d', math.floor(time[2] / 1000))
      .. ' deposit'
  if id ~= '' then entry = entry .. ' ' .. id end
  redis.call('LPUSH', KEYS[2], entry)
  if length >= limit then redis.call('LTRIM', KEYS[2], 0, limit - 1) end
end
return keep('ok ' .. left)
