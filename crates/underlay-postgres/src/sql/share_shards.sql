SELECT
    shards,
    terms,
    urgent,
    normal,
    suspects,
    part,
    look_in,
    waits_for,
    waits_for_holder
FROM share_shards($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
