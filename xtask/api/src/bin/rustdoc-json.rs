//! Stands in for rustdoc and lets the stable one write JSON.
//!
//! The variable that allows it is set for rustdoc alone: cargo and build scripts that saw it would build every
//! dependency again.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let status =
        Command::new("rustdoc").args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rustdoc did not start: {error}");
            ExitCode::FAILURE
        }
    }
}
