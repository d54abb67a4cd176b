use std::fmt;

use super::Mailbox;
use super::mailbox::check_one_line;
use crate::words::Error;
use crate::words::limits::{MAIL_BODY_BYTES_MAX, MAIL_SUBJECT_BYTES_MAX};

/// A mail that can be sent: every part of it was checked, so none can change the meaning of another.
///
/// Text and HTML are lines. Every kind of line end becomes `\n`, and the last line has one.
///
/// ```
/// use underlay_core::{Email, Mailbox};
///
/// let ann = Mailbox::new("ann@example.com")?;
/// let mail = Email::new(ann, "Welcome", "Hello Ann,\r\nhere we are.")?.with_html("<p>Hello Ann</p>")?;
/// assert_eq!(mail.text(), "Hello Ann,\nhere we are.\n");
/// # Ok::<(), underlay_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    from: Option<Mailbox>,
    to: Mailbox,
    reply_to: Option<Mailbox>,
    subject: String,
    text: String,
    html: Option<String>,
}

impl Email {
    /// A mail of the adapter's sender, without HTML.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the subject is empty or no single line, the text is empty, either holds what
    /// no mail can, or exceeds its limit, which is named.
    pub fn new(to: Mailbox, subject: impl Into<String>, text: &str) -> Result<Self, Error> {
        let subject = subject.into();
        if subject.trim().is_empty() || subject.len() > MAIL_SUBJECT_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the subject of a mail has 1 to MAIL_SUBJECT_BYTES_MAX = {MAIL_SUBJECT_BYTES_MAX} bytes, this \
                 one has {}",
                subject.trim().len()
            )));
        }
        check_one_line("the subject of a mail", &subject)?;
        Ok(Self { from: None, to, reply_to: None, subject, text: checked_body("text", text)?, html: None })
    }

    /// Sets the sender.
    #[must_use]
    pub fn with_from(mut self, from: Mailbox) -> Self {
        self.from = Some(from);
        self
    }

    /// Sets where an answer goes to, if not to the sender.
    #[must_use]
    pub fn with_reply_to(mut self, reply_to: Mailbox) -> Self {
        self.reply_to = Some(reply_to);
        self
    }

    /// Adds the same text in HTML.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is empty, holds what no mail can, or exceeds its limit, which is named.
    pub fn with_html(mut self, html: &str) -> Result<Self, Error> {
        self.html = Some(checked_body("HTML", html)?);
        Ok(self)
    }

    /// Who sends it; none means the adapter's sender.
    #[must_use]
    pub fn from(&self) -> Option<&Mailbox> {
        self.from.as_ref()
    }

    /// Where it goes to.
    #[must_use]
    pub fn to(&self) -> &Mailbox {
        &self.to
    }

    /// Where an answer goes to; none means to the sender.
    #[must_use]
    pub fn reply_to(&self) -> Option<&Mailbox> {
        self.reply_to.as_ref()
    }

    /// One line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Lines, each with `\n` at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same in HTML, where there is any: lines, each with `\n` at its end.
    #[must_use]
    pub fn html(&self) -> Option<&str> {
        self.html.as_deref()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it says may hold a link that is a secret, so only the sizes are shown.
        f.debug_struct("Email")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("reply_to", &self.reply_to)
            .field("subject", &self.subject)
            .field("text_bytes", &self.text.len())
            .field("html_bytes", &self.html.as_ref().map(String::len))
            .finish()
    }
}

fn checked_body(what: &str, body: &str) -> Result<String, Error> {
    if body.is_empty() || body.len() > MAIL_BODY_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the {what} of a mail has 1 to MAIL_BODY_BYTES_MAX = {MAIL_BODY_BYTES_MAX} bytes, this one has {}",
            body.len()
        )));
    }
    if body.contains('\0') {
        return Err(Error::invalid(format!("the {what} of a mail holds no NUL")));
    }
    let mut lines = body.replace("\r\n", "\n").replace('\r', "\n");
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Mailbox {
        Mailbox::new("ann@example.com").unwrap()
    }

    #[test]
    fn a_subject_is_one_line() {
        for subject in
            ["a\r\nBcc: b@example.com", "a\n", "a\rb", "a\0", "\u{2029}a", "a\u{85}b", "", "  ", "\t"]
        {
            assert!(Email::new(ann(), subject, "text").is_err(), "{subject:?}");
        }
        for subject in ["a", "Grüße, 安 👩‍👩‍👧", ": Bcc: b@example.com", "=?utf-8?q?a?="] {
            assert_eq!(Email::new(ann(), subject, "text").unwrap().subject(), subject);
        }
    }

    #[test]
    fn limits_are_named() {
        let long = |bytes: usize| "a".repeat(bytes);
        assert!(Email::new(ann(), long(MAIL_SUBJECT_BYTES_MAX), &long(MAIL_BODY_BYTES_MAX)).is_ok());
        let mail = Email::new(ann(), "a", "b").unwrap();
        for (result, limit) in [
            (Email::new(ann(), long(MAIL_SUBJECT_BYTES_MAX + 1), "b"), "MAIL_SUBJECT_BYTES_MAX"),
            (Email::new(ann(), "a", &long(MAIL_BODY_BYTES_MAX + 1)), "MAIL_BODY_BYTES_MAX"),
            (Email::new(ann(), "a", ""), "MAIL_BODY_BYTES_MAX"),
            (mail.clone().with_html(&long(MAIL_BODY_BYTES_MAX + 1)), "MAIL_BODY_BYTES_MAX"),
            (mail.clone().with_html(""), "MAIL_BODY_BYTES_MAX"),
        ] {
            let wrong = result.unwrap_err().to_string();
            assert!(wrong.contains(limit), "{wrong}");
        }
        assert!(Email::new(ann(), "a", "b\0").is_err() && mail.with_html("\0").is_err());
    }

    #[test]
    fn every_line_ends_the_same() {
        for (text, lines) in [("a", "a\n"), ("a\n", "a\n"), ("a\r\n\rb\n\n", "a\n\nb\n\n"), ("\r", "\n")] {
            let mail = Email::new(ann(), "a", text).unwrap().with_html(text).unwrap();
            assert_eq!((mail.text(), mail.html()), (lines, Some(lines)));
        }
    }

    #[test]
    fn what_a_mail_says_is_not_shown() {
        let mail = Email::new(ann(), "a", "the secret").unwrap().with_html("the secret").unwrap();
        assert!(!format!("{mail:?}").contains("secret"));
    }
}
