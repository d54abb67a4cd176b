-- Of which acquisition a term is: where an older copy of the file comes back, a term is given again.
ALTER TABLE leases ADD COLUMN id BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
