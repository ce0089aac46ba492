-- Ends a reservation and gives its quantity back: all or nothing.
--
-- KEYS  1 level, 2 holds, 3 buyers, 4 record
-- ARGV  1 order id, 2 token of this request, 3 milliseconds that the record lives
-- reply 'ok LEVEL QUANTITY STATE' | 'duplicate LEVEL QUANTITY STATE', cancelled before | 'missing LEVEL QUANTITY
--       STATE', confirmed or timed out before | 'missing'
--       or 'corrupt' | 'wrongtype WHAT' or an error: nothing was changed
-- include shelf
local id, token, lives = ARGV[1], ARGV[2], ARGV[3]
local record_key = KEYS[4]

local found, why = read_record(record_key, id)
if why then return why end
if not found then return 'missing' end
if found.ended_by == token then return facts_of('ok', found) end
if found.state == 'cancelled' then return facts_of('duplicate', found) end
if found.state ~= 'reserved' then return facts_of('missing', found) end

local level
level, why = read_level()
if not level then return why end
found.state, found.level = 'cancelled', integer(level + tonumber(found.quantity))
local kept = redis.pcall('SET', record_key,
    words_of('cancelled', found.quantity, found.level, found.made_by, token, found.user), 'PX', lives)
if kept.err then return kept end
local _, failure = give_back(found.hold, found.ends)
if failure then
  redis.pcall('SET', record_key, found.text, 'PX', lives)
  return failure
end
return facts_of('ok', found)
