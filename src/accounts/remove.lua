-- Removes a balance and its history, whatever they hold.
--
-- KEYS  1 balance, 2 history
-- reply 'ok' | 'missing'
local existed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
return existed == 1 and 'ok' or 'missing'
