use std::fmt;
use std::str::FromStr;

use crate::words::Error;
use crate::words::limits::{MAIL_ADDRESS_BYTES_MAX, MAIL_LOCAL_PART_BYTES_MAX, MAIL_NAME_BYTES_MAX};
use crate::words::options::TextValue;

/// Bytes in one part of a domain, as DNS has it.
const LABEL_BYTES_MAX: usize = 63;

/// Where mail goes to or comes from: an address, and a name for people to read.
///
/// It is written `ann@example.com` or `Ann Example <ann@example.com>`. An address is plain ASCII: a domain in
/// another script is written in its ASCII form (`xn--…`).
///
/// ```
/// use underlay_core::Mailbox;
///
/// let ann = Mailbox::parse("Ann Example <ann@example.com>").unwrap();
/// assert_eq!((ann.name(), ann.address()), (Some("Ann Example"), "ann@example.com"));
/// assert!(Mailbox::parse("ann@example.com\r\nBcc: all@example.com").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    name: Option<String>,
    address: String,
    /// Where the `@` stands.
    at: usize,
}

impl Mailbox {
    /// Checks and takes an address.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is none, or exceeds a limit, which is named.
    pub fn new(address: impl Into<String>) -> Result<Self, Error> {
        let address = address.into();
        let at = check_address(&address)?;
        Ok(Self { name: None, address, at })
    }

    /// Adds a name; blanks around it are taken off, and of an empty one nothing is kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it holds a line break or another control character, or exceeds its limit.
    pub fn with_name(mut self, name: &str) -> Result<Self, Error> {
        let name = name.trim();
        if name.len() > MAIL_NAME_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the name of an address has at most MAIL_NAME_BYTES_MAX = {MAIL_NAME_BYTES_MAX} bytes, this one \
                 has {}",
                name.len()
            )));
        }
        check_one_line("the name of an address", name)?;
        self.name = (!name.is_empty()).then(|| name.to_owned());
        Ok(self)
    }

    /// Reads `ann@example.com` or `Ann Example <ann@example.com>`.
    ///
    /// # Errors
    /// As [`Mailbox::new`] and [`Mailbox::with_name`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => Self::new(address)?.with_name(name),
            None => Self::new(text),
        }
    }

    /// The name, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address alone.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.address[..self.at]
    }

    /// What stands after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.address[self.at + 1..]
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.write_str(&self.address),
        }
    }
}

impl FromStr for Mailbox {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TextValue for Option<Mailbox> {
    fn text(&self) -> Option<String> {
        self.as_ref().map(Mailbox::to_string)
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "" => None,
            text => Some(Mailbox::parse(text).map_err(|error| error.to_string())?),
        };
        Ok(())
    }
}

/// Refuses what would end a line of a header, and every other control character.
pub(super) fn check_one_line(what: &str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| is_line_end_or_control(*c)) {
        Some(c) => Err(Error::invalid(format!(
            "{what} is one line without control characters, this one holds {c:?}"
        ))),
        None => Ok(()),
    }
}

fn is_line_end_or_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Where the `@` of an address stands.
fn check_address(address: &str) -> Result<usize, Error> {
    if address.len() > MAIL_ADDRESS_BYTES_MAX {
        return Err(Error::invalid(format!(
            "an address has at most MAIL_ADDRESS_BYTES_MAX = {MAIL_ADDRESS_BYTES_MAX} bytes, this one has {}",
            address.len()
        )));
    }
    let wrong =
        |why: &str| Error::invalid(format!("{address:?} is no address, such as ann@example.com: {why}"));
    let (local, domain) = address.rsplit_once('@').ok_or_else(|| wrong("it has no `@`"))?;
    if local.len() > MAIL_LOCAL_PART_BYTES_MAX {
        return Err(wrong(&format!(
            "before the `@` there are at most MAIL_LOCAL_PART_BYTES_MAX = {MAIL_LOCAL_PART_BYTES_MAX} bytes"
        )));
    }
    let in_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if !local.split('.').all(|part| !part.is_empty() && part.chars().all(in_local)) {
        return Err(wrong(
            "before the `@` stand ASCII letters, digits and signs, with single dots between them",
        ));
    }
    let in_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.chars().all(in_label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !domain.split('.').all(is_label) {
        return Err(wrong(
            "after the `@` stands a domain of ASCII letters, digits, `-` and single dots; one in another script \
             is written in its ASCII form, xn--…",
        ));
    }
    Ok(local.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_have_them_are_taken() {
        for address in [
            "ann@example.com",
            "a@b",
            "root@localhost",
            "ann.b-c_d+tag@mail.example.co.uk",
            "o'brien!#$%&*/=?^`{|}~@x-y.org",
            "ann@xn--bcher-kva.example",
            "-flag@example.com",
            "1@2.3",
        ] {
            let mailbox = Mailbox::parse(address).unwrap();
            assert_eq!((mailbox.address(), mailbox.name()), (address, None));
            assert_eq!(format!("{}@{}", mailbox.local_part(), mailbox.domain()), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            "ann@@example.com",
            "a@b@example.com",
            ".ann@example.com",
            "ann.@example.com",
            "an..n@example.com",
            "ann @example.com",
            " ann@example.com",
            "ann@example.com ",
            "ann@example..com",
            "ann@.example.com",
            "ann@example.com.",
            "ann@-example.com",
            "ann@exam_ple.com",
            "ann@[127.0.0.1]",
            "\"ann smith\"@example.com",
            "ann@example.com,bob@example.com",
            "ann@example.com>",
            "<ann@example.com",
            "ann@example.com\r\nBcc: bob@example.com",
            "ann\n@example.com",
            "ann\0@example.com",
            "änn@example.com",
            "ann@bücher.example",
            "ann@example.com> RCPT TO:<bob@example.com",
        ] {
            assert!(Mailbox::new(address).is_err(), "{address:?}");
        }
        assert!(Mailbox::new(format!("{}@example.com", "a".repeat(MAIL_LOCAL_PART_BYTES_MAX))).is_ok());
        for (address, limit) in [
            (
                format!("{}@example.com", "a".repeat(MAIL_LOCAL_PART_BYTES_MAX + 1)),
                "MAIL_LOCAL_PART_BYTES_MAX",
            ),
            (format!("a@{}com", "b.".repeat(MAIL_ADDRESS_BYTES_MAX / 2)), "MAIL_ADDRESS_BYTES_MAX"),
        ] {
            let wrong = Mailbox::new(address).unwrap_err().to_string();
            assert!(wrong.contains(limit), "{wrong}");
        }
    }

    #[test]
    fn a_name_may_hold_anything_but_the_end_of_a_line() {
        for (text, name) in [
            ("Ann Example <ann@example.com>", Some("Ann Example")),
            ("Ann \"the\" <Boss>, Ltd. <ann@example.com>", Some("Ann \"the\" <Boss>, Ltd.")),
            ("bob@example.com <ann@example.com>", Some("bob@example.com")),
            ("Änne 安 👩‍👩‍👧 <ann@example.com>", Some("Änne 安 👩‍👩‍👧")),
            ("  <ann@example.com>", None),
        ] {
            let mailbox: Mailbox = text.parse().unwrap();
            assert_eq!((mailbox.name(), mailbox.address()), (name, "ann@example.com"));
        }
        let ann = || Mailbox::new("ann@example.com").unwrap();
        for name in
            ["a\r\nBcc: b@example.com", "a\nb", "a\rb", "a\0b", "a\tb", "a\u{85}b", "a\u{2028}b", "\u{7f}a"]
        {
            assert!(ann().with_name(name).is_err(), "{name:?}");
        }
        assert!(ann().with_name(&"é".repeat(MAIL_NAME_BYTES_MAX / 2)).is_ok());
        let wrong = ann().with_name(&"a".repeat(MAIL_NAME_BYTES_MAX + 1)).unwrap_err().to_string();
        assert!(wrong.contains("MAIL_NAME_BYTES_MAX"), "{wrong}");
        assert_eq!(ann().with_name("Ann").unwrap().to_string(), "Ann <ann@example.com>");
    }
}
