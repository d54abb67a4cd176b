//! What is counted of attempts.

use std::time::Duration;

use underlay_runtime::Exposition;

use super::yard::{Act, Process, TIMEOUT, Yard, note, order};

fn text(process: &Process) -> String {
    let mut out = Exposition::default();
    process.engine.write_metrics(&mut out);
    out.into_text()
}

#[track_caller]
fn value(text: &str, name: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn every_attempt_is_counted_once_whatever_comes_of_it() {
    let yard = Yard::new();
    // 1 is done at its second attempt, 2 never ends and so uses up its five, 3 panics at first, 4 fails for good.
    yard.book.script(|delivery, number| match (number, delivery.attempt) {
        (1 | 3, 2..) => Act::Do,
        (1, _) => Act::Fail,
        (2, _) => Act::Wait,
        (3, _) => Act::Panic,
        _ => Act::FailForGood,
    });
    let process = yard.process("a");
    let engine_of_another = yard.process("b");
    for number in 1..=3 {
        yard.send("acme", vec![note(&format!("k{number}"), number)]).await;
    }
    yard.send("acme", vec![order("k", 4)]).await;
    let work = process.start();
    yard.pass_until(async || yard.left().await == 0).await;
    work.stop().await;
    let text = text(&process);
    let attempts = |receiver: &str, outcome: &str| {
        let labels = format!("receiver=\"{receiver}\",kind=\"message\",outcome=\"{outcome}\"");
        value(&text, &format!("underlay_work_attempts_total{{{labels}}}"))
    };
    assert_eq!((attempts("scribe", "done"), attempts("scribe", "failed")), (2.0, 1.0));
    assert_eq!(attempts("scribe", "cut"), 6.0, "five that never ended and one that panicked");
    assert_eq!((attempts("clerk", "failed"), attempts("clerk", "done")), (1.0, 0.0));
    for receiver in ["scribe", "clerk"] {
        let of = format!("{{receiver=\"{receiver}\",kind=\"message\"}}");
        assert_eq!(value(&text, &format!("underlay_work_given_up_total{of}")), 1.0);
    }
    let duration = "underlay_work_attempt_duration_seconds";
    assert_eq!(value(&text, &format!("{duration}_count{{receiver=\"scribe\",kind=\"message\"}}")), 9.0);
    let sum = value(&text, &format!("{duration}_sum{{receiver=\"scribe\",kind=\"message\"}}"));
    assert!(
        sum >= (TIMEOUT * 5).as_secs_f64() && sum < (TIMEOUT * 5 + Duration::from_secs(9)).as_secs_f64(),
        "{sum}"
    );
    // Two engines of one process stay apart.
    let other = self::text(&engine_of_another);
    assert_eq!(value(&other, "underlay_work_given_up_total{receiver=\"clerk\",kind=\"message\"}"), 0.0);
}
