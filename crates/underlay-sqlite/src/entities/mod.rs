//! The entities: which there are, how changes of them are stored, and the queries that read them.

mod catalogue;
pub(crate) mod changes;
mod port;
