//! The file, the connections to it, and its write-ahead log.

pub(crate) mod database;
pub(crate) mod mount;
pub(crate) mod readers;
pub(crate) mod wal;
