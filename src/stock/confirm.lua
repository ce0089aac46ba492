-- Makes a reservation an order, with an entry in the outbox: all or nothing.
--
-- KEYS  1 level, 2 holds, 3 buyers, 4 record, 5 outbox
-- ARGV  1 order id, 2 token of this request, 3 milliseconds that the record lives, 4 '1' to append to the
--       outbox, 5 sku
-- reply 'ok LEVEL QUANTITY STATE' | 'duplicate LEVEL QUANTITY STATE', confirmed before | 'missing LEVEL QUANTITY
--       STATE', cancelled or timed out before | 'missing'
--       or 'wrongtype WHAT' or an error: nothing was changed
-- include shelf
local id, token, lives, appends, sku = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
local record_key, outbox_key = KEYS[4], KEYS[5]

local found, why = read_record(record_key, id)
if why then return why end
if not found then return 'missing' end
if found.ended_by == token then return facts_of('ok', found) end
if found.state == 'confirmed' then return facts_of('duplicate', found) end
if found.state ~= 'reserved' then return facts_of('missing', found) end

local taken = redis.pcall('ZREM', holds_key, found.hold)
if type(taken) == 'table' then return taken end
local entry, failure
if appends then
  entry = append(outbox_key, id, sku, found.quantity, found.user)
  failure = type(entry) == 'table' and refusal_of('outbox', entry)
end
if not failure then
  local kept = redis.pcall('SET', record_key,
      words_of('confirmed', found.quantity, found.level, found.made_by, token, found.user), 'PX', lives)
  failure = kept.err and kept
  if failure and entry then redis.pcall('XDEL', outbox_key, entry) end
end
if failure then
  redis.pcall('ZADD', holds_key, found.ends, found.hold)
  return failure
end
found.state = 'confirmed'
return facts_of('ok', found)
