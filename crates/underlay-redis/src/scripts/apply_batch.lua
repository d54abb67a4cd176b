-- Stores a batch: see store_batch.lua. Answer: {'ok'}, or why nothing is stored.

return store_batch() or { 'ok' }
