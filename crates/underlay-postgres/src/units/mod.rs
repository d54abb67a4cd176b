//! Entities: their tables, and the units that change them.
//!
//! The table of an entity is in a schema of its own. A worker makes it and extends it, and sees no row in it: a
//! reader reads the rows of the tenant it has named, and a writer changes those. Nobody else may do anything.
//!
//! A unit is sent at once, from BEGIN to COMMIT, so that no lock of it waits for this process. Its statements are in the
//! safe order, and each takes its rows in the order of their ids, so two units never wait for each other in a circle.
//! Where a row is not as a change expects, a statement ends the transaction. Why, is looked up afterwards: where by then
//! all is as expected, the unit is run again.

pub(crate) mod definitions;
pub(crate) mod entity_table;
pub(crate) mod refusal;
pub(crate) mod unit;
