UPDATE store
SET fence = fence + 1
