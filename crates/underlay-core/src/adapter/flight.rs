//! A batch on its way to the disk.

use super::reply::{Answer, Request};
use crate::words::Error;

/// A batch whose callers wait. Dropped without an answer, by a panic or an early return, it gives the one
/// that is true: nothing was stored before it was sent, and afterwards its end is uncertain.
#[derive(Debug)]
pub struct Flight {
    /// The commits in it that are not answered.
    pub requests: Vec<Request>,
    /// Why nobody would know what became of it, if it were given up now.
    pub in_doubt: Option<String>,
}

impl Flight {
    /// A batch that was not sent yet.
    #[must_use]
    pub fn new(requests: Vec<Request>) -> Self {
        Self { requests, in_doubt: None }
    }

    /// Takes the second half off.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self::new(self.requests.split_off(self.requests.len() / 2))
    }

    /// Notes, for who asks by an id too, that nobody knows what became of it.
    pub fn doubt(&mut self, reason: String) {
        self.requests.iter().for_each(|request| request.reply.doubt());
        self.in_doubt = Some(reason);
    }

    /// The commits, to be answered by whoever takes them.
    #[must_use]
    pub fn into_requests(mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Gives each commit its own answer, in their order.
    pub fn answer_each(mut self, answers: Vec<Answer>) {
        for (request, answer) in self.requests.drain(..).zip(answers) {
            request.reply.answer(answer);
        }
    }

    /// Answers every commit.
    pub fn answer_all(&mut self, answer: impl Fn(&Request) -> Answer) {
        for request in self.requests.drain(..) {
            let answer = answer(&request);
            request.reply.answer(answer);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let in_doubt = self.in_doubt.take();
        if in_doubt.is_some() {
            self.requests.iter().for_each(|request| request.reply.doubt());
        }
        self.answer_all(|request| {
            Err(match &in_doubt {
                Some(reason) => Error::Uncertain { id: request.commit.id, reason: reason.clone() },
                None => Error::unavailable("the writer of this store has ended"),
            })
        });
    }
}
