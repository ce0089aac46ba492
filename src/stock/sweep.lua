-- Gives back what was reserved and has timed out, and tells the level.
--
-- KEYS  1 level, 2 holds, 3 buyers
-- ARGV  1 at most so many reservations
-- reply 'ok LEVEL SETTLED', and more may be due where as many as asked were settled | 'missing'
--       or 'corrupt' | 'wrongtype WHAT' or an error
-- include shelf
local level, why = read_level()
if not level then return why end
local settled
settled, why = settle(tonumber(ARGV[1]))
if why then return why end
if settled > 0 then level = read_level() end
return 'ok ' .. integer(level) .. ' ' .. integer(settled)
