SELECT pg_advisory_xact_lock(hashtextextended('{schema} migrations', 0))
