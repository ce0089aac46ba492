-- Shows locks: who holds them, and who waits in line. Changes nothing.
--
-- KEYS  the six keys of each lock (queue.lua)
-- reply for each lock a list: now (ms), its fence, then three texts for each holder ('holder', token,
--       'KIND FENCE MS', where MS is what is left of the lease, -1 for ever) and for each of the first
--       waiters ('waiter', token, 'KIND SINCE', the ticket in us), and last 'waiting' and how many
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(number) return string.format('%.0f', number) end

local said = {}
for first = 1, #KEYS, 6 do
  local name, queue, waiters = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  local fence = redis.pcall('GET', KEYS[first + 4])
  local answer = {integer(now), type(fence) == 'string' and fence or '0'}
  local function add(what, token, words)
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = what, token, words
  end
  local holder = redis.pcall('GET', name)
  if type(holder) == 'string' then
    add('holder', holder, 'm ' .. answer[2] .. ' ' .. integer(redis.call('PTTL', name)))
  elseif holder then
    local held = redis.pcall('ZRANGEBYSCORE', name, '(' .. integer(now), 'inf', 'WITHSCORES')
    for i = 1, held.err and 0 or #held, 2 do
      local how = redis.pcall('HGET', KEYS[first + 5], held[i])
      local left = held[i + 1] == 'inf' and -1 or tonumber(held[i + 1]) - now
      add('holder', held[i], (type(how) == 'string' and how or 'p 0') .. ' ' .. integer(left))
    end
  end
  local line = redis.pcall('ZRANGE', queue, 0, 99, 'WITHSCORES')
  for i = 1, line.err and 0 or #line, 2 do
    local wish = redis.pcall('HGET', waiters, line[i])
    add('waiter', line[i], (type(wish) == 'string' and string.sub(wish, 1, 1) or 'm') .. ' ' .. line[i + 1])
  end
  local waiting = redis.pcall('ZCARD', queue)
  answer[#answer + 1], answer[#answer + 2] = 'waiting', integer(type(waiting) == 'number' and waiting or 0)
  said[#said + 1] = answer
end
return said
