use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use underlay_core::{Email, Mailbox};
use underlay_testkit::ArrivedMail;

/// Reads a mail as whoever received it does, by a library that had no part in writing it.
pub(crate) fn read(bytes: &[u8]) -> ArrivedMail {
    let message = MessageParser::default().parse(bytes).expect("a mail can be read");
    let to = mailbox(message.to()).expect("an address");
    let parts = |kind: &str| -> Vec<String> {
        let is_kind = |part: &&mail_parser::MessagePart<'_>| {
            let found = part.content_type().expect("a part says what it is");
            found.ctype() == "text" && found.subtype() == Some(kind)
        };
        let text =
            |part: &mail_parser::MessagePart<'_>| part.text_contents().expect("a text").replace("\r\n", "\n");
        message.parts.iter().filter(is_kind).map(text).collect()
    };
    let (plain, html) = (parts("plain"), parts("html"));
    assert!(plain.len() == 1 && html.len() <= 1, "one text, and HTML once or not: {}", shown(bytes));
    let subject = message.subject().expect("a subject");
    let mut mail =
        Email::new(to, subject, &plain[0]).unwrap_or_else(|error| panic!("{error}: {}", shown(bytes)));
    mail = mailbox(message.from()).into_iter().fold(mail, Email::with_from);
    mail = mailbox(message.reply_to()).into_iter().fold(mail, Email::with_reply_to);
    mail = html.iter().fold(mail, |mail, html| mail.with_html(html).unwrap());
    assert_headers(&message, bytes);
    ArrivedMail { id: message.message_id().expect("a Message-ID").to_owned(), mail }
}

fn mailbox(address: Option<&Address<'_>>) -> Option<Mailbox> {
    let list = address?.as_list().expect("no group of addresses");
    assert_eq!(list.len(), 1, "one address: {list:?}");
    let mailbox = Mailbox::new(list[0].address().expect("an address")).unwrap();
    Some(match list[0].name() {
        Some(name) => mailbox.with_name(name).unwrap(),
        None => mailbox,
    })
}

/// What every mail has once, and nothing a value could have added.
fn assert_headers(message: &Message<'_>, bytes: &[u8]) {
    let ours =
        ["Date", "Subject", "From", "To", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted"];
    let names: Vec<&str> = message.headers().iter().map(|header| header.name()).collect();
    for name in ours {
        let count = names.iter().filter(|found| found.eq_ignore_ascii_case(name)).count();
        assert_eq!(count, 1, "{name} stands once: {}", shown(bytes));
    }
    let of_a_server = ["Return-path", "Envelope-to", "Received"];
    let others = ["Reply-To", "Content-Transfer-Encoding"];
    for name in names {
        let known =
            ours.into_iter().chain(of_a_server).chain(others).any(|known| known.eq_ignore_ascii_case(name));
        assert!(known, "a header {name}: {}", shown(bytes));
    }
}

pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(2_000).collect()
}
