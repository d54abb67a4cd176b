use super::subject::{about, assert_whole, mail, mailbox, refused, send, subjects};
use crate::concurrent::together;
use crate::{MailAnswer, MailFixture};

/// Sentence 5: an address that is refused for good is a final error, and nothing arrives.
pub async fn a_refusal_for_good_is_final<F: MailFixture>(fixture: F) {
    let gone = mailbox("gone@example.com");
    if !fixture.answer(&gone, MailAnswer::RefusedForGood) {
        return;
    }
    for attempt in 0..2 {
        let error = refused(&fixture, "gone", &mail("gone@example.com", "gone")).await;
        assert!(error.is_final(), "attempt {attempt}: {error}");
        // One refusal says nothing about others.
        send(&fixture, &format!("other {attempt}"), &mail("ann@example.com", &format!("other {attempt}")))
            .await;
    }
    assert_eq!(subjects(&fixture).await, ["other 0", "other 1"]);
}

/// Sentence 6: an address that is refused for now is no final error, and the same mail arrives once it is
/// taken.
pub async fn a_refusal_for_now_may_pass<F: MailFixture>(fixture: F) {
    let busy = mailbox("busy@example.com");
    if !fixture.answer(&busy, MailAnswer::RefusedForNow) {
        return;
    }
    let late = mail("busy@example.com", "late");
    for attempt in 0..2 {
        let error = refused(&fixture, "late", &late).await;
        assert!(!error.is_final(), "attempt {attempt}: {error}");
    }
    send(&fixture, "other", &mail("ann@example.com", "other")).await;
    assert_eq!(subjects(&fixture).await, ["other"]);
    fixture.answer(&busy, MailAnswer::Taken);
    send(&fixture, "late", &late).await;
    assert_eq!(subjects(&fixture).await, ["late", "other"]);
    assert_whole(&about(&fixture, "late").await[0].mail, &late, &fixture.sender());
}

/// Sentence 8: mails sent at the same time all arrive, each with its own answer.
pub async fn mails_at_the_same_time_all_arrive<F: MailFixture>(fixture: F) {
    const MAILS: usize = 60;
    let gone = mailbox("gone@example.com");
    let refuses = fixture.answer(&gone, MailAnswer::RefusedForGood);
    let is_gone = move |number: usize| refuses && number.is_multiple_of(3);
    let sends = (0..MAILS).map(|number| {
        let sender = fixture.mail();
        let to = if is_gone(number) { "gone@example.com" } else { "ann@example.com" };
        let mail = mail(to, &format!("mail {number:02}"));
        async move { sender.send(&format!("key {number}"), &mail).await }
    });
    for (number, answer) in together(sends).await.into_iter().enumerate() {
        match answer {
            Ok(()) => assert!(!is_gone(number), "mail {number} is refused"),
            Err(error) => assert!(is_gone(number) && error.is_final(), "mail {number}: {error}"),
        }
    }
    let taken = (0..MAILS).filter(|number| !is_gone(*number)).map(|number| format!("mail {number:02}"));
    assert_eq!(subjects(&fixture).await, taken.collect::<Vec<_>>());
    for arrived in fixture.arrived().await {
        let text = format!("This is about {}.\n", arrived.mail.subject());
        assert_eq!(arrived.mail.text(), text, "no mail has the words of another");
    }
}
