//! The log: what waits to be written, the thread that writes it, and the rows it is read back from.

pub(crate) mod append;
pub(crate) mod committer;
pub(crate) mod event_row;
pub(crate) mod intake;
pub(crate) mod savepoint;
pub(crate) mod truth;
pub(crate) mod unit_flight;
pub(crate) mod watcher;
