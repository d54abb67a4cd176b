use underlay_core::{Email, MailError, Mailbox};

use crate::{ArrivedMail, MailFixture};

pub(super) fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).expect("an address")
}

/// A mail that says what it is about.
pub(super) fn mail(to: &str, about: &str) -> Email {
    Email::new(mailbox(to), about, &format!("This is about {about}.")).expect("a mail")
}

/// Sends a mail that must be taken.
pub(super) async fn send<F: MailFixture>(fixture: &F, key: &str, mail: &Email) {
    let sent = fixture.mail().send(key, mail).await;
    assert_eq!(sent, Ok(()), "{key}: {mail:?} is taken");
}

/// Sends a mail that must not be taken.
pub(super) async fn refused<F: MailFixture>(fixture: &F, key: &str, mail: &Email) -> MailError {
    match fixture.mail().send(key, mail).await {
        Err(error) => error,
        Ok(()) => panic!("{key}: {mail:?} was taken"),
    }
}

/// What arrived about something, with its sender.
pub(super) async fn about<F: MailFixture>(fixture: &F, subject: &str) -> Vec<ArrivedMail> {
    let mut arrived = fixture.arrived().await;
    arrived.retain(|arrived| arrived.mail.subject() == subject);
    arrived
}

/// The subjects of everything that arrived, sorted.
pub(super) async fn subjects<F: MailFixture>(fixture: &F) -> Vec<String> {
    let arrived = fixture.arrived().await;
    let mut subjects: Vec<String> = arrived.iter().map(|arrived| arrived.mail.subject().to_owned()).collect();
    subjects.sort();
    subjects
}

/// Compares every part of a mail. What one says is not part of what it shows of itself, so each is named.
pub(super) fn assert_whole(arrived: &Email, sent: &Email, sender: &Mailbox) {
    let subject = sent.subject();
    assert_eq!(arrived.from(), Some(sent.from().unwrap_or(sender)), "the sender of {subject:?}");
    assert_eq!(arrived.to(), sent.to(), "the address of {subject:?}");
    assert_eq!(arrived.reply_to(), sent.reply_to(), "the reply address of {subject:?}");
    assert_eq!(arrived.subject(), subject, "the subject");
    assert_eq!(arrived.text(), sent.text(), "the text of {subject:?}");
    assert_eq!(arrived.html(), sent.html(), "the HTML of {subject:?}");
}
