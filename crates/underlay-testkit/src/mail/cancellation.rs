use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::subject::{mail, mailbox, subjects};
use crate::{MailAnswer, MailFixture};

/// Sentence 9: a send that was given up midway changes no other: what is answered is true.
pub async fn a_send_given_up_changes_no_other<F: MailFixture>(fixture: F) {
    // A send that asks a server waits some twenty times: for a connection, and for each answer.
    const ROUNDS: u32 = 60;
    let gone = mailbox("gone@example.com");
    let refuses = fixture.answer(&gone, MailAnswer::RefusedForGood);
    let mut taken = Vec::new();
    for round in 0..ROUNDS {
        // Every other one would be refused, so that an answer meant for it would be wrong for the next.
        let to = if refuses && round % 2 == 0 { "gone@example.com" } else { "ann@example.com" };
        let given_up = mail(to, &format!("given up {round:02}"));
        let sender = fixture.mail();
        let key = format!("given up {round}");
        // Whether it came so far is not known; that is why it was given up.
        drop(polled(round, sender.send(&key, &given_up)).await);

        if refuses && round % 3 == 0 {
            let refused =
                sender.send(&format!("refused {round}"), &mail("gone@example.com", "refused")).await;
            let told = refused.expect_err("an address that is refused is refused");
            assert!(told.is_final(), "round {round}: {told}");
        } else {
            let subject = format!("taken {round:02}");
            let sent = sender.send(&format!("taken {round}"), &mail("ann@example.com", &subject)).await;
            assert_eq!(sent, Ok(()), "round {round}");
            taken.push(subject);
        }
    }
    let mut arrived = subjects(&fixture).await;
    arrived.retain(|subject| !subject.starts_with("given up"));
    assert_eq!(arrived, taken, "what was answered as taken has arrived, once, and nothing else");
}

/// Polls a future so many times and gives it up then, wherever it is.
async fn polled<R>(times: u32, future: impl Future<Output = R>) -> Option<R> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
