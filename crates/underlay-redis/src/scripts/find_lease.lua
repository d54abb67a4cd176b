-- KEYS: lease. ARGV: now. Answer: what is stored, or {} where nobody holds it.

return is_held(KEYS[1], microseconds(ARGV[1])) and lease_of(KEYS[1]) or {}
