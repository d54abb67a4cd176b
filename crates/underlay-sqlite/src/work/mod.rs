//! Work in the file: sent with commits, shared among workers, read, settled and counted.

mod blocks;
pub(crate) mod depths;
#[cfg(test)]
mod plans;
pub(crate) mod reading;
pub(crate) mod sending;
pub(crate) mod settling;
pub(crate) mod sharing;
pub(crate) mod table;
pub(crate) mod tenant_depths;
pub(crate) mod work_row;
