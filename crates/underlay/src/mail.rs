//! Where the mail of a service goes to.

use std::sync::Arc;

use underlay_core::options::{ConfigOption, Configurable, Options, Place};
use underlay_core::{Error, Mail, Mailbox};
use underlay_outbound::mail::{self, MailConfig};

/// The section of the options.
pub(crate) const SECTION: &str = "mail";

/// The options of mail.
#[derive(Clone, Debug)]
pub(crate) struct MailSettings {
    /// The address that chooses the adapter.
    address: String,
    /// How it is sent.
    sending: MailConfig,
}

impl MailSettings {
    /// What holds where the configuration says nothing else. A sender that is none is missed when mail is opened.
    pub(crate) fn new(address: String, from: &str) -> Self {
        let sending = MailConfig { from: Mailbox::parse(from).ok(), ..MailConfig::default() };
        Self { address, sending }
    }

    /// Opens the adapter. Nobody is asked, and no file is made.
    pub(crate) fn open(self) -> Result<Arc<dyn Mail>, Error> {
        mail::open(&self.address, self.sending)
    }
}

impl Configurable for MailSettings {
    const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
        "address",
        "Where mail goes to: folder:PATH, or with the feature `mail-smtp` smtps://USER:PASSWORD@HOST, \
         smtp+starttls://USER:PASSWORD@HOST or smtp://HOST",
        |settings| Place::Text(&mut settings.address),
    )
    .checked(check_address)
    .address()
    .called("ADDRESS")];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.sending]
    }
}

/// An option has one place: `config` shows it, and says where it comes from.
fn check_address(address: &str) -> Result<(), String> {
    let in_address = mail::options_in(address).map_err(|error| error.to_string())?;
    match in_address.keys().next() {
        Some(name) => Err(format!(
            "an option of mail is set as {SECTION}.{name}, in its section or by its flag, and not in the address"
        )),
        None => Ok(()),
    }
}
