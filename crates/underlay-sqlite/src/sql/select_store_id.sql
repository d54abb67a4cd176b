SELECT id
FROM store
