//! A MongoDB server that is a replica set of its own, so that it has transactions.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::{Missing, Result, output};

/// Names the address of a MongoDB server for tests; its database is not used. Commands for tests are enabled on it.
pub const MONGODB_VARIABLE: &str = "UNDERLAY_TEST_MONGODB_URL";
/// Names the program `mongod`, where it is not found by `PATH`.
pub const MONGOD_VARIABLE: &str = "UNDERLAY_TEST_MONGOD";

/// The name of the set.
const SET: &str = "underlay";
/// Its journal takes the disk that it needs, and no 300 MB ahead: many servers of tests run on one disk.
const SMALL_JOURNAL: &str = "log=(file_max=16MB,prealloc=false)";
/// What it writes once it is told to be a set of one.
const READY: &str = "Transition to primary complete";
/// After this time without a primary, the members of a set elect another.
const ELECTION_MILLISECONDS: i32 = 2_000;
/// How long it may take to answer that it is one.
const INITIATE_MAX: Duration = Duration::from_secs(60);
/// More than it answers.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A message with one command.
const OP_MSG: i32 = 2013;
/// What stands in a message before its document.
const MESSAGE_HEADER: usize = 21;
/// The types of the fields of a document.
const TEXT: u8 = 2;
const DOCUMENT: u8 = 3;
const ARRAY: u8 = 4;
const INT: u8 = 16;

/// A private server; dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Mongodb {
    program: PathBuf,
    port: u16,
    /// The ports of all members of its set, its own too.
    members: Vec<u16>,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    data: PathBuf,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Mongodb {
    /// Starts a server and makes it a replica set.
    ///
    /// # Errors
    /// Where its program is missing, or does not start.
    pub fn start() -> std::result::Result<Self, Missing> {
        Self::start_alone(None)
    }

    /// The same with its data in a folder that is there.
    ///
    /// # Errors
    /// As [`Mongodb::start`].
    pub fn start_in(folder: &Path) -> std::result::Result<Self, Missing> {
        Self::start_alone(Some(folder))
    }

    /// Starts several servers and makes them one replica set.
    ///
    /// # Errors
    /// As [`Mongodb::start`].
    pub fn start_set(count: usize) -> std::result::Result<Vec<Self>, Missing> {
        let program = find()?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(Self::new(&program, None).map_err(missing)?);
        }
        let ports: Vec<u16> = members.iter().map(|member| member.port).collect();
        for member in &mut members {
            member.members.clone_from(&ports);
            member.launch().map_err(missing)?;
        }
        if let Some(first) = members.first() {
            first.initiate().map_err(missing)?;
        }
        Ok(members)
    }

    fn start_alone(folder: Option<&Path>) -> std::result::Result<Self, Missing> {
        let mut server = Self::new(&find()?, folder).map_err(missing)?;
        server.resume().map_err(missing)?;
        Ok(server)
    }

    fn new(program: &Path, folder: Option<&Path>) -> Result<Self> {
        let own = tempfile::tempdir()?;
        let data = folder.unwrap_or(own.path()).join("data");
        fs::create_dir(&data)?;
        let port = daemon::free_port()?;
        Ok(Self { program: program.to_owned(), port, members: vec![port], daemon: None, data, folder: own })
    }

    /// Stops it. `hard` lets it no time to write anything down: the next start recovers as after a crash.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self, hard: bool) -> Result<()> {
        let signal = if hard { "KILL" } else { "TERM" };
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.end(signal))
    }

    /// Starts it again on the same port, and waits until it is the primary of its set; one of several only until it
    /// listens.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        self.launch()?;
        if self.members.len() > 1 {
            return Ok(());
        }
        self.initiate()?;
        let said = self.said();
        match &mut self.daemon {
            Some(daemon) => {
                daemon.wait_until(|| fs::read_to_string(&said).is_ok_and(|said| said.contains(READY)))
            }
            None => Ok(()),
        }
    }

    /// Starts it, and waits until it listens.
    fn launch(&mut self) -> Result<()> {
        let said = self.said();
        fs::write(&said, "")?;
        let mut command = daemon::ending_by("KILL", &self.program);
        command.arg("--dbpath").arg(&self.data).arg("--port").arg(self.port.to_string());
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--replSet", SET]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--wiredTigerEngineConfigString", SMALL_JOURNAL]);
        // Tests let commands fail, and nobody waits for a primary that is going down.
        for parameter in ["enableTestCommands=1", "shutdownTimeoutMillisForSignaledShutdown=100"] {
            command.args(["--setParameter", parameter]);
        }
        self.daemon = Some(Daemon::start(command, self.port, &said)?);
        Ok(())
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("said")
    }

    /// Where it listens on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database on it.
    #[must_use]
    pub fn address_of(&self, database: &str) -> String {
        let hosts: Vec<String> = self.members.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("mongodb://{}/{database}?replicaSet={SET}", hosts.join(","))
    }

    /// Tells it which set it is; where it is one already it says so, and stays as it is.
    fn initiate(&self) -> Result<()> {
        let members = self.members.iter().zip(0..).map(|(port, number)| {
            let member = [int("_id", number), text("host", &format!("127.0.0.1:{port}"))];
            nested(DOCUMENT, &number.to_string(), &member)
        });
        let settings = nested(DOCUMENT, "settings", &[int("electionTimeoutMillis", ELECTION_MILLISECONDS)]);
        let members = nested(ARRAY, "members", &members.collect::<Vec<_>>());
        let set = [text("_id", SET), members, settings];
        let command = document(&[nested(DOCUMENT, "replSetInitiate", &set), text("$db", "admin")]);
        let length = i32::try_from(MESSAGE_HEADER + command.len())?;
        let header = [length, 1, 0, OP_MSG, 0].map(i32::to_le_bytes).concat();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(INITIATE_MAX))?;
        // Of one section, which is a document.
        connection.write_all(&[&header[..], &[0], &command].concat())?;
        let mut length = [0; 4];
        connection.read_exact(&mut length)?;
        let rest = usize::try_from(i32::from_le_bytes(length))?.saturating_sub(length.len());
        connection.read_exact(&mut vec![0; rest.min(ANSWER_BYTES_MAX)])?;
        Ok(())
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        let said = output(Command::new(&self.program).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }
}

impl Drop for Mongodb {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.end("KILL").ok();
        }
    }
}

/// A document as the server reads it.
fn document(fields: &[Vec<u8>]) -> Vec<u8> {
    let fields = fields.concat();
    // Its length counts itself and the byte that ends it.
    let length = u32::try_from(fields.len() + 5).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &fields, &[0]].concat()
}

fn field(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

fn int(name: &str, value: i32) -> Vec<u8> {
    field(INT, name, &value.to_le_bytes())
}

fn text(name: &str, value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len() + 1).unwrap_or(u32::MAX);
    field(TEXT, name, &[&length.to_le_bytes()[..], value.as_bytes(), &[0]].concat())
}

fn nested(kind: u8, name: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    field(kind, name, &document(fields))
}

fn missing(reason: impl std::fmt::Display) -> Missing {
    Missing::new("mongodb", reason)
}

fn find() -> std::result::Result<PathBuf, Missing> {
    let in_path = |path: &std::ffi::OsStr| {
        env::split_paths(path).map(|folder| folder.join("mongod")).find(|program| Path::is_file(program))
    };
    let found = match env::var_os(MONGOD_VARIABLE) {
        Some(named) => Some(PathBuf::from(named)).filter(|program| program.is_file()),
        None => env::var_os("PATH").and_then(|path| in_path(&path)),
    };
    found.ok_or_else(|| {
        let way = "install MongoDB's server, or name its program in";
        missing(format_args!("`mongod` is not found; {way} {MONGOD_VARIABLE}"))
    })
}
