//! What is said to the person, or program, that started a run.

use std::io::{self, ErrorKind, Write};

use crate::Result;

/// Writes a line to the output. Where nobody reads on, as behind `head`, it is no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
