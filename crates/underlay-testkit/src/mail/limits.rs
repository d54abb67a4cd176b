use underlay_core::limits::MAIL_KEY_BYTES_MAX;

use super::subject::{mail, refused, send, subjects};
use crate::MailFixture;

/// Sentence 10: a key that exceeds a limit is a final error with the limit's name.
pub async fn limits_of_keys_are_named<F: MailFixture>(fixture: F) {
    let ann = mail("ann@example.com", "a");
    for key in ["", &"k".repeat(MAIL_KEY_BYTES_MAX + 1)] {
        let error = refused(&fixture, key, &ann).await;
        assert!(error.is_final() && error.to_string().contains("MAIL_KEY_BYTES_MAX"), "{error}");
    }
    assert_eq!(subjects(&fixture).await, [""; 0]);
    send(&fixture, &"k".repeat(MAIL_KEY_BYTES_MAX), &ann).await;
    assert_eq!(subjects(&fixture).await, ["a"]);
}
