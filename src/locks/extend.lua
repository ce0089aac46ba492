-- Extends the leases of locks that are all still held by this token.
--
-- KEYS  name and holders of each lock (queue.lua)
-- ARGV  1 token, 2 kind, 3 ms, 4 '1' to add them to what is left, else they replace it
-- reply 1 | 0 not ours: nothing was changed
local token, kind, wanted, adding = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lefts = {}
for i = 1, #KEYS, 2 do
  local left
  if kind == 'm' then
    left = redis.call('GET', KEYS[i]) == token and redis.call('PTTL', KEYS[i])
  else
    local ends = redis.call('ZSCORE', KEYS[i], token)
    left = ends and tonumber(ends) > now and tonumber(ends) - now
    if left == math.huge then left = -1 end
  end
  if not left then return 0 end
  lefts[i] = adding and math.max(left, 0) or 0
end
for i = 1, #KEYS, 2 do
  local lease = string.format('%.0f', lefts[i] + wanted)
  if kind == 'm' then
    redis.call('PEXPIRE', KEYS[i], lease)
  else
    redis.call('ZADD', KEYS[i], 'XX', string.format('%.0f', now + lefts[i] + wanted), token)
    for _, key in ipairs({KEYS[i], KEYS[i + 1]}) do
      local left = redis.call('PTTL', key)
      if left >= 0 and left < tonumber(lease) then redis.call('PEXPIRE', key, lease) end
    end
  end
end
return 1
