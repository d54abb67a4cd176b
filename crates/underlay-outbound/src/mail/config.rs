use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::options::{ConfigOption, Configurable, Place};
use underlay_core::{Clock, Error, Mailbox, SystemClock};

/// How mail is sent. What concerns a server is of no account for a folder.
#[derive(Clone)]
pub struct MailConfig {
    /// Who sends a mail that names no sender. It must be set before mail is opened.
    pub from: Option<Mailbox>,
    /// How long a send may take, with the wait for a connection.
    pub send_timeout: Duration,
    /// How long making a connection may take, and asking whether an idle one is still there.
    pub connect_timeout: Duration,
    /// Connections to the server; further mails wait for one.
    pub connections_max: usize,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    /// What this service calls itself before the server; none takes the domain of the sender.
    pub hello_name: Option<String>,
    /// A file of certificates in PEM form that sign the server's; none takes those of the system.
    pub root_certificates: Option<PathBuf>,
    /// Dates mail, and says how long a connection was idle.
    pub clock: Arc<dyn Clock>,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            from: None,
            send_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            connections_max: 4,
            idle_timeout: Duration::from_secs(30),
            hello_name: None,
            root_certificates: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailConfig")
            .field("from", &self.from)
            .field("send_timeout", &self.send_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections_max", &self.connections_max)
            .field("idle_timeout", &self.idle_timeout)
            .field("hello_name", &self.hello_name)
            .field("root_certificates", &self.root_certificates)
            .finish_non_exhaustive()
    }
}

impl MailConfig {
    /// Sets who sends a mail that names no sender.
    #[must_use]
    pub fn with_from(mut self, from: Mailbox) -> Self {
        self.from = Some(from);
        self
    }

    /// Sets how long a send may take.
    #[must_use]
    pub fn with_send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// Sets how long making a connection may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the number of connections to the server.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Sets how long a connection is kept that nobody uses.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets what this service calls itself before the server.
    #[must_use]
    pub fn with_hello_name(mut self, name: impl Into<String>) -> Self {
        self.hello_name = Some(name.into());
        self
    }

    /// Sets the file of certificates that sign the server's.
    #[must_use]
    pub fn with_root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Who sends what names no sender.
    pub(super) fn sender(&self) -> Result<Mailbox, Error> {
        self.from.clone().ok_or_else(|| {
            Error::invalid(
                "mail needs a sender: set the option from, as in from = \"The Bank <bank@example.com>\"",
            )
        })
    }
}

impl Configurable for MailConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new("from", "Who sends a mail that names no sender", |config| {
            Place::Text(&mut config.from)
        })
        .called("ADDRESS"),
        ConfigOption::<Self>::new(
            "send_timeout",
            "How long a send may take, with the wait for a connection",
            |config| Place::Time(&mut config.send_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new("connect_timeout", "How long making a connection may take", |config| {
            Place::Time(&mut config.connect_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "connections_max",
            "Connections to the mail server; further mails wait for one",
            |config| Place::Count(&mut config.connections_max),
        )
        .at_least(1)
        .at_most(1_000),
        ConfigOption::<Self>::new(
            "idle_timeout",
            "How long a connection is kept that nobody uses",
            |config| Place::Time(&mut config.idle_timeout),
        ),
        ConfigOption::<Self>::new(
            "hello_name",
            "What the service calls itself before the mail server; else the domain of the sender",
            |config| Place::Text(&mut config.hello_name),
        )
        .checked(check_hello_name)
        .called("HOST"),
        ConfigOption::<Self>::new(
            "root_certificates",
            "A file of certificates in PEM form that sign the mail server's",
            |config| Place::Text(&mut config.root_certificates),
        )
        .called("FILE"),
    ];
}

/// It stands in a line of the protocol.
fn check_hello_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if name.len() <= 255 && name.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("{name:?} is no name of a host, such as bank.example.com"))
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::options::Options;

    use super::*;

    #[test]
    fn a_sender_is_an_address() {
        let mut config = MailConfig::default();
        assert!(config.sender().unwrap_err().to_string().contains("from"));
        let wrong = config.set("from", "The Bank").unwrap_err();
        assert!(wrong.contains("ann@example.com"), "{wrong}");
        config.set("from", "The Bank <bank@example.com>").unwrap();
        assert_eq!(config.sender().unwrap().name(), Some("The Bank"));
    }

    #[test]
    fn what_stands_in_the_protocol_is_checked() {
        let mut config = MailConfig::default();
        for name in ["a b", "a\r\nQUIT", "ä"] {
            assert!(config.set("hello_name", name).is_err(), "{name:?}");
        }
        assert!(config.clone().with_hello_name("a\r\nQUIT").check_bounds().is_err());
        config.set("hello_name", "bank.example.com").unwrap();
        assert!(config.with_connections_max(0).check_bounds().is_err());
    }
}
