/// A step of the committer at which a test can make it fail as if its connection was lost, or take
/// another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Before the batch is sent.
    Send,
    /// Its answer has come: it is stored.
    Answered,
    /// Before the fence that follows a lost answer.
    Fence,
    /// A commit alone in its batch is written as one that is not.
    Alone,
}
