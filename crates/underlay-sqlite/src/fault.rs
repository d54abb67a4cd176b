/// A step of the writer at which a test can make it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before the transaction begins.
    Begin,
    /// The rows of the transaction are inserted.
    Inserted,
    /// Before COMMIT: it fails and nothing is in the file.
    Commit,
    /// After COMMIT: it is in the file, and reported as failed.
    Committed,
    /// Before the fence that follows a failed COMMIT.
    Fence,
    /// Before the file is opened again.
    Reopen,
    /// Before frames of the WAL are copied into the database, which flushes the WAL first.
    Checkpoint,
}
