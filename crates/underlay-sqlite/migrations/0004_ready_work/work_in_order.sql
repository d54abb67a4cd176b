-- Ready work lies in blocks of its order: of 64 commits each, as `place >> 16` counts them. In a block it lies by
-- shard. So a commit writes to the end of the index alone, whatever its shard, and a reader of a shard goes from block
-- to block. What passes over a tenant, or counts, looks at no row of the table.
DROP INDEX work_in_order;

CREATE INDEX work_in_order ON work (lane, place >> 16, shard, place, tenant, receiver, kind);

-- An entry for each piece, in another page for each tenant of each shard, cost a commit more than it saved readers.
DROP INDEX work_by_tenant;
