SELECT
    shards,
    terms,
    urgent,
    normal,
    suspects,
    part,
    look_in
FROM share_work($1, $2, $3, $4, $5, $6, $7, $8, $9)
