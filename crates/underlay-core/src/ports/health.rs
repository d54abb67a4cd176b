use async_trait::async_trait;

use crate::words::Error;

/// Whether what was opened can be used: a server, a file, a service of somebody else.
///
/// It is asked now and then in the background, and never for a request.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Asks whether it can be reached, read and changed. It changes nothing. Whoever asks gives it a time limit.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Denied`], [`Error::Invalid`] with what is wrong and what would be right.
    async fn check(&self) -> Result<(), Error>;

    /// Where its configuration would let it lose what it has answered, each a sentence for an operator. Empty where it
    /// would not.
    ///
    /// # Errors
    /// As [`Health::check`].
    async fn weaknesses(&self) -> Result<Vec<String>, Error>;
}
