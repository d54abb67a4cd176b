use underlay_core::Email;
use underlay_core::limits::{MAIL_BODY_BYTES_MAX, MAIL_NAME_BYTES_MAX, MAIL_SUBJECT_BYTES_MAX};

use super::subject::{assert_whole, mail, mailbox, send, subjects};
use crate::{MailFixture, sample};

/// Sends mails with subjects of their own, and finds each whole.
async fn assert_all_arrive<F: MailFixture>(fixture: &F, mails: &[Email]) {
    for (number, mail) in mails.iter().enumerate() {
        send(fixture, &format!("mail {number}"), mail).await;
    }
    let arrived = fixture.arrived().await;
    assert_eq!(arrived.len(), mails.len(), "each arrives once");
    for mail in mails {
        let found = arrived.iter().find(|arrived| arrived.mail.subject() == mail.subject());
        let found = found.unwrap_or_else(|| panic!("{:?} is among {:?}", mail.subject(), arrived));
        assert_whole(&found.mail, mail, &fixture.sender());
    }
}

/// Sentence 1: a mail arrives whole, in any script: sender, address, reply address, subject, text and HTML.
pub async fn a_mail_arrives_whole<F: MailFixture>(fixture: F) {
    let long_line = "a long line ".repeat(500);
    let link = format!("https://example.com/verify?token={}&to=a%40b", "0123456789abcdef".repeat(12));
    let largest = "Every line of a large mail arrives. Grüße!\n".repeat(MAIL_BODY_BYTES_MAX / 45);
    let mails = [
        mail("ann@example.com", "a short one"),
        mail("Ann Example <ann+tag@example.com>", "Grüße aus Łódź — 安全 ✓ 👩‍👩‍👧‍👦")
            .with_from(mailbox("Zoë, \"the\" Bank (Ltd.) <bank@example.com>"))
            .with_reply_to(mailbox("Hilfe <help.me@example.com>")),
        Email::new(
            mailbox("Αλίκη <alice@example.com>"),
            "both forms",
            &format!("Bestätigen:\n\n{link}\n\n-- \nDie Bank"),
        )
        .and_then(|mail| {
            mail.with_html(&format!("<p>Bestätigen: <a href=\"{link}\">hier</a></p>\n<p>安</p>"))
        })
        .expect("a mail"),
        Email::new(mailbox("ann@example.com"), "plain and HTML", "plain")
            .and_then(|mail| mail.with_html("<p>plain</p>"))
            .expect("a mail"),
        Email::new(
            mailbox("ann@example.com"),
            "lines",
            &format!("\n\n{long_line}\n  indented\t\nblanks   \n\n\n"),
        )
        .expect("a mail"),
        Email::new(mailbox("ann@example.com"), "a", &largest).expect("a mail"),
        mail(
            &format!("{} <o'brien@example.com>", "é".repeat(MAIL_NAME_BYTES_MAX / 2)),
            &"long ".repeat(60)[..299],
        ),
        mail("ann@example.com", &"ß安".repeat(MAIL_SUBJECT_BYTES_MAX / 5)),
        mail("ann@example.com", &"w".repeat(MAIL_SUBJECT_BYTES_MAX)),
        mail("ann@example.com", "two  blanks,   three"),
    ];
    assert_all_arrive(&fixture, &mails).await;
}

/// Sentence 3: a mail without a sender has the adapter's.
pub async fn a_mail_without_a_sender_has_the_adapters<F: MailFixture>(fixture: F) {
    let own = mail("ann@example.com", "with a sender").with_from(mailbox("Own <own@example.org>"));
    let none = mail("ann@example.com", "without a sender");
    assert_ne!(Some(&fixture.sender()), own.from(), "the adapter's sender is another");
    assert_all_arrive(&fixture, &[own, none]).await;
    assert_eq!(subjects(&fixture).await.len(), 2);
}

/// Sentence 4: text that looks like a header, a protocol or a boundary stays text.
pub async fn hostile_text_stays_text<F: MailFixture>(fixture: F) {
    let bodies = [
        ".",
        ".\n",
        "a\n.\nMAIL FROM:<eve@example.com>\nRCPT TO:<eve@example.com>\nDATA\n",
        "a\r\n.\r\nQUIT\r\n",
        "..\n...\n.a\n",
        "Subject: another\nBcc: eve@example.com\n\nbody",
        "From eve@example.com Thu Jan  1 00:00:00 1970\nFrom: eve\n>From eve\n",
        "--boundary\nContent-Type: text/html\n\n<b>x</b>\n--boundary--\n",
        "=?utf-8?q?a?= =41=42 =\n=3D",
        "{{ name }} {% raw %} %s ${x}",
        "\u{feff}\u{202e}\u{7f}\u{1b}[31m\u{8}",
        "<script>alert(1)</script>&amp;&lt;",
    ];
    let mut mails: Vec<Email> = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        let mail = Email::new(mailbox("ann@example.com"), format!("body {number}"), body).expect("a mail");
        mails.push(mail.with_html(body).expect("HTML"));
    }
    for hostile in sample::HOSTILE_TEXTS.into_iter().chain([
        ": Bcc: eve@example.com",
        "Bcc: eve@example.com",
        "=?utf-8?q?encoded?=",
        "=?utf-8?b?QUJD?= =?utf-8?b?QUJD?=",
        "a <eve@example.com>, b",
        "(comment) \"quoted\\",
        "group: a, b;",
        ",",
        "@",
        "\\\"",
        "a\u{a0}b",
    ]) {
        let name = mailbox("ann@example.com").with_name(hostile).expect("a name");
        let mail = mail("ann@example.com", &format!("{hostile} of {}", mails.len()));
        let to = Email::new(name.clone(), mail.subject(), mail.text()).expect("a mail");
        mails.push(to.with_from(name.clone()).with_reply_to(name));
    }
    assert_all_arrive(&fixture, &mails).await;
}
