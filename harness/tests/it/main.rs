//! Short runs of the harness, as a program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod crash;
mod flush;
mod order;

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the harness; its JSON answer, and whether it was content.
fn harness(arguments: &[&str]) -> (Value, bool) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (answer, output.status.success())
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
