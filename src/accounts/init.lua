-- Sets a balance and clears the history; or, if asked, leaves an existing balance alone.
--
-- KEYS  1 balance, 2 history
-- ARGV  1 balance, 2 '1' to keep what exists
-- reply 'ok BALANCE' with what is stored now, or 'corrupt' or an error: nothing was changed
if ARGV[2] == '1' then
  local balance = redis.pcall('GET', KEYS[1])
  if balance then
    if type(balance) == 'table' then
      return string.sub(balance.err, 1, 9) == 'WRONGTYPE' and 'corrupt' or balance
    end
    if (balance ~= '0' and not string.find(balance, '^[1-9]%d*$')) or #balance > 19
        or (#balance == 19 and balance > '9223372036854775807') then
      return 'corrupt'
    end
    return 'ok ' .. balance
  end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 'ok ' .. ARGV[1]
