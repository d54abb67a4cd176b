use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use underlay_core::Error;

/// The most that is shown of a sentence.
const SHOWN_MAX: usize = 110;

/// Which errors callers heard, and how often.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<BTreeMap<String, u64>>);

impl Heard {
    pub(crate) fn note(&self, error: &Error) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *heard.entry(sentence(error)).or_default() += 1;
    }

    /// How often an error was heard that has a text in it.
    pub(crate) fn times(&self, text: &str) -> u64 {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|(sentence, _)| sentence.contains(text)).map(|(_, times)| times).sum()
    }

    /// Each sentence with how often it was heard, the most frequent first.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(&String, &u64)> = heard.iter().collect();
        all.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        all.into_iter().map(|(sentence, times)| format!("heard {times} times: {sentence}")).collect()
    }
}

/// What an error says, without what differs from one to the next: numbers, and what the server or the driver adds.
fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let (mut sentence, mut in_number) = (String::new(), false);
    for letter in text.chars().take(SHOWN_MAX) {
        if !letter.is_ascii_digit() {
            sentence.push(letter);
        } else if !in_number {
            sentence.push('N');
        }
        in_number = letter.is_ascii_digit();
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_numbers_are_one_sentence() {
        let heard = Heard::default();
        for port in [4_000, 50_001] {
            heard.note(&Error::unavailable(format!("127.0.0.1:{port} is away")));
        }
        heard.note(&Error::invalid("no"));
        assert_eq!((heard.times("is away"), heard.times("there")), (2, 0));
        assert!(heard.sentences()[0].starts_with("heard 2 times: "), "{:?}", heard.sentences());
    }
}
