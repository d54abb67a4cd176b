//! Mail that a service sends: the port, the mail itself, and why one was not taken.

mod email;
mod mailbox;

pub use email::Email;
pub use mailbox::Mailbox;

use async_trait::async_trait;

use crate::words::limits::MAIL_KEY_BYTES_MAX;

/// Sends mail.
///
/// A mail goes to one address, so an answer is about that address alone. It is sent at least once: who was not
/// answered sends it again under the same key, and whoever receives it twice can tell.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *A mail arrives whole, in any script: sender, address, reply address, subject, text and HTML.* `a_mail_arrives_whole`
/// 2. *A mail under the same key arrives under the same id, also after reopening; under another key it is another mail.* `a_repeat_is_the_same_mail`
/// 3. *A mail without a sender has the adapter's.* `a_mail_without_a_sender_has_the_adapters`
/// 4. *Text that looks like a header, a protocol or a boundary stays text.* `hostile_text_stays_text`
/// 5. *An address that is refused for good is a final error, and nothing arrives.* `a_refusal_for_good_is_final`
/// 6. *An address that is refused for now is no final error, and the same mail arrives once it is taken.* `a_refusal_for_now_may_pass`
/// 7. *While nobody is there to take mail the error is not final, and the same mail arrives once somebody is.* `mail_waits_for_who_is_away`
/// 8. *Mails sent at the same time all arrive, each with its own answer.* `mails_at_the_same_time_all_arrive`
/// 9. *A send that was given up midway changes no other: what is answered is true.* `a_send_given_up_changes_no_other`
/// 10. *A key that exceeds a limit is a final error with the limit's name.* `limits_of_keys_are_named`
#[async_trait]
pub trait Mail: Send + Sync + 'static {
    /// Sends a mail, and returns once somebody has taken it. `key` tells a repeat from another mail: 1 to
    /// [`MAIL_KEY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// Why it was not taken; [`MailError::is_final`] says whether to try again.
    async fn send(&self, key: &str, mail: &Email) -> Result<(), MailError>;
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// It cannot be sent as it is. The text says what would be right.
    #[error("{0}")]
    Invalid(String),
    /// Whoever takes the mail refused it for good.
    #[error("the mail is refused for good: {0}")]
    Refused(String),
    /// Whoever takes the mail refused it for now.
    #[error("the mail is refused for now: {0}")]
    Deferred(String),
    /// Nobody took it, or nobody answered in time. It may have been taken all the same.
    #[error("the mail was not taken: {0}")]
    Unavailable(String),
    /// Whoever takes the mail did not let this service in, refused its sender, or is not who it should be. A
    /// person has to mend that; mail waits meanwhile.
    #[error("mail cannot be handed in: {0}")]
    Denied(String),
}

impl MailError {
    /// Whether the same mail will never be taken, however often it is sent.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Refused(_) => true,
            Self::Deferred(_) | Self::Unavailable(_) | Self::Denied(_) => false,
        }
    }
}

/// Checks the key of a mail. Adapters call it first.
///
/// # Errors
/// [`MailError::Invalid`] that names the limit.
pub fn check_mail_key(key: &str) -> Result<(), MailError> {
    if key.is_empty() || key.len() > MAIL_KEY_BYTES_MAX {
        return Err(MailError::Invalid(format!(
            "the key of a mail has 1 to MAIL_KEY_BYTES_MAX = {MAIL_KEY_BYTES_MAX} bytes, this one has {}",
            key.len()
        )));
    }
    Ok(())
}
