//! A ledger of this repository that steps of the gate ask something.

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::{Result, test};

/// What the ledger says once it can be asked.
const LISTENS: &str = " is listening on ";

/// The program that `UNDERLAY_TEST_LEDGER` names; where it names none, it is built.
pub(crate) fn program(root: &Path) -> Result<PathBuf> {
    match env::var_os(test::LEDGER_VARIABLE) {
        Some(program) => Ok(program.into()),
        None => test::build_everything(root),
    }
}

/// A ledger that runs until it is dropped.
pub(crate) struct Ledger {
    process: Child,
    address: String,
    /// What it goes on to say: it fails where nobody could hear it.
    _says: Option<Lines<BufReader<ChildStdout>>>,
}

impl Ledger {
    /// Starts one with a store in memory, in a folder.
    pub(crate) fn start(program: &Path, folder: &TempDir, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--database", "memory:", "--listen", "127.0.0.1:0"]);
        command
            .args(["--server-access-log=false"])
            .args(options)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut says = process.stdout.take().map(|pipe| BufReader::new(pipe).lines());
        let first = says.as_mut().and_then(Iterator::next).transpose()?.unwrap_or_default();
        let address = first.split_once(LISTENS).map(|(_, address)| address.trim().to_owned());
        // Ended by the drop, whatever it has said.
        let started = Self { process, address: address.unwrap_or_default(), _says: says };
        if started.address.is_empty() {
            return Err(format!("the ledger says {first:?}, and not where it listens").into());
        }
        Ok(started)
    }

    /// Where it listens, as an address begins.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
