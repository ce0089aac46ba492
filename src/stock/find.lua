-- What became of an order.
--
-- KEYS  1 level, 2 holds, 3 buyers, 4 record
-- ARGV  1 order id
-- reply 'ok LEVEL QUANTITY STATE' | 'missing' or 'wrongtype WHAT' or an error
-- include shelf
local found, why = read_record(KEYS[4], ARGV[1])
if why then return why end
return found and facts_of('ok', found) or 'missing'
