-- Counts the members of an index between two ends, behind what checks that they may be read.
--
-- KEYS[2]: index. ARGV from 3: from, to. Answer: {'ok', at, mark, number}

return { 'ok', at, mark, redis.call('ZLEXCOUNT', KEYS[2], ARGV[3], ARGV[4]) }
