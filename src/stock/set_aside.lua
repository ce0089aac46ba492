-- Takes entries that cannot become orders out of the outbox, and keeps them beside it with the reason.
--
-- KEYS  1 outbox, 2 where they are kept
-- ARGV  1 consumer group, 2 reason, then the ids of the entries
-- reply how many there were
local moved = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  local found = redis.call('XRANGE', KEYS[1], id, id)[1]
  if found then
    local fields = found[2]
    for _, word in ipairs({'stream_id', id, 'why', ARGV[2]}) do fields[#fields + 1] = word end
    redis.call('XADD', KEYS[2], '*', unpack(fields))
    redis.call('XDEL', KEYS[1], id)
    moved = moved + 1
  end
  redis.call('XACK', KEYS[1], ARGV[1], id)
end
return moved
