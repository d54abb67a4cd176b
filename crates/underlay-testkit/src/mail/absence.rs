use super::subject::{mail, refused, send, subjects};
use crate::MailFixture;

/// Sentence 7: while nobody is there to take mail the error is not final, and the same mail arrives once
/// somebody is.
pub async fn mail_waits_for_who_is_away<F: MailFixture>(mut fixture: F) {
    let late = mail("ann@example.com", "late");
    send(&fixture, "before", &mail("ann@example.com", "before")).await;
    for round in 0..2 {
        fixture.set_away(true).await;
        for _ in 0..2 {
            let error = refused(&fixture, &format!("late {round}"), &late).await;
            assert!(!error.is_final(), "{error}");
        }
        fixture.set_away(false).await;
        assert_eq!(subjects(&fixture).await.len(), 1 + round, "nothing arrived meanwhile");
        send(&fixture, &format!("late {round}"), &late).await;
    }
    assert_eq!(subjects(&fixture).await, ["before", "late", "late"]);
}
