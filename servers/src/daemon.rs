//! A server of its own for this process: it runs as an unprivileged user and ends when this does.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{fmt, fs, io, thread};

use crate::debian::is_root;
use crate::{Result, output};

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to end.
const END_MAX: Duration = Duration::from_secs(60);
/// How often a server is started where another has taken its port.
const STARTS_MAX: usize = 3;
/// How much is told of what a server said that did not start.
const LAST_LINES: usize = 8;
/// How long one that is thrown away may take.
const DROP_MAX: Duration = Duration::from_secs(2);

/// A running server. Dropped, it is ended.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// The file of what it says.
    said: PathBuf,
    /// Keeps the thread alive that started it: the server is told to end when that one ends.
    _parent: mpsc::Sender<()>,
}

impl Daemon {
    /// Starts a command that listens on a port of this machine, and waits until somebody answers there.
    /// What it says is added to a file.
    pub(crate) fn start(mut command: Command, port: u16, said: &Path) -> Result<Self> {
        let output = fs::OpenOptions::new().create(true).append(true).open(said)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let (child, parent) = spawn(command)?;
        let mut daemon = Self { child, said: said.to_owned(), _parent: parent };
        let began = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(address).is_err() {
            daemon.check_running()?;
            if began.elapsed() > START_MAX {
                return Err("it does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// The process, to send signals to.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said so itself that it is ready: another server may have taken its port meanwhile.
    pub(crate) fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_ready() {
            self.check_running()?;
            if began.elapsed() > START_MAX {
                return Err(self.told("it does not say that it is ready"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn check_running(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        Err(self.told(format_args!("it ended ({status})")))
    }

    /// What is wrong with it, with what it said last.
    fn told(&self, wrong: impl fmt::Display) -> Box<dyn Error + Send + Sync> {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        format!("{wrong}: {}", last_lines(&said)).into()
    }

    /// Sends a signal that ends it, and waits until it has ended.
    pub(crate) fn end(&mut self, signal: &str) -> Result<()> {
        self.signal(signal)?;
        if self.wait(END_MAX) { Ok(()) } else { Err(format!("it did not end on SIG{signal}").into()) }
    }

    fn signal(&self, signal: &str) -> Result<()> {
        output(Command::new("kill").args([&format!("-{signal}"), &self.process().to_string()])).map(drop)
    }

    fn wait(&mut self, longest: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < longest {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // At once, since its files are thrown away with it; in good order, since it holds shared memory.
        let told = self.signal("QUIT");
        if told.is_err() || !self.wait(DROP_MAX) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// What a server said last, which is why it ended.
fn last_lines(said: &str) -> String {
    let lines: Vec<_> = said.trim().lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Starts a process from a thread that lives as long as the sender that comes back.
fn spawn(mut command: Command) -> Result<(Child, mpsc::Sender<()>)> {
    let (started, start) = mpsc::channel::<io::Result<Child>>();
    let (parent, gone) = mpsc::channel();
    thread::spawn(move || {
        if started.send(command.spawn()).is_ok() {
            // Ends with the sender, which never sends.
            gone.recv().ok();
        }
    });
    let child = start.recv()?.map_err(|error| format!("it did not start: {error}"))?;
    Ok((child, parent))
}

/// Starts a server, and again on other ports where it does not start: somebody else may take a port before it does.
pub(crate) fn start_on_free_ports<S>(mut start: impl FnMut() -> Result<S>) -> Result<S> {
    let mut started = start();
    for _ in 1..STARTS_MAX {
        if started.is_ok() {
            break;
        }
        started = start();
    }
    started
}

/// A port nobody listens on at the moment, another one at each call.
pub(crate) fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // Between this and the start of its server the system may give it again.
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
}

/// A command as an unprivileged user, since servers refuse to run as root. It is told to end when the
/// thread that starts it ends, and so with this process.
pub(crate) fn as_user(user: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--init-groups");
    }
    command.arg("--").arg(program);
    command
}

/// A command as this user. It is told to end as one [`as_user`] is.
pub(crate) fn ending_with_this(program: &Path) -> Command {
    ending_by("QUIT", program)
}

/// The same, told by another signal.
pub(crate) fn ending_by(signal: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Gives a file or a folder to a user, where this process runs as root.
pub(crate) fn give(path: &Path, user: &str) -> Result<()> {
    if is_root() {
        output(Command::new("chown").arg(format!("{user}:{user}")).arg(path))?;
    }
    Ok(())
}
