//! Reasons of [`Error::Unavailable`](crate::words::Error::Unavailable) that tell nothing of the installation, so
//! that an edge may show them to whoever asks.

/// The server of the store is there and takes no writes.
pub const READS_ONLY: &str = "the server of the store only reads: it is a standby, or set to be read-only";
/// The log is not the one this process has read.
pub const OLDER_COPY: &str = "the log is not the one this process has read: an older copy of the database was \
                              restored under it, or a standby that lacked the end of the log was promoted; start \
                              this process again";
