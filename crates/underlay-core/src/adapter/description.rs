//! What an adapter says of itself, so that whoever composes a service can hold it in a table.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Backend;
use crate::words::Error;
use crate::words::options::Options;

/// Options by their names, as [`Adapter::options`] describes them.
pub type OptionValues = BTreeMap<String, String>;

/// An adapter as a value: which addresses are its own, what can be set, and how a store is opened.
#[async_trait]
pub trait Adapter: Send + Sync + 'static {
    /// Its name, and that of the section its options stand in: `sqlite`. No part of a service has it, such
    /// as `server` or `engine`.
    fn name(&self) -> &'static str;

    /// What its addresses begin with, before the first colon: `postgres`, `postgresql`.
    fn schemes(&self) -> &'static [&'static str];

    /// An address as an example, for people: `sqlite:PATH`.
    fn example(&self) -> &'static str;

    /// What can be set, each with the value it has where nothing is said.
    fn options(&self) -> Box<dyn Options>;

    /// The options that stand in an address itself, by the names that [`Adapter::options`] gives them.
    /// They go before those that are handed to [`Adapter::open`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where one of them is not known or has a value that does not fit.
    fn options_in(&self, address: &str) -> Result<OptionValues, Error>;

    /// An address without what is secret in it, for people and logs.
    fn shown(&self, address: &str) -> String;

    /// Opens the store of an address, and makes it where it is missing and can be made.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address or an option is wrong; otherwise what the store says.
    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error>;

    /// Opens a store that is there. Where there is none, nothing is made.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; otherwise as [`Adapter::open`].
    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error>;

    /// How its schema is brought up to date by an administrator; none where opening does it.
    fn migrations(&self) -> Option<&dyn Migrations>;
}

/// Brings the schema of a store up to date, as its administrator.
#[async_trait]
pub trait Migrations: Send + Sync {
    /// Applies what is missing, and returns the names of the migrations it applied. `login` is granted
    /// the use of the store, where one is given.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the schema is newer than this program; [`Error::Denied`] where the login
    /// of the address may not do it; otherwise what the store says.
    async fn migrate(
        &self,
        address: &str,
        options: &OptionValues,
        login: Option<&str>,
    ) -> Result<Vec<&'static str>, Error>;

    /// What [`Migrations::migrate`] would run now, for an administrator; empty where there is nothing to
    /// do.
    ///
    /// # Errors
    /// As [`Migrations::migrate`].
    async fn migration_script(
        &self,
        address: &str,
        options: &OptionValues,
        login: Option<&str>,
    ) -> Result<String, Error>;
}

/// An address of the form `scheme://user:password@host/…` with stars in the place of the password.
///
/// Where it cannot be told for certain where the password ends, more is hidden rather than less.
#[must_use]
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let Some(first) = rest.find('@') else { return address.to_owned() };
    // A password may hold an `@` or a `/` that nobody has encoded.
    let end = rest[first..].find('?').map_or(rest.len(), |at| first + at);
    let last = rest[..end].rfind('@').unwrap_or(first);
    match rest[..last].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[last..]),
        None => address.to_owned(),
    }
}

/// Takes the options that begin with `ours` out of an address: what is left of it, and their names without that with
/// their values, without percent encoding.
///
/// # Errors
/// [`Error::Invalid`] that names the option.
pub fn split_options(address: &str, ours: &str) -> Result<(String, Vec<(String, String)>), Error> {
    let Some((place, options)) = address.split_once('?') else {
        return Ok((address.to_owned(), Vec::new()));
    };
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let Some(known) = name.strip_prefix(ours) else {
            others.push(option);
            continue;
        };
        let value = percent_decoded(value)
            .ok_or_else(|| Error::invalid(format!("the value of {name} is not percent encoding")))?;
        found.push((known.to_owned(), value));
    }
    let place = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    Ok((place, found))
}

/// A part of an address without its percent encoding; `None` where that is broken.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (address, shown) in [
            ("memory:", "memory:"),
            ("sqlite:a@b:c.db", "sqlite:a@b:c.db"),
            ("postgres://h:5432/d", "postgres://h:5432/d"),
            ("postgres://me@h:5432/d?x=a@b:c", "postgres://me@h:5432/d?x=a@b:c"),
            ("postgres://me:pw@h:5432/d", "postgres://me:***@h:5432/d"),
            ("postgres://me:p@ss@h/d", "postgres://me:***@h/d"),
            ("postgres://me:p/s?s@h/d", "postgres://me:***@h/d"),
            ("postgres://me:p@s/s@h/d", "postgres://me:***@h/d"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }

    #[test]
    fn percent_encoding_is_taken_off_or_broken() {
        assert_eq!(percent_decoded("a%20b%40%C3%a9+").as_deref(), Some("a b@é+"));
        for broken in ["%", "%4", "%zz", "%ff", "%-1"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
