-- Puts or deletes an entity where its etag is the one that the caller saw; else tells the latest.
--
-- KEYS  1 entity: a hash of etag and value, 2 recent writes: the tokens of the last 32, newest first
-- ARGV  1 'put' or 'delete', 2 the caller's token, which becomes the etag, 3 '*' whatever is there, '' if nothing
--       is, '=' and an etag if that is, 4 milliseconds that it lives, 0 for ever, 5 milliseconds that a write is
--       remembered, 6 value
-- reply 'ok' | 'missing', so nothing to delete | a list: etag or '', value, then 1 where a write of this token,
--       if there ever was one, would be remembered, else 0: the etag is another one
--       or 'wrongtype' or an error: nothing was changed
--
-- A token that is remembered was applied, and its answer lost. It is remembered before the change, and forgotten
-- again by hand where the change is refused (by an ACL, say), since a script is not rolled back.
local deleting, token, wanted, ttl = ARGV[1] == 'delete', ARGV[2], ARGV[3], ARGV[4]
local one = #token + 1

local function failed(failure)
  return string.sub(failure.err, 1, 9) == 'WRONGTYPE' and 'wrongtype' or failure
end

local found = redis.pcall('HMGET', KEYS[1], 'etag', 'value')
if found.err then return failed(found) end
local etag, value = found[1], found[2]
if not (etag and value) and redis.call('EXISTS', KEYS[1]) == 1 then return 'wrongtype' end
local recent = redis.pcall('GET', KEYS[2]) or ''
if type(recent) == 'table' then return failed(recent) end

if string.find(recent, token, 1, true) then return 'ok' end
if wanted ~= '*' and wanted ~= (etag and '=' .. etag or '') then
  -- Where all writes are remembered, or all since the one that the caller saw, this one was none of them.
  local all = #recent < 32 * one or (wanted ~= '' and string.find(recent, string.sub(wanted, 2), 1, true))
  return {etag or '', value or '', all and 1 or 0}
end
if deleting and not etag then return 'missing' end

local refused
local function try(...)
  if refused then return end
  local said = redis.pcall(...)
  refused = type(said) == 'table' and said.err and said
end
try('SET', KEYS[2], token .. ' ' .. string.sub(recent, 1, 31 * one), 'PX', ARGV[5])
if refused then return refused end
if deleting then
  try('DEL', KEYS[1])
else
  try('HSET', KEYS[1], 'etag', token, 'value', ARGV[6])
  local written = not refused
  if ttl ~= '0' then try('PEXPIRE', KEYS[1], ttl) elseif etag then try('PERSIST', KEYS[1]) end
  if refused and written then
    if etag then redis.pcall('HSET', KEYS[1], 'etag', etag, 'value', value) else redis.pcall('DEL', KEYS[1]) end
  end
end
if refused then redis.pcall('SET', KEYS[2], recent, 'PX', ARGV[5]) end
return refused or 'ok'
