//! A server of its own for this process: it runs as an unprivileged user and ends when this does.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::{is_root, quiet};
use crate::Result;
use crate::cargo::output;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server. Dropped, it is ended.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    pub(super) port: u16,
}

impl Daemon {
    /// Starts a command that listens on a port of this machine, and waits until somebody answers there.
    /// What it says goes into a file.
    pub(super) fn start(mut command: Command, port: u16, said: &Path) -> Result<Self> {
        let output = fs::File::create(said)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|error| format!("it did not start: {error}"))?;
        let mut daemon = Self { child, port };
        let began = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = daemon.child.try_wait()? {
                return Err(format!("it ended ({status}): {}", fs::read_to_string(said)?.trim()).into());
            }
            if began.elapsed() > START_MAX {
                return Err("it does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // At once, since its files are thrown away with it; in good order, since it holds shared memory.
        // It may have ended already.
        output(quiet(Command::new("kill").args(["-QUIT", &self.child.id().to_string()]))).ok();
        let ended = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(20));
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// A port nobody listens on at the moment.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A command as an unprivileged user, since servers refuse to run as root. It is told to end when this
/// process ends, however that happens.
pub(super) fn as_user(user: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--init-groups");
    }
    command.arg("--").arg(program);
    command
}

/// Gives a folder to a user, where this process runs as root.
pub(super) fn give(folder: &Path, user: &str) -> Result<()> {
    if is_root() {
        output(quiet(Command::new("chown").arg(format!("{user}:{user}")).arg(folder)))?;
    }
    Ok(())
}
