use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::{Result, terminal};

/// This program again, as another process. It is killed where it is dropped; and it ends by itself
/// where this process goes away, because its input ends then.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What a child says once it is at work.
const READY: &str = "ready";

impl ChildProcess {
    /// Starts this program with a subcommand; `prepare` adds arguments and environment.
    pub(crate) fn start(subcommand: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(subcommand);
        prepare(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("a child without output")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    /// Its number, by which the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the child is at work; false where it ended before.
    pub(crate) fn wait_until_ready(&mut self) -> Result<bool> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end() == READY)
    }

    /// Kills the child with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// Where it had ended by itself, which it never should.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("a child ended by itself, with {status}").into());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it was killed by somebody else, or by itself.
    ///
    /// # Errors
    /// Where it ended in another way.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.code().is_none() => Ok(true),
            Some(status) => Err(format!("a child ended by itself, with {status}").into()),
        }
    }

    /// Lets the child finish what it does, and waits for it.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a child ended with {status}").into()) }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // A child that has ended cannot be killed, and need not be.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// In the child: says that it is at work.
pub(crate) fn say_ready() -> Result<()> {
    terminal::print(READY)
}

/// In the child: ends when the parent says so, or is gone.
pub(crate) async fn told_to_finish() {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a runtime that ends would wait for a read on one of its threads.
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Any end of the input, also a bad one, is the sign.
        let _read = std::io::stdin().lock().read_to_end(&mut rest);
        drop(ended);
    });
    // The sender is dropped, never used.
    let _gone = end.await;
}
