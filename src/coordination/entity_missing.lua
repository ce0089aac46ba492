-- What there is instead of an entity that was not found: nothing, one that came meanwhile, or another type.
--
-- KEYS  1 entity
-- reply a list: etag, value | 'missing' | 'wrongtype' or an error
local found = redis.pcall('HMGET', KEYS[1], 'etag', 'value')
if found.err then return string.sub(found.err, 1, 9) == 'WRONGTYPE' and 'wrongtype' or found end
if found[1] and found[2] then return found end
return redis.call('EXISTS', KEYS[1]) == 1 and 'wrongtype' or 'missing'
