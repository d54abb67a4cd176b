//! A view that stopped is looked at and mended from the command line, beside the process that serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use underlay::core::{EventType, Json, RowAddress, RowChange, SchemaVersion, Value, ViewBatch, ViewTable};
use underlay::{
    Commit, CommitId, ExpectedVersion, Keys, NewEvent, Recorded, Service, Store, StreamName, TenantId, View,
};

/// How soon a runner goes on: a poll, and what a machine with much to do takes beside.
const PROMPTLY: Duration = Duration::from_secs(10);

pub(crate) fn program() -> PathBuf {
    // Cargo builds examples before it runs integration tests, beside their folder.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.join("examples/bank")
}

/// A process that serves, until it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    /// Held, so that the process does not write into a pipe that nobody reads.
    _printed: BufReader<std::process::ChildStdout>,
}

impl Serving {
    pub(crate) fn on(database: &str) -> Self {
        let mut command = Command::new(program());
        command.args(["--database", database, "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        printed.read_line(&mut first).unwrap();
        let address = first.trim().rsplit('/').next().unwrap().to_owned();
        Self { child, address, _printed: printed }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Three moves of an account, the second of which the view cannot take.
async fn fill(database: &str) {
    let store = Store::open(database).await.unwrap();
    for payload in [r#"{"cents":1}"#, r#"{"cents":"a typo"}"#, r#"{"cents":2}"#] {
        let (name, payload) = (EventType::new("moved").unwrap(), Json::parse(payload).unwrap());
        let event = NewEvent::new(name, SchemaVersion(1), payload);
        let stream = StreamName::parse("account-1").unwrap();
        let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
        store.commit(&TenantId::new("main").unwrap(), commit).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Runs on a store that is empty; `unserved` is the word for a view while nobody serves it.
pub(crate) fn a_view_is_mended(database: &str, unserved: &str) {
    let bank = |args: &[&str]| {
        let output = Command::new(program()).args(["--database", database]).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill(database));
    let says = |word: &str| {
        let (code, out, told) = bank(&["view", "status", "--json"]);
        assert!(code == 0 && out.contains(&format!(r#""status":"{word}""#)), "{word}: {out}{told}");
    };
    says(unserved);

    let serving = Serving::on(database);
    let reached = || serving.get("/v1/views/balances?min_position=3&wait=30");
    assert!(reached().contains("has stopped"));
    let say_all = |word: &str| {
        says(word);
        let views = serving.get("/v1/views");
        assert!(views.contains(&format!(r#""status":"{word}""#)), "{views}");
        let page = serving.get("/");
        assert!(page.contains(&format!(r#"">{word}<"#)), "{page}");
        let ready = serving.get("/readyz");
        assert_eq!(ready.contains(&format!(r#""views_stopped":{{"balances":"{word}"}}"#)), word == "paused");
    };
    say_all("paused");
    let (_, out, _) = bank(&["view", "status"]);
    assert!(out.contains("balances is paused since ") && out.contains("position 2 (account-1"), "{out}");

    let (code, _, told) = bank(&["view", "retry", "balances"]);
    assert!(code == 1 && told.contains("stopped again at position 1"), "{code}: {told}");
    assert!(told.contains("`bank view skip balances 2 --why TEXT`"), "{told}");
    let skip = |position: &str, more: &[&str]| {
        let mut args = vec!["view", "skip", "balances", position];
        args.extend(more);
        bank(&args)
    };
    let why = ["--why", "a typo", "--as", "ann"];
    for position in ["1", "3", "1000"] {
        let (code, _, told) = skip(position, &why);
        assert!(code == 2 && told.contains("but at position 2"), "{code}: {told}");
    }
    assert_eq!(skip("2", &[]).0, 2, "nobody says why");
    say_all("paused");
    let (code, _, told) = skip("2", &why);
    assert_eq!((code, told.as_str()), (0, ""));
    let (code, _, told) = skip("2", &why);
    assert!(code == 2 && told.contains("ann skipped position 2"), "{code}: {told}");

    // The runner looks at every poll, and whoever asks before that is told that it has stopped.
    let began = Instant::now();
    let rows = loop {
        let rows = reached();
        if rows.starts_with("HTTP/1.1 200 ") || began.elapsed() > PROMPTLY {
            break rows;
        }
    };
    assert!(rows.contains(r#""key":"1","cents":3"#), "{rows}");
    say_all("live");
    let shown = || {
        let (_, out, _) = bank(&["view", "status"]);
        assert!(out.contains("ann skipped position 2 of tenant main") && out.contains(": a typo"), "{out}");
    };
    shown();
    let (code, out, told) = bank(&["view", "retry", "balances"]);
    assert!(code == 0 && out.contains("it is not stopped; it is live"), "{out}{told}");
    let (code, out, told) = bank(&["view", "rebuild", "balances", "--anew"]);
    assert!(code == 0 && out.contains("and the view is live"), "{out}{told}");
    shown();
    let (code, _, told) = bank(&["view", "revert", "balances"]);
    assert_eq!(code, 0, "{told}");
    shown();
}

/// The rows of the program's view, as a person with a database client has them.
async fn alter(database: &str, change: RowChange) {
    let store = Store::open(database).await.unwrap();
    let engine = Service::new("bank").view(Balances).open(&store).unwrap();
    let schema = engine.registry().view_schema("balances").unwrap();
    let generation = engine.view_info("balances").await.unwrap().unwrap().active.number;
    let (rows, table) = (engine.read_models("balances"), ViewTable { schema, generation });
    let at = rows.checkpoint(&table).await.unwrap();
    rows.apply(&table, ViewBatch::new(at, at, vec![change])).await.unwrap();
    store.close().await.unwrap();
}

#[underlay::event]
enum Change {
    #[event(name = "moved", version = 1)]
    Moved { cents: i64 },
}

#[underlay::row]
struct Balance {
    cents: i64,
}

/// As the program has it.
struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = Change;
    type Key = String;
    type Row = Balance;

    fn route(&self, event: &Recorded<Change>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<Change>) -> Option<Balance> {
        let Change::Moved { cents } = event.event;
        Some(Balance { cents: row.map_or(0, |row| row.cents) + cents })
    }
}

/// Runs on a store that is empty: rows that were altered are found and repaired from the command line, with nobody
/// beside it, and by a process that serves.
pub(crate) fn a_view_is_verified(database: &str) {
    let bank = |args: &[&str]| {
        let output = Command::new(program()).args(["--database", database]).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill(database));
    let serving = Serving::on(database);
    assert!(serving.get("/v1/views/balances?min_position=3&wait=30").contains("has stopped"));
    let (code, _, told) = bank(&["view", "skip", "balances", "2", "--why", "a typo", "--as", "ann"]);
    assert_eq!(code, 0, "{told}");
    // It is stopped until it has noticed.
    let skipped = Instant::now();
    while !serving.get("/v1/views/balances?min_position=3&wait=30").contains(r#""cents":3"#) {
        assert!(skipped.elapsed() < PROMPTLY, "{}", bank(&["view", "status"]).1);
    }
    drop(serving);

    let verify = |more: &[&str]| {
        let mut args = vec!["view", "verify", "balances", "--as", "ann"];
        args.extend(more);
        bank(&args)
    };
    let (code, out, told) = verify(&[]);
    assert!(code == 0 && out.contains("1 row was compared; 0 with another content"), "{out}{told}");
    let address = |key: &str| RowAddress { tenant: TenantId::new("main").unwrap(), key: key.to_owned() };
    runtime.block_on(alter(database, RowChange::Upsert(address("1"), vec![Value::Integer(77)])));
    let (code, out, told) = verify(&[]);
    assert_eq!(code, 1, "{out}{told}");
    let line = out.lines().find(|line| line.contains("77")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells, ["main", "1", "cents", "77", "3", "3"], "{out}");
    assert!(told.contains("`bank view rebuild balances`"), "{told}");
    let (_, out, _) = bank(&["view", "status"]);
    assert!(out.contains("was verified for ann, and its rows are not the true ones"), "{out}");
    let (code, out, told) = verify(&["--repair"]);
    assert!(code == 0 && out.contains("view balances is repaired"), "{out}{told}");
    assert_eq!(verify(&[]).0, 0);

    // Left to a process that serves.
    runtime.block_on(alter(database, RowChange::Upsert(address("2"), vec![Value::Integer(1)])));
    let (code, out, told) = verify(&["--repair", "--background"]);
    assert!(code == 0 && out.contains("`bank view status` shows how far it is"), "{out}{told}");
    let (_, out, _) = bank(&["view", "status"]);
    assert!(out.contains("waits for a process that keeps the view"), "{out}");
    let (code, _, told) = bank(&["view", "rebuild", "balances", "--as", "bob"]);
    assert!(code == 4 && told.contains("as ann ordered"), "{code}: {told}");
    let serving = Serving::on(database);
    let given = Instant::now();
    while !bank(&["view", "status"]).1.contains("and its rows were repaired") {
        assert!(given.elapsed() < PROMPTLY, "{}", bank(&["view", "status"]).1);
    }
    assert!(!serving.get("/v1/views/balances").contains(r#""key":"2""#));
    drop(serving);
    let (code, _, told) = bank(&["view", "cancel", "balances", "--as", "ann"]);
    assert!(code == 2 && told.contains("nothing is ordered"), "{code}: {told}");
    let (code, out, _) = bank(&["view", "verify", "balances", "--json", "--as", "ann"]);
    assert!(code == 0 && out.contains(r#""state":"done""#) && out.contains(r#""rows":1"#), "{out}");
}

#[test]
fn a_view_is_verified_and_repaired() {
    let directory = tempfile::tempdir().unwrap();
    a_view_is_verified(&format!("sqlite:{}", directory.path().join("bank.db").display()));
}

#[test]
fn a_view_is_mended_beside_a_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", directory.path().join("bank.db").display());
    a_view_is_mended(&database, "catching_up");
}
