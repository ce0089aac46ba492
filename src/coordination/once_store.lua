-- Stores that something was done once, and its result, unless somebody newer took over meanwhile.
--
-- KEYS  1 record, 2 lock of whose turn it is, a read-write lock, 3 that lock's last fencing token
-- ARGV  1 our token, 2 our fencing token, 3 milliseconds that the record lives, 0 for ever, 4 what to store
-- reply 'ok' | 'lost': nothing was changed
--       or 'wrongtype' or an error
local token, fence, ttl = ARGV[1], ARGV[2], ARGV[3]

local function failed(failure)
  return string.sub(failure.err, 1, 9) == 'WRONGTYPE' and 'wrongtype' or failure
end

local record = redis.pcall('GET', KEYS[1])
if type(record) == 'table' then return failed(record) end
if record then  -- ours, whose answer was lost, or of somebody newer
  return string.match(record, '^(%d+) ') == fence and 'ok' or 'lost'
end
local last = redis.pcall('GET', KEYS[3])
if type(last) == 'table' then return failed(last) end
-- Where the last fencing token is no longer known, the lock itself must still be ours.
if last ~= fence and (last or type(redis.pcall('ZSCORE', KEYS[2], token)) ~= 'string') then return 'lost' end

local stored
if ttl == '0' then stored = redis.pcall('SET', KEYS[1], ARGV[4])
else stored = redis.pcall('SET', KEYS[1], ARGV[4], 'PX', ttl) end
return stored.err and stored or 'ok'
