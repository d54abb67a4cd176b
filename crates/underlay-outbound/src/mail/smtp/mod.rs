//! Mail by SMTP: a few connections to one server, kept while they are used.
//!
//! A send takes a turn, then a connection: an idle one that still answers, or a new one. It asks, step by
//! step: the sender, the address, the content. Then the connection is kept.
//!
//! What happens when something fails:
//! - **A step is refused.** Its answer says whether for good (5xx) or for now (4xx). The connection is kept, and
//!   is reset before it is used again.
//! - **Nobody answers, or the answer is not one of the protocol.** The connection is closed, and the idle ones
//!   with it: they lead to the same server.
//! - **The send takes too long, or is given up.** Its connection is closed with it, wherever it was. An answer
//!   that comes later is read by nobody, so it is never taken for that of another mail. Whether the mail was
//!   taken is not known; whoever sends it again does so under the same `Message-ID`.
//! - **The server lets nobody in**, by a wrong login or a certificate that nobody vouches for, or refuses the
//!   sender. No mail is at fault, so the error is not final: mail waits for a person.
//! - **The server goes away while connections are idle.** Each is asked before it is used again, so that costs no
//!   mail. One that was idle for too long is closed when the next mail finds it.
//!
//! The pool is our own: that of lettre keeps a connection whose send was given up between question and answer.

mod connection;
mod failure;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use underlay_core::{Clock, Email, Error, Mail, MailError, Mailbox, Timestamp, check_mail_key};

use self::connection::{Connection, Door};
use super::address::Server;
use super::{MailConfig, message};

/// Hands mail to one server.
pub struct SmtpMail {
    door: Door,
    sender: Mailbox,
    send_timeout: Duration,
    connect_timeout: Duration,
    idle_timeout: Duration,
    clock: std::sync::Arc<dyn Clock>,
    /// As many as there may be connections.
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

/// A connection nobody uses.
struct Idle {
    connection: Connection,
    since: Timestamp,
}

impl std::fmt::Debug for SmtpMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpMail")
            .field("server", &self.door.server)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl SmtpMail {
    /// Prepares the way to a server. Nobody is asked.
    pub(super) fn of(server: Server, config: &MailConfig) -> Result<Self, Error> {
        let sender = config.sender()?;
        let hello_name = config.hello_name.clone().unwrap_or_else(|| sender.domain().to_owned());
        let door = Door::new(server, hello_name, config.root_certificates.as_deref())?;
        Ok(Self {
            door,
            sender,
            send_timeout: config.send_timeout,
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            clock: config.clock.clone(),
            turns: Semaphore::new(config.connections_max),
            idle: Mutex::default(),
        })
    }

    async fn hand_in(&self, from: &Mailbox, to: &Mailbox, message: &str) -> Result<(), MailError> {
        // It is never closed, and without a turn there is still a connection to be had.
        let _turn = self.turns.acquire().await;
        let mut connection = match self.idle_connection().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match connection.hand_in(from, to, message).await {
            Ok(()) => {
                self.keep(connection);
                Ok(())
            }
            Err(failure) => {
                if failure.is_an_answer() {
                    self.keep(connection);
                } else {
                    self.lock().clear();
                }
                Err(failure.of_a_mail())
            }
        }
    }

    /// An idle connection that answers; none where there is none.
    async fn idle_connection(&self) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.lock().pop()?;
            let is_fresh = self.clock.now().duration_since(since).unsigned_abs() <= self.idle_timeout;
            if is_fresh && timeout(self.connect_timeout, connection.reset()).await.is_ok_and(|reset| reset) {
                return Some(connection);
            }
            // The last one that was used is gone, so those before it are too.
            self.lock().clear();
        }
    }

    async fn connect(&self) -> Result<Connection, MailError> {
        match timeout(self.connect_timeout, self.door.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(MailError::Unavailable(format!(
                "{} did not answer in {:?} (connect_timeout)",
                self.door, self.connect_timeout
            ))),
        }
    }

    fn keep(&self, connection: Connection) {
        let since = self.clock.now();
        self.lock().push(Idle { connection, since });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Each change is one call of the list, so a panic leaves none half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mail for SmtpMail {
    async fn send(&self, key: &str, mail: &Email) -> Result<(), MailError> {
        check_mail_key(key)?;
        let text = message::written(key, mail, &self.sender, self.clock.now());
        let from = mail.from().unwrap_or(&self.sender);
        match timeout(self.send_timeout, self.hand_in(from, mail.to(), &text)).await {
            Ok(handed_in) => handed_in,
            Err(_) => Err(MailError::Unavailable(format!(
                "{} had not taken it after {:?} (send_timeout); it may have been taken all the same",
                self.door, self.send_timeout
            ))),
        }
    }
}
