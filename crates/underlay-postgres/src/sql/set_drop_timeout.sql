SET LOCAL lock_timeout = '100ms'
