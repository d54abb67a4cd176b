//! Running cargo, and other programs.

use std::env;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

pub(crate) use servers::output;

/// Cargo, in the directory given, with nothing to read from.
pub(crate) fn cargo(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    // Cargo tells this program about its package. There are build scripts that look at that, and what depends on
    // them would be built again whenever cargo was called from elsewhere, as tests do that build packages.
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable);
        }
    }
    command
}

/// Runs a program whose output is the user's to see.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let child = command.spawn().map_err(|error| not_started(command, &error))?;
    finish(command, child)
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory(root: &Path) -> Result<PathBuf> {
    let metadata = output(&mut cargo(root, &["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata["target_directory"].as_str().ok_or("cargo names no target directory")?.into())
}

/// Which of a program's streams is looked at on its way to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Its output.
    Stdout,
    /// Its messages.
    Stderr,
}

/// Runs a program, passes its output on as it comes, and shows every line of one stream to `see`.
pub(crate) fn run_watched(command: &mut Command, watched: Watched, mut see: impl FnMut(&str)) -> Result<()> {
    match watched {
        Watched::Stdout => command.stdout(Stdio::piped()),
        Watched::Stderr => command.stderr(Stdio::piped()),
    };
    // Behind a pipe a program takes its colours off; the pipe ends here, at a terminal.
    if std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
    match watched {
        Watched::Stdout => child.stdout.take().map(|pipe| pass_on(pipe, std::io::stdout(), &mut see)),
        Watched::Stderr => child.stderr.take().map(|pipe| pass_on(pipe, std::io::stderr(), &mut see)),
    }
    .transpose()?;
    finish(command, child)
}

fn pass_on(from: impl std::io::Read, mut to: impl Write, see: &mut impl FnMut(&str)) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        see(&without_colours(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    Ok(())
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A colour ends with its first letter.
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain.trim_end().to_owned()
}

fn finish(command: &Command, mut child: Child) -> Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", line(command)).into()) }
}

fn not_started(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` did not start: {error}", line(command))
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_off_a_line() {
        assert_eq!(without_colours("\u{1b}[32;1m     Summary\u{1b}[0m [ 1s]\n"), "     Summary [ 1s]");
        assert_eq!(without_colours("plain\r\n"), "plain");
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(&mut cargo(Path::new("."), &["no-such-command-here", "--quiet"])).unwrap_err();
        assert!(error.to_string().contains("no-such-command-here --quiet` failed"), "{error}");
    }
}
