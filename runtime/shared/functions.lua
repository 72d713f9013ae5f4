#!lua name=hearth_VERSION
-- The functions of a fleet's store, for Valkey >= 8 and Redis >= 7. Each runs as one atomic step, by the server's clock.
-- VERSION is the digest of this file: two versions of Hearth use two libraries beside each other while one replaces the other.
-- All keys have one hash tag, so that they lie on one node of a cluster. Amounts are whole micro-dollars, times microseconds.

local SECOND = 1000000
local YOUNG = 1.5 * SECOND  -- after it was emptied: the Hearths write down what they hold before anybody gets more
local GONE = 3 * SECOND
local RETIRED = 7 * 86400 * SECOND  -- without a word: a Hearth that will not come back to take its demotions back

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * SECOND + tonumber(time[2])
end

local function whole(number)
  return string.format('%.0f', number)
end

-- When this store was first used, or first used after it was emptied.
local function epoch(key)
  local at = redis.call('GET', key)
  if not at then
    at = whole(now())
    redis.call('SET', key, at)
  end
  return tonumber(at)
end

-- KEYS: epoch, alive, words, seen. ARGV: this Hearth, its word on itself ("": it says nothing). Returns the epoch, the Hearths heard in
-- the last three seconds, and the words of those that said one, by Hearth.
redis.register_function('hearth_VERSION_beat', function(keys, args)
  local at, said = now(), {}
  redis.call('ZADD', keys[2], whole(at), args[1])
  redis.call('ZREMRANGEBYSCORE', keys[2], '-inf', '(' .. whole(at - GONE))
  redis.call('ZADD', keys[4], whole(at), args[1])
  redis.call('ZREMRANGEBYSCORE', keys[4], '-inf', '(' .. whole(at - 31 * 86400 * SECOND))
  if args[2] ~= '' then
    redis.call('HSET', keys[3], args[1], args[2])
  end
  local stored = redis.call('HGETALL', keys[3])
  for n = 1, #stored, 2 do
    if redis.call('ZSCORE', keys[2], stored[n]) then
      said[#said + 1] = stored[n]
      said[#said + 1] = stored[n + 1]
    else
      redis.call('HDEL', keys[3], stored[n])
    end
  end
  return {whole(epoch(keys[1])), redis.call('ZRANGE', keys[2], 0, -1), said}
end)

-- KEYS: name of the lease. ARGV: this Hearth, milliseconds. Returns 1 if it holds the lease now, 0 if another does.
redis.register_function('hearth_VERSION_lease', function(keys, args)
  local holder = redis.call('GET', keys[1])
  if holder and holder ~= args[1] then
    return 0
  end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  return 1
end)

-- KEYS: epoch, one hash for each limit and period. ARGV: this Hearth, JSON: for each of them the limit, what this Hearth
-- holds of it, has used (settled and reserved) and has spent, what it wants besides, a rising number, and what it knows of the
-- others, by name. Returns for each: what was granted (-1 and the number where the call is older than one before it), what the
-- others hold and have spent, by name, and what this Hearth holds without the grant. What a Hearth holds it alone changes; the
-- others' only fills an emptied store. One that holds more than this store knows (it was frozen while the store was emptied)
-- keeps what it has used, and of the rest what the others have not been given.
redis.register_function('hearth_VERSION_budget', function(keys, args)
  local owner, asked, at, found = args[1], cjson.decode(args[2]), now(), {}
  local young = at - epoch(keys[1]) < YOUNG
  for i, each in ipairs(asked) do
    local key, others, rows = keys[i + 1], 0, {}
    for other, line in pairs(each.others) do
      redis.call('HSETNX', key, other, line)
    end
    local stored = redis.call('HGETALL', key)
    local last, had = 0, 0
    for n = 1, #stored, 2 do
      local held, spent, number, seen = string.match(stored[n + 1], '^(%d+):(%d+):(%d+):(%d+)$')
      if stored[n] == owner then
        last, had = tonumber(number), tonumber(held)
      else
        others = others + tonumber(held)
        -- Of one that is silent nobody knows what it has spent of what it holds.
        local silent = at - tonumber(seen) > GONE
        rows[#rows + 1] = {stored[n], stored[n + 1], silent and held or spent}
      end
    end
    if each.number <= last then
      found[i] = {-1, whole(last), rows, each.used}
    else
      local granted, held = 0, each.held
      if not young then
        held = math.max(each.used, math.min(held, math.max(had, each.limit - others)))
        granted = math.max(0, math.min(each.want, each.limit - others - held))
      end
      local line = whole(held + granted) .. ':' .. whole(each.spent) .. ':' .. whole(each.number) .. ':' .. whole(at)
      redis.call('HSET', key, owner, line)
      redis.call('EXPIRE', key, each.keep)
      found[i] = {granted, whole(each.number), rows, held}
    end
  end
  return found
end)

local WINDOW = 62  -- seconds: a share is good for one second after it was taken, and a minute must hold no more than the limit

-- KEYS: one hash for each limit on requests or tokens of a key: by second, what was taken. ARGV: JSON, for each of them the
-- limit, what is wanted and the least that is of use, what was used beyond what was taken, what is given back, by the second it
-- counted at, and what was used while this store was away or before it was emptied, by seconds ago. Returns for each: what was granted, the second it counts at, the rest, microseconds until there is more.
redis.register_function('hearth_VERSION_rates', function(keys, args)
  local at, found = now(), {}
  local second = math.floor(at / SECOND)
  for i, each in ipairs(cjson.decode(args[1])) do
    local key, sum, oldest = keys[i], 0, second
    for before, unused in pairs(each.back) do
      if redis.call('HEXISTS', key, before) == 1 then
        redis.call('HINCRBY', key, before, whole(-unused))
      end
    end
    for ago, late in pairs(each.late) do
      redis.call('HINCRBY', key, whole(second - tonumber(ago)), whole(late))
    end
    if each.over > 0 then
      redis.call('HINCRBY', key, whole(second), whole(each.over))
    end
    local stored = redis.call('HGETALL', key)
    for n = 1, #stored, 2 do
      local taken_at, taken = tonumber(stored[n]), tonumber(stored[n + 1])
      if taken_at <= second - WINDOW or taken == 0 then
        redis.call('HDEL', key, stored[n])
      else
        sum = sum + taken
        oldest = math.min(oldest, taken_at)
      end
    end
    local room, granted = each.limit - sum, 0
    if room >= each.least then
      granted = math.min(each.want, room)
    end
    if granted > 0 then
      redis.call('HINCRBY', key, whole(second), whole(granted))
    end
    redis.call('EXPIRE', key, WINDOW + 10)
    found[i] = {granted, whole(second), math.max(0, room - granted), whole((oldest + WINDOW) * SECOND - at)}
  end
  return found
end)

-- KEYS: epoch, one hash for each limit on a key's requests at a time. ARGV: JSON, for each of them the limit, the slots that
-- this Hearth holds, those of them that its requests use, those it wants besides, and a rising number; this Hearth; seconds for
-- which they are kept without a word. Returns for each: what was granted (-1 where the call is older than one before it), the
-- number, and what this Hearth holds without the grant: what it uses, and of the rest what the others have not been given.
redis.register_function('hearth_VERSION_slots', function(keys, args)
  local at, owner, found = now(), args[2], {}
  local young = at - epoch(keys[1]) < YOUNG
  for i, each in ipairs(cjson.decode(args[1])) do
    local key, others, last, had = keys[i + 1], 0, 0, 0
    local stored = redis.call('HGETALL', key)
    for n = 1, #stored, 2 do
      local held, number, till = string.match(stored[n + 1], '^(%d+):(%d+):(%d+)$')
      if stored[n] == owner then
        last = tonumber(number)
        had = tonumber(till) < at and 0 or tonumber(held)
      elseif tonumber(till) < at then
        redis.call('HDEL', key, stored[n])
      else
        others = others + tonumber(held)
      end
    end
    if each.number <= last then
      found[i] = {-1, whole(last), each.used}
    else
      local granted, held = 0, math.max(each.used, math.min(each.held, math.max(had, each.limit - others)))
      if not young then
        granted = math.max(0, math.min(each.want, each.limit - others - held))
      end
      local till = at + tonumber(args[3]) * SECOND
      redis.call('HSET', key, owner, whole(held + granted) .. ':' .. whole(each.number) .. ':' .. whole(till))
      redis.call('EXPIRE', key, args[3])
      found[i] = {granted, whole(each.number), held}
    end
  end
  return found
end)

-- KEYS: breakers, version of the keys, demotions, seen. ARGV: this Hearth, JSON: breakers that it opened (name, times in a row,
-- microseconds until the next try), those that it closed, those of which it wants to make the next try, and its demotions
-- ("": unchanged). Returns the open breakers (name, times, microseconds left, change), the tries that are granted, the version
-- of the keys, and the demotions by Hearth. An open breaker is tried by one Hearth at a time, which has five seconds to begin.
redis.register_function('hearth_VERSION_states', function(keys, args)
  local at, owner, given = now(), args[1], cjson.decode(args[2])
  for _, each in ipairs(given.opened) do
    local change = redis.call('INCR', keys[1] .. ':changes')
    local till = whole(at + each[3])
    redis.call('HSET', keys[1], each[1], whole(each[2]) .. '|' .. till .. '|' .. whole(change) .. '||0')
  end
  for _, name in ipairs(given.closed) do
    redis.call('HDEL', keys[1], name)
  end
  local granted, open = {}, {}
  for _, name in ipairs(given.tries) do
    local stored = redis.call('HGET', keys[1], name)
    if stored then
      local head, by, till = string.match(stored, '^(%d+|%d+|%d+)|([^|]*)|(%d+)$')
      if by == '' or by == owner or tonumber(till) < at then
        redis.call('HSET', keys[1], name, head .. '|' .. owner .. '|' .. whole(at + 5 * SECOND))
        granted[#granted + 1] = name
      end
    end
  end
  local stored = redis.call('HGETALL', keys[1])
  for n = 1, #stored, 2 do
    local times, till, change = string.match(stored[n + 1], '^(%d+)|(%d+)|(%d+)|')
    if tonumber(till) + 3600 * SECOND < at then
      redis.call('HDEL', keys[1], stored[n])  -- no traffic has asked this target for an hour
    else
      open[#open + 1] = {stored[n], tonumber(times), whole(math.max(0, tonumber(till) - at)), change}
    end
  end
  if given.demotions ~= '' then
    redis.call('HSET', keys[3], owner, given.demotions)
    redis.call('EXPIRE', keys[3], 30 * 86400)
  end
  for _, other in ipairs(redis.call('HKEYS', keys[3])) do
    local seen = redis.call('ZSCORE', keys[4], other)
    if not seen then
      redis.call('ZADD', keys[4], whole(at), other)  -- of a version that does not say when it was there
    elseif at - tonumber(seen) > RETIRED then
      redis.call('HDEL', keys[3], other)
    end
  end
  return {open, granted, redis.call('GET', keys[2]) or '0', redis.call('HGETALL', keys[3])}
end)

-- KEYS: keys, their version, peppers. ARGV: JSON: keys by id, each as JSON with a rising "version", and peppers. Of a key the
-- higher version stays. Returns the version of all, the keys and the peppers.
redis.register_function('hearth_VERSION_keys', function(keys, args)
  local given, changed = cjson.decode(args[1]), false
  for id, body in pairs(given.keys) do
    local stored = redis.call('HGET', keys[1], id)
    if not stored or cjson.decode(stored).version < cjson.decode(body).version then
      redis.call('HSET', keys[1], id, body)
      changed = true
    end
  end
  for _, pepper in ipairs(given.peppers) do
    changed = redis.call('SADD', keys[3], pepper) == 1 or changed
  end
  if changed then
    redis.call('INCR', keys[2])
  end
  return {redis.call('GET', keys[2]) or '0', redis.call('HGETALL', keys[1]), redis.call('SMEMBERS', keys[3])}
end)
