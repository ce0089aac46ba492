-- Whose token it is, and forgetting that it waits. Put in front of a script by a line "-- include owner".

-- Texts one behind the other, each behind its length.
local function unpacked(text)
  local words, at = {}, 1
  while at <= #text do
    local colon = string.find(text, ':', at, true)
    local length = colon and tonumber(string.sub(text, at, colon - 1))
    if not length then return words end
    words[#words + 1] = string.sub(text, colon + 1, colon + length)
    at = colon + length + 1
  end
  return words
end

-- Owners are the part of our tokens in front of the slash: "host:pid:nonce:who".
local function owner_of(token) return string.match(token, '^([^/]+:[^/]+)/') end
local function waits_of(owner)
  local process, who = string.match(owner, '^([^:]*:[^:]*:[^:]*):(.+)$')
  return process and 'redislock:waits:' .. process, who
end

-- What an owner waits for is "SINCE TOKEN,NAMES" (deadlock.lua), several times where a task waits for
-- several at once: packed, without the one of this token. Nil where it was not there.
local function other_waits(key, who, token)
  local text = redis.pcall('HGET', key, who)
  if type(text) ~= 'string' then return nil end
  local mark = ' ' .. #token .. ':' .. token
  local others, found = {}, false
  for _, edge in ipairs(unpacked(text)) do
    local blank = string.find(edge, ' ', 1, true)
    if blank and string.sub(edge, blank, blank + #mark - 1) == mark then found = true
    else others[#others + 1] = #edge .. ':' .. edge end
  end
  return others, found
end

local function forget_wait(token)
  local key, who = waits_of(owner_of(token) or '')
  if not key then return end
  local others, found = other_waits(key, who, token)
  if not found then return end
  if #others == 0 then redis.pcall('HDEL', key, who)
  else redis.pcall('HSET', key, who, table.concat(others)) end
end
