-- Who waits, and forgetting it. Put in front of a script by a line "-- include owner".
--
-- Owners are the part of our tokens in front of the slash: "host:pid:nonce:who".
local function owner_of(token) return string.match(token, '^([^/]+:[^/]+)/') end
local function waits_of(owner)
  local process, who = string.match(owner, '^([^:]*:[^:]*:[^:]*):(.+)$')
  return process and 'redislock:waits:' .. process, who
end

local function forget_wait(token)
  local owner = owner_of(token)
  local key, who = waits_of(owner or '')
  if key then
    local edge = redis.pcall('HGET', key, who)
    if type(edge) == 'string' and string.find(edge, token, 1, true) then redis.pcall('HDEL', key, who) end
  end
end
