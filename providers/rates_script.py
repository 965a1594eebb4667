"""The grant as Redis runs it, on its own clock: the one place where tokens are taken."""

from __future__ import annotations

# KEYS: the mark. ARGV: the call as JSON (see `_call`). Answers {1} when the database is behind the
# mark, having changed nothing; else {0, rows, wait in ms, rows, wait in ms, ...}.
#
# A bucket is "tokens at owed" under a key that carries the server's run_id and its replication id:
# the one changes with each start, the other with each promotion, back to a former server included.
# An answer from the same data under another history therefore begins with empty buckets. A bucket
# outlives an idle hour only to pay off a debt. The keys share one hash slot.
#
# `spare` tokens (1 for numbers and accounts) are for replies. Where a long campaign message, or a
# debt, took the spare one with it, the bucket owes it: one reply may leave on credit.
GRANT = """
local HOUR, MONTH, LONGEST_WAIT, TINY = 3600, 2592000, 60, 1e-6
local call = cjson.decode(ARGV[1])

local known = redis.call('HMGET', KEYS[1], 'attempt', 'opt_out')
local attempt, opt_out = tonumber(known[1] or 0), tonumber(known[2] or 0)
if call.attempt < attempt or call.opt_out < opt_out then return {1} end
redis.call('HSET', KEYS[1], 'attempt', string.format('%.0f', call.attempt),
           'opt_out', string.format('%.0f', call.opt_out))

local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if not run_id then return redis.error_reply('ERR this server does not tell its run_id') end
local repl_id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6

local function spend(bucket, tokens, is_reply)
  local before = bucket.tokens
  bucket.tokens = math.min(bucket.burst, before - tokens)
  if is_reply then
    bucket.owed = 0
  elseif before + TINY >= 1 and bucket.tokens + TINY < 1 then
    bucket.owed = 1
  end
end

local function open(name, rate, spare, back, counts_messages)
  local bucket = {rate = rate, spare = spare, given = 0, tokens = 0, owed = 0}
  bucket.counts_messages = counts_messages
  bucket.key = string.gsub(KEYS[1], 'mark$', run_id .. repl_id .. ':' .. name)
  bucket.burst = math.max(2 * rate, 2 + spare)
  local kept = redis.call('GET', bucket.key)
  if kept then
    local tokens, at, owed = string.match(kept, '(%S+) (%S+) (%S+)')
    bucket.tokens = math.min(bucket.burst, tokens + math.max(0, now - at) * rate)
    bucket.owed = tonumber(owed)
  else
    back = math.min(back, 0)
  end
  spend(bucket, -back, false)
  return bucket
end

local function close(bucket)
  local life = HOUR
  if bucket.rate > 0 then
    life = math.min(MONTH, math.max(HOUR, (bucket.burst - bucket.tokens) / bucket.rate))
  end
  redis.call('SET', bucket.key, string.format('%.17g %.6f %d', bucket.tokens, now, bucket.owed),
             'PX', string.format('%.0f', life * 1000))
end

local function price(bucket, segments)
  return bucket.counts_messages and 1 or segments
end

local function room(bucket, segments, is_reply)
  local need = is_reply and 1 or 1 + bucket.spare
  if bucket.rate <= 0 then return 0, LONGEST_WAIT end
  local over = bucket.tokens + TINY - need
  if over >= 0 then return math.floor(over / price(bucket, segments)) + 1, 0 end
  if is_reply and bucket.owed == 1 then return 1, 0 end
  return 0, math.min(LONGEST_WAIT, -over / bucket.rate)
end

local buckets, answer = {}, {0}
for i, asked in ipairs(call.buckets) do
  buckets[i] = open(asked[1], asked[2], asked[3], asked[4], asked[5])
end
for _, want in ipairs(call.wants) do
  local rows, segments, is_reply, lane, wait = want[1], want[2], want[3], buckets[want[4][1]], 0
  local share = math.floor((lane.rate - lane.given) / segments)
  if is_reply or lane.given == 0 then share = math.max(share, 1) end
  rows = math.min(rows, math.max(share, 0))
  for _, i in ipairs(want[4]) do
    local most, until_one = room(buckets[i], segments, is_reply)
    rows, wait = math.min(rows, most), math.max(wait, until_one)
  end
  if rows > 0 then
    lane.given = lane.given + rows * segments
    for _, i in ipairs(want[4]) do
      spend(buckets[i], rows * price(buckets[i], segments), is_reply)
    end
  end
  answer[#answer + 1] = rows
  answer[#answer + 1] = math.ceil(wait * 1000)
end
for _, bucket in ipairs(buckets) do close(bucket) end
return answer
"""
