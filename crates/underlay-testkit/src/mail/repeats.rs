use std::collections::BTreeSet;

use super::subject::{about, mail, send};
use crate::{ArrivedMail, MailFixture};

/// Keys that a careless id would take for one another, or for a path.
const KEYS: [&str; 12] = [
    "0190a1b2-0000-7000-8000-000000000001",
    "0190a1b2-0000-7000-8000-000000000002",
    "key",
    "KEY",
    "key ",
    "key/../key",
    "../../key",
    "key\r\nBcc: eve@example.com",
    "key\0",
    "<key@example.com>",
    "schlüssel",
    ".",
];

fn ids(arrived: &[ArrivedMail]) -> BTreeSet<&str> {
    arrived.iter().map(|arrived| arrived.id.as_str()).collect()
}

/// Sentence 2: a mail under the same key arrives under the same id, also after reopening; under another key
/// it is another mail.
pub async fn a_repeat_is_the_same_mail<F: MailFixture>(fixture: F) {
    let same = mail("ann@example.com", "the same words");
    for key in KEYS {
        send(&fixture, key, &same).await;
    }
    let first = about(&fixture, "the same words").await;
    assert_eq!((first.len(), ids(&first).len()), (KEYS.len(), KEYS.len()), "each key is a mail of its own");

    for key in KEYS {
        send(&fixture, key, &same).await;
    }
    let fixture = fixture.reopen().await;
    for key in KEYS {
        send(&fixture, key, &same).await;
    }
    let again = about(&fixture, "the same words").await;
    assert_eq!(ids(&again), ids(&first), "a repeat arrives under the id of the first, or not again");

    // Whether it arrives again or replaces the first is the adapter's affair; it is whole in any case.
    assert!(again.iter().all(|arrived| arrived.mail.text() == same.text()));
}
