//! Mail: adapters of the port [`Mail`], chosen by an address, and the templates that mail is written from.
//!
//! | Address | What it does |
//! |---|---|
//! | `smtps://USER:PASSWORD@HOST` | hands mail to a server, encrypted from the first byte (port 465) |
//! | `smtp+starttls://USER:PASSWORD@HOST` | the same, encrypted before anything is said (port 587) |
//! | `smtp://HOST` | the same in plain text (port 25); a password is for a server on this machine alone |
//! | `folder:PATH` | writes each mail into a file, for development |
//!
//! The first three need the feature `smtp`. Options may follow in the address, in percent encoding:
//! `smtps://h?send_timeout=10s&from=bank@example.com`; they go before those of the [`MailConfig`].
//!
//! Opening asks nobody: a server that is away keeps no service from its start.
//!
//! ```
//! use underlay_core::{Email, Mailbox};
//! use underlay_outbound::mail::{self, MailConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> { tokio::runtime::Runtime::new()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let address = format!("folder:{}", folder.path().display());
//! let config = MailConfig::default().with_from(Mailbox::parse("The Bank <bank@example.com>")?);
//! let mail = mail::open(&address, config)?;
//! let welcome = Email::new(Mailbox::new("ann@example.com")?, "Welcome", "Hello Ann.")?;
//! mail.send("welcome-ann", &welcome).await?;
//! # Ok(()) }) }
//! ```

mod address;
mod config;
mod folder;
mod message;
#[cfg(feature = "smtp")]
mod smtp;
mod template;

pub use self::config::MailConfig;
pub use self::folder::FolderMail;
#[cfg(feature = "smtp")]
pub use self::smtp::SmtpMail;
pub use self::template::Template;

use std::sync::Arc;

use underlay_core::adapter::{OptionValues, without_password};
use underlay_core::options::{Options, set_all};
use underlay_core::{Error, Mail};

use self::address::{MailAddress, Place};

/// The kinds of mail there are, by an address of each.
pub const EXAMPLES: [&str; 4] =
    ["smtps://USER:PASSWORD@HOST", "smtp+starttls://USER:PASSWORD@HOST", "smtp://HOST", "folder:PATH"];

/// Opens the adapter of an address. The options that stand in it go before the configuration.
///
/// # Errors
/// [`Error::Invalid`] where the address or an option is wrong, no sender is set, or this program was built
/// without what the address needs, or there is a file in the place of the folder; [`Error::Backend`] where a file of
/// certificates cannot be read. Nothing is made or asked.
pub fn open(address: &str, mut config: MailConfig) -> Result<Arc<dyn Mail>, Error> {
    let MailAddress { place, options } = MailAddress::parse(address)?;
    set_all(&mut config, &options)?;
    config.check_bounds()?;
    match place {
        Place::Folder(path) => Ok(Arc::new(FolderMail::open(path, &config)?)),
        #[cfg(feature = "smtp")]
        Place::Server(server) => Ok(Arc::new(SmtpMail::of(server, &config)?)),
    }
}

/// The options that stand in an address, by the names that [`MailConfig`] gives them.
///
/// # Errors
/// [`Error::Invalid`] where the address is wrong, or one of them is not known or has a value that does not fit.
pub fn options_in(address: &str) -> Result<OptionValues, Error> {
    let MailAddress { options, .. } = MailAddress::parse(address)?;
    set_all(&mut MailConfig::default(), &options)?;
    Ok(options)
}

/// An address without the password in it, for people and logs.
#[must_use]
pub fn shown(address: &str) -> String {
    without_password(address)
}
