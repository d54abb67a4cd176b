//! A mail as it travels: headers, and one part or two. It is ASCII throughout, so every server takes it.
//!
//! Who repeats a mail writes the same `Message-ID`, made from its key: whoever receives both can tell. All of it
//! was checked when the [`Email`] was made, and what is no plain ASCII is encoded, so no value ends a line.

use std::fmt::Write as _;

use email_encoding::headers::writer::EmailWriter;
use email_encoding::headers::{quoted_string, rfc2047};
use jiff::fmt::rfc2822;
use quoted_printable::{InputMode, Options};
use underlay_core::{Email, Fingerprint, Mailbox, Timestamp};

/// Bytes in a line that is sent as it is; the protocol has 998.
const LINE_BYTES_MAX: usize = 990;
/// Bytes of a key that a file name shows.
const SHOWN_KEY_BYTES_MAX: usize = 64;

/// What tells a mail from every other: of one key it is always the same.
fn identity(key: &str) -> Fingerprint {
    Fingerprint::of([b"mail".as_slice(), key.as_bytes()])
}

/// The name of the file that holds a mail. No two keys share one, also where files are told apart without
/// regard to case.
pub(super) fn file_name(key: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let shown: String = key.chars().map(fits).take(SHOWN_KEY_BYTES_MAX).collect();
    format!("{shown}-{}.eml", identity(key))
}

/// Writes a mail.
pub(super) fn written(key: &str, mail: &Email, sender: &Mailbox, now: Timestamp) -> String {
    let from = mail.from().unwrap_or(sender);
    let mut message = Message(String::with_capacity(2 * mail.text().len() + 1_024));
    message.mailbox("From", from);
    message.mailbox("To", mail.to());
    if let Some(reply_to) = mail.reply_to() {
        message.mailbox("Reply-To", reply_to);
    }
    message.subject(mail.subject());
    // Moments that a date in a mail cannot say are none a clock shows.
    let date = rfc2822::DateTimePrinter::new().timestamp_to_string(&now);
    message.line("Date", &date.unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 -0000".to_owned()));
    message.line("Message-ID", &format!("<{}@{}>", identity(key), from.domain()));
    // Nobody's notice of absence answers it.
    message.line("Auto-Submitted", "auto-generated");
    message.line("MIME-Version", "1.0");
    match mail.html() {
        None => message.part("plain", mail.text()),
        Some(html) => {
            let boundary = boundary(key, mail.text(), html);
            message.line("Content-Type", &format!("multipart/alternative;\r\n boundary=\"{boundary}\""));
            message.0.push_str("\r\n");
            for (kind, body) in [("plain", mail.text()), ("html", html)] {
                message.0.push_str(&format!("--{boundary}\r\n"));
                message.part(kind, body);
                message.0.push_str("\r\n");
            }
            message.0.push_str(&format!("--{boundary}--\r\n"));
        }
    }
    message.0
}

/// A line that neither part holds.
fn boundary(key: &str, text: &str, html: &str) -> String {
    let nth = |number: u64| {
        format!("=_{}", Fingerprint::of([b"boundary".as_slice(), key.as_bytes(), &number.to_le_bytes()]))
    };
    let mut number = 0;
    while text.contains(&nth(number)) || html.contains(&nth(number)) {
        number += 1;
    }
    nth(number)
}

/// A mail on its way to be written. Writing to a text does not fail.
struct Message(String);

impl Message {
    fn line(&mut self, name: &str, value: &str) {
        self.0.push_str(&format!("{name}: {value}\r\n"));
    }

    /// A header whose words are folded, and encoded where they are not plain.
    fn folded(&mut self, name: &str, write: impl FnOnce(&mut EmailWriter<'_>) -> std::fmt::Result) {
        self.0.push_str(&format!("{name}: "));
        let mut writer = EmailWriter::new(&mut self.0, name.len() + 2, 0, false);
        write(&mut writer).ok();
        drop(writer);
        self.0.push_str("\r\n");
    }

    fn mailbox(&mut self, name: &str, mailbox: &Mailbox) {
        self.folded(name, |writer| {
            match mailbox.name() {
                Some(words) if is_plain(words) => quoted_string::encode(words, writer)?,
                Some(words) => rfc2047::encode(words, writer)?,
                None => return writer.write_str(mailbox.address()),
            }
            writer.space();
            writer.folding().write_str(&format!("<{}>", mailbox.address()))
        });
    }

    fn subject(&mut self, subject: &str) {
        self.folded("Subject", |writer| match is_plain(subject) {
            true => writer.folding().write_str(subject),
            false => rfc2047::encode(subject, writer),
        });
    }

    /// The headers of a part and its body.
    fn part(&mut self, kind: &str, body: &str) {
        let (encoding, encoded) = encoded(body);
        self.line("Content-Type", &format!("text/{kind}; charset=utf-8"));
        self.line("Content-Transfer-Encoding", encoding);
        self.0.push_str("\r\n");
        self.0.push_str(&encoded);
    }
}

/// Whether words can stand in a header as they are: nobody takes them for encoded ones, and no fold changes
/// their blanks.
fn is_plain(words: &str) -> bool {
    let blanks_stay = !words.starts_with(' ') && !words.ends_with(' ') && !words.contains("  ");
    blanks_stay && words.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !words.contains("=?")
}

/// A body in the encoding that changes the least, with its name. Every line ends with CRLF.
fn encoded(body: &str) -> (&'static str, String) {
    let is_text = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\t' || byte == b'\n';
    // Some mail stores write `>` before a line that begins so.
    let stays = |line: &str| {
        line.len() <= LINE_BYTES_MAX && !line.starts_with("From ") && !line.ends_with([' ', '\t'])
    };
    if body.bytes().all(is_text) && body.lines().all(stays) {
        return ("7bit", body.replace('\n', "\r\n"));
    }
    let encoded_bytes = body.bytes().filter(|byte| !is_text(*byte)).count();
    if encoded_bytes <= body.len() / 3 && !body.lines().any(|line| line.starts_with("From ")) {
        let options = Options::default().input_mode(InputMode::Text);
        return (
            "quoted-printable",
            quoted_printable::encode_with_options(body.replace('\n', "\r\n"), options),
        );
    }
    let mut text = String::with_capacity(body.len() * 3 / 2);
    email_encoding::body::base64::encode(body.replace('\n', "\r\n").as_bytes(), &mut text).ok();
    text.push_str("\r\n");
    ("base64", text)
}
