//! Short runs of the harness, as a program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod agreement;
mod attack;
mod crash;
mod faults;
mod flush;
mod order;
mod sim;

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the harness; its JSON answer, and whether it was content.
fn harness(arguments: &[&str]) -> (Value, bool) {
    harness_or_skip(arguments).unwrap_or_else(|| panic!("{arguments:?} was skipped"))
}

/// As [`harness`], where a server or a program is needed; none, with a line that says so, where it is
/// missing.
fn harness_or_skip(arguments: &[&str]) -> Option<(Value, bool)> {
    answer_or_skip(&run(arguments))
}

fn answer_or_skip(output: &Output) -> Option<(Value, bool)> {
    let text = String::from_utf8_lossy(&output.stdout);
    if text.starts_with("SKIP") {
        println!("{text}");
        assert!(output.status.success(), "it must not be skipped here");
        return None;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    Some((answer, output.status.success()))
}

fn run(arguments: &[&str]) -> Output {
    // Below the target directory: on the disk the project is on.
    let directory = env!("CARGO_TARGET_TMPDIR");
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .args(["--directory", directory])
        .output()
        .unwrap()
}
