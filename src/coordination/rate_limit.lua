-- Whether something of a certain cost is allowed by a rate, now or after a wait, by the generic cell rate
-- algorithm in its virtual scheduling form: ITU-T Recommendation I.371; ATM Forum, Traffic Management
-- Specification Version 4.1 (af-tm-0121.000). What is allowed moves the theoretical arrival time on.
--
-- KEYS  1 state: the theoretical arrival time, the server's time when that was written, and the limit that it
--       was written under; gone when that time has come
-- ARGV  1 the emission interval in whole microseconds, 2 the rest of it as a numerator, 3 the denominator,
--       4 burst, 5 cost, 6 microseconds that the caller would wait, 7 '1' to take it, '0' to look only
-- reply a list: 1 allowed or 0, how many more would be now, microseconds until this would be allowed, until all is
--       as if nothing had been, that the caller must wait before it goes on, and the server's time;
--       or 'wrongtype' or an error
--
-- All times are whole microseconds and a numerator below the denominator, so nothing is ever rounded.
local whole, part, parts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local capacity, cost, patience = tonumber(ARGV[4]) + 1, tonumber(ARGV[5]), tonumber(ARGV[6])
local limit = ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- How long it takes to emit n.
local function interval(n)
  local rest = n * part
  local left = math.fmod(rest, parts)
  return n * whole + (rest - left) / parts, left
end

local function plus(a, a_part, b, b_part)
  if a_part + b_part < parts then return a + b, a_part + b_part end
  return a + b + 1, a_part + b_part - parts
end

local function minus(a, a_part, b, b_part)
  if a_part >= b_part then return a - b, a_part - b_part end
  return a - b - 1, a_part - b_part + parts
end

local function rounded_up(a, a_part) return a_part > 0 and a + 1 or a end

local full, full_part = interval(capacity)
local tat, tat_part = now, 0
local state = redis.pcall('GET', KEYS[1])
if state then
  if type(state) == 'table' then
    return string.sub(state.err, 1, 9) == 'WRONGTYPE' and 'wrongtype' or state
  end
  local due, due_part, written, under = string.match(state, '^(%d+) (%d+) (%d+) (%d+ %d+ %d+ %d+)$')
  if not due then return 'wrongtype' end
  tat, tat_part, written = tonumber(due), tonumber(due_part), tonumber(written)
  if now < written then tat = tat - (written - now) end  -- the clock was set back: no time has passed
  if under ~= limit then
    tat, tat_part = rounded_up(tat, tat_part), 0
    local most = rounded_up(now + full, full_part)
    if tat > most then tat = most end  -- a stricter limit than before has not been used up more than once
  end
  if tat < now then tat, tat_part = now, 0 end
end

local after, after_part = plus(tat, tat_part, interval(cost))
local wait = math.max(0, rounded_up(minus(after, after_part, full, full_part)) - now)
local allowed = wait <= patience
if allowed and ARGV[7] == '1' then
  tat, tat_part = after, after_part
  local lives = math.ceil((rounded_up(tat, tat_part) - now) / 1000) + 1000  -- expiry's clock may lag a little
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f ', tat, tat_part, now) .. limit, 'PX',
      string.format('%.0f', lives))
end

local room, room_part = minus(now + full, full_part, tat, tat_part)
local remaining = 0
if room >= 0 then
  remaining = math.floor((room + room_part / parts) / (whole + part / parts))
  local function fits(n)
    local length, length_part = interval(n)
    return length < room or (length == room and length_part <= room_part)
  end
  while not fits(remaining) do remaining = remaining - 1 end
  while fits(remaining + 1) do remaining = remaining + 1 end
end
return {allowed and 1 or 0, remaining, allowed and 0 or wait, rounded_up(tat, tat_part) - now,
        allowed and wait or 0, now}
