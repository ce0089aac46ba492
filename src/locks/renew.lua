-- Renews many leases of one process in one step.
--
-- KEYS  name of each lock, and its holders, or for a mutex its fence (queue.lua)
-- ARGV  kind, token and lease in ms of each
-- reply a list of 1 renewed | 0 not ours any more, or a key that somebody has spoilt
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local said = {}
for i = 1, #KEYS / 2 do
  local name, holders = KEYS[2 * i - 1], KEYS[2 * i]
  local kind, token, lease = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  if kind == 'm' then
    said[i] = redis.pcall('GET', name) == token and redis.call('PEXPIRE', name, lease) or 0
    -- A lock that is held for days stays in listings, which go by its fence.
    if said[i] == 1 and redis.call('PTTL', holders) < 43200000 then redis.call('PEXPIRE', holders, 86400000) end
  else
    local ends = redis.pcall('ZSCORE', name, token)
    said[i] = type(ends) == 'string' and tonumber(ends) > now and 1 or 0
    if said[i] == 1 then
      redis.call('ZADD', name, 'XX', string.format('%.0f', now + lease), token)
      for _, key in ipairs({name, holders}) do
        local left = redis.call('PTTL', key)
        if left >= 0 and left < tonumber(lease) then redis.call('PEXPIRE', key, lease) end
      end
    end
  end
end
return said
