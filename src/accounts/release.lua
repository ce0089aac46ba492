-- Releases a lock if it is still ours.
--
-- KEYS  1 lock
-- ARGV  1 token
-- reply 1 released | 0 not ours
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
