use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::{Email, Mail, MailError, Mailbox, check_mail_key};

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// Its key: of two with one key, the second is a repeat.
    pub key: String,
    /// The mail, with its sender.
    pub mail: Email,
}

/// Keeps the mail that is sent, for tests. A clone is the same place.
#[derive(Clone, Debug)]
pub struct MemoryMail {
    sender: Mailbox,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    sent: Vec<SentMail>,
    /// By address.
    refusals: HashMap<String, MailError>,
    away: Option<MailError>,
}

impl MemoryMail {
    /// No mail yet. `sender` sends what names no sender itself.
    #[must_use]
    pub fn new(sender: Mailbox) -> Self {
        Self { sender, kept: Arc::default() }
    }

    /// Every mail that was taken, in order; a repeat is one more.
    #[must_use]
    pub fn sent(&self) -> Vec<SentMail> {
        self.lock().sent.clone()
    }

    /// The sender of mail that names none.
    #[must_use]
    pub fn sender(&self) -> &Mailbox {
        &self.sender
    }

    /// Answers mail to an address with an error from now on; with none it is taken again.
    pub fn refuse(&self, address: &str, error: Option<MailError>) {
        let mut kept = self.lock();
        match error {
            Some(error) => drop(kept.refusals.insert(address.to_owned(), error)),
            None => drop(kept.refusals.remove(address)),
        }
    }

    /// Answers all mail with an error from now on, as a server does that is away; with none it is taken again.
    pub fn refuse_all(&self, error: Option<MailError>) {
        self.lock().away = error;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change is one call of a collection, so a panic leaves none half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mail for MemoryMail {
    async fn send(&self, key: &str, mail: &Email) -> Result<(), MailError> {
        check_mail_key(key)?;
        let mut kept = self.lock();
        if let Some(error) = kept.away.as_ref().or_else(|| kept.refusals.get(mail.to().address())) {
            return Err(error.clone());
        }
        let from = mail.from().unwrap_or(&self.sender).clone();
        kept.sent.push(SentMail { key: key.to_owned(), mail: mail.clone().with_from(from) });
        Ok(())
    }
}
