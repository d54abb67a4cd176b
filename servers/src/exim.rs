//! A mail server that keeps what it takes: Exim, as Debian has it.

mod settings;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use tempfile::TempDir;

use self::settings::Settings;
use crate::daemon::{self, Daemon};
use crate::debian::is_root;
use crate::{Result, install, output};

/// Names the program of Exim for tests, where it is not at Debian's place.
pub const EXIM_VARIABLE: &str = "UNDERLAY_TEST_EXIM";
const PROGRAM: &str = "/usr/sbin/exim4";
const PACKAGE: &str = "exim4-daemon-light";
/// The user of the system that Debian runs Exim as.
const USER: &str = "Debian-exim";
/// How long what was taken may take to be in its folder.
const DELIVERY_MAX: Duration = Duration::from_secs(30);

/// How the server answers mail to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressAnswer {
    /// It takes it.
    Taken,
    /// It refuses it for good, with 550.
    RefusedForGood,
    /// It refuses it for now, with 451.
    RefusedForNow,
}

/// A private server, which takes mail for every address and sends nothing on. Dropped, it ends and its files are
/// removed.
///
/// It has one login, [`Exim::LOGIN`], and asks for it where mail goes to [`Exim::LOGIN_DOMAIN`]. A mail with
/// [`Exim::UNWANTED`] in its subject is refused for good once it was read.
#[derive(Debug)]
pub struct Exim {
    port: u16,
    tls_port: u16,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Exim {
    /// The name and the password that are let in.
    pub const LOGIN: (&str, &str) = ("bank@example.com", "p@ss w/rd:%");
    /// Mail to this domain is for those who have logged in.
    pub const LOGIN_DOMAIN: &str = "members.example.com";
    /// A subject that holds it is refused.
    pub const UNWANTED: &str = "unwanted";

    /// Starts a server without encryption.
    ///
    /// # Errors
    /// Where Exim is missing and cannot be installed, or does not start.
    pub fn start() -> Result<Self> {
        Self::start_by(None)
    }

    /// Starts a server that offers TLS, by a certificate and its key in PEM form.
    ///
    /// # Errors
    /// As [`Exim::start`].
    pub fn start_with_tls(certificate: &str, key: &str) -> Result<Self> {
        Self::start_by(Some((certificate, key)))
    }

    fn start_by(tls: Option<(&str, &str)>) -> Result<Self> {
        daemon::start_on_free_ports(|| Self::start_once(tls))
    }

    fn start_once(tls: Option<(&str, &str)>) -> Result<Self> {
        let program = find_or_install()?;
        let folder = tempfile::tempdir()?;
        let settings = Settings {
            folder: folder.path(),
            user: &own("--user")?,
            group: &own("--group")?,
            port: daemon::free_port()?,
            tls_port: daemon::free_port()?,
        };
        // A copy has no rights of the system's mail, and is told when this process ends.
        fs::copy(program, settings.program())?;
        for name in ["spool", "log", "mail"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let mut files = vec![
            (settings.file(), settings.text(tls.is_some())),
            (settings.refused(), String::new()),
            (settings.later(), String::new()),
        ];
        if let Some((certificate, key)) = tls {
            files.push((settings.certificate(), certificate.to_owned()));
            files.push((settings.key(), key.to_owned()));
        }
        for (path, text) in files {
            fs::write(path, text)?;
        }
        if is_root() {
            output(Command::new("chown").arg("-R").arg(format!("{USER}:{USER}")).arg(folder.path()))?;
        }
        let (port, tls_port) = (settings.port, settings.tls_port);
        let mut server = Self { port, tls_port, daemon: None, folder };
        server.resume()?;
        Ok(server)
    }

    /// Stops the server, with every connection it has, once what it took is in its folder; its ports stay.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let group = daemon.process();
        daemon.end("TERM")?;
        // A delivery that is broken off is begun again by the next start, and would arrive twice.
        self.deliver()?;
        // Each connection has a process of its own, which goes on; where there is none that is no failure.
        end_group(group);
        Ok(())
    }

    /// Starts the server again where it was stopped.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let mut command = match own("--user")?.as_str() {
            USER => daemon::as_user(USER, &folder.join("exim")),
            _ => daemon::ending_with_this(&folder.join("exim")),
        };
        command.arg("-C").arg(folder.join("settings")).args(["-bdf", "-q1s"]).process_group(0);
        let (said, pid) = (folder.join("said"), folder.join("pid"));
        // Written once it listens everywhere. The one of a start before says nothing of this one.
        if pid.exists() {
            fs::remove_file(&pid)?;
        }
        let mut daemon = Daemon::start(command, self.port, &said)?;
        let own = daemon.process().to_string();
        daemon.wait_until(|| fs::read_to_string(&pid).is_ok_and(|pid| pid.trim() == own))?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Sets how mail to an address is answered from now on.
    ///
    /// # Errors
    /// Where its file cannot be written.
    pub fn answer(&self, address: &str, answer: AddressAnswer) -> Result<()> {
        for (name, holds) in
            [("refused", AddressAnswer::RefusedForGood), ("later", AddressAnswer::RefusedForNow)]
        {
            let file = self.folder.path().join(name);
            let mut addresses: Vec<String> = fs::read_to_string(&file)?
                .lines()
                .filter(|line| *line != address)
                .map(str::to_owned)
                .collect();
            if holds == answer {
                addresses.push(address.to_owned());
            }
            // Its readers see the one or the other.
            let written = file.with_extension("new");
            fs::write(&written, addresses.join("\n") + "\n")?;
            fs::rename(written, file)?;
        }
        Ok(())
    }

    /// Every mail that was taken, as it arrived, below the headers that the server has added.
    ///
    /// # Errors
    /// Where what was taken is not delivered, as while it is stopped.
    pub fn arrived(&self) -> Result<Vec<Vec<u8>>> {
        self.deliver()?;
        let delivered = self.folder.path().join("mail/new");
        if !delivered.exists() {
            return Ok(Vec::new());
        }
        fs::read_dir(delivered)?.map(|entry| Ok(fs::read(entry?.path())?)).collect()
    }

    /// Waits until what was taken is in its folder.
    fn deliver(&self) -> Result<()> {
        let began = Instant::now();
        // It is in the queue before it is answered, and leaves that once it is in its folder.
        while !is_empty(&self.folder.path().join("spool/input"))? {
            if began.elapsed() > DELIVERY_MAX {
                return Err("what was taken is not delivered".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Where it listens, on this machine alone; STARTTLS is offered where the server has a certificate.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where a connection begins with TLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        let said = output(Command::new(self.folder.path().join("exim")).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let group = daemon.process();
            drop(daemon);
            end_group(group);
        }
    }
}

fn find_or_install() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os(EXIM_VARIABLE) {
        return Ok(program.into());
    }
    if !Path::new(PROGRAM).exists() {
        install(PACKAGE)?;
    }
    Ok(PROGRAM.into())
}

/// Ends what is left of a group of processes.
fn end_group(group: u32) {
    output(Command::new("kill").args(["-KILL", "--", &format!("-{group}")])).ok();
}

/// The user or the group that the server runs as.
fn own(which: &str) -> Result<String> {
    if is_root() {
        return Ok(USER.to_owned());
    }
    Ok(output(Command::new("id").arg(which).arg("--name"))?.trim().to_owned())
}

fn is_empty(folder: &PathBuf) -> Result<bool> {
    // It is made with the first mail.
    if !folder.exists() {
        return Ok(true);
    }
    Ok(fs::read_dir(folder)?.next().is_none())
}
