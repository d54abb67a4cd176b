//! Processes that serve everything or a part, and what a person does with the work: as programs, on one file.
#![cfg(all(unix, feature = "sqlite"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use underlay::core::{EventType, Json, NewWork, SchemaVersion, WorkKind};
use underlay::{Commit, CommitId, ExpectedVersion, NewEvent, Store, StreamName, TenantId};

const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    // Cargo builds examples before it runs integration tests, beside their folder.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.join("examples/post")
}

struct Post {
    folder: TempDir,
}

impl Post {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("post.db").display())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(["--database", &self.database()])
            .args(args)
            .env("POST_FOLDER", self.folder.path())
            .env("USER", "bob");
        command
    }

    /// Runs a command: exit code, output, and what it complained of.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn answer(&self, args: &[&str]) -> String {
        let (code, out, told) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {out}{told}");
        out
    }

    fn start(&self, args: &[&str]) -> Process {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        while !told.contains("ctrl-c") {
            assert!(printed.read_line(&mut told).unwrap() > 0, "it ended: {told}");
        }
        Process { child, told, printed }
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn until(&self, what: &str, come: impl Fn() -> bool) {
        let since = Instant::now();
        while !come() {
            assert!(since.elapsed() < PATIENCE, "{what} never comes: {}", self.run(&["outbox"]).1);
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Sends messages, each with an event, in a process of its own.
    fn send(&self, tenant: &str, texts: &[&str]) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&self.database()).await.unwrap();
            for text in texts {
                let payload = Json::parse(format!(r#"{{"text":"{text}"}}"#)).unwrap();
                let work = NewWork::new(WorkKind::Message, "mailer", *text, "note", payload.clone());
                let event = NewEvent::new(EventType::new("note").unwrap(), SchemaVersion(1), payload);
                let stream = StreamName::parse("note-1").unwrap();
                let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
                store.commit(&TenantId::new(tenant).unwrap(), commit.send(work)).await.unwrap();
            }
            store.close().await.unwrap();
        });
    }
}

/// A process that goes on, until it is dropped.
struct Process {
    child: Child,
    /// What it said of itself.
    told: String,
    printed: BufReader<ChildStdout>,
}

impl Process {
    fn get(&self, path: &str) -> String {
        let address = self.told.lines().next().unwrap().rsplit('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &process]).status().unwrap().success());
    }

    /// Its exit code and its last words, within a time.
    fn end(&mut self, within: Duration) -> (Option<i32>, String) {
        let since = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if since.elapsed() > within => panic!("it has not ended within {within:?}"),
                None => std::thread::park_timeout(Duration::from_millis(20)),
            }
        };
        let mut rest = String::new();
        self.printed.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_process_that_answers_leaves_the_work_to_one_that_works() {
    let post = Post::new();
    post.send("acme", &["one", "bad 1"]);
    let http = post.start(&["serve", "--only", "http", "--listen", "127.0.0.1:0"]);
    assert!(http.told.contains("run `post worker` beside this one, on this machine"), "{}", http.told);
    let queues = http.get("/v1/admin/queues");
    assert!(queues.contains(r#""ready":2"#) && queues.contains(r#""shards_held":null"#), "{queues}");
    assert!(queues.contains(r#""status":"not_running""#), "nobody keeps the pump: {queues}");
    let outbox = post.answer(&["outbox", "--tenant", "acme"]);
    assert!(outbox.contains("receiver") && outbox.contains("mailer"), "{outbox}");
    let listed = post.answer(&["outbox", "list", "--key", "one", "--every-tenant"]);
    assert!(listed.contains("ready") && !listed.contains("bad 1"), "{listed}");
    let listed = post.answer(&["outbox", "--every-tenant", "list", "--json"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");

    let mut worker = post.start(&["worker"]);
    assert!(
        worker.told.contains("handlers mailer") && worker.told.contains("pumps    copy"),
        "{}",
        worker.told
    );
    post.until("delivery", || post.lines("delivered") == ["one"]);
    post.send("globex", &["two", "bad 2"]);
    post.until("another delivery", || post.lines("delivered") == ["one", "two"]);
    post.until("the pump", || post.lines("copied") == ["1", "2", "3", "4"]);
    // Each process has its own subscribers, which begin when it does.
    post.until("the subscribers", || {
        let fed = post.lines("fed");
        ["3", "4"].iter().all(|position| fed.iter().filter(|fed| *fed == position).count() == 2)
    });
    assert!(!post.lines("fed").contains(&"1".to_owned()), "what was before is a pump's affair");
    post.until("dead letters", || {
        post.answer(&["dead-letters", "list", "--every-tenant", "--json"]).lines().count() == 2
    });
    post.until("a fresh look", || http.get("/readyz").contains(r#""dead":2"#));
    let status = post.answer(&["pump", "status"]);
    assert!(status.contains("copy") && status.contains("live"), "{status}");

    // What was begun ends before the process does.
    post.send("acme", &["slow"]);
    post.until("a slow attempt", || post.lines("begun").contains(&"slow".to_owned()));
    worker.terminate();
    let (code, rest) = worker.end(Duration::from_secs(20));
    assert_eq!((code, rest.trim()), (Some(0), "stopped"));
    assert!(post.lines("delivered").contains(&"slow".to_owned()), "it was not broken off");
    assert!(post.answer(&["pump", "status"]).contains("not running"), "it gave its lease back");
    post.answer(&["pump", "rewind", "copy", "--to", "3"]);
    let serving = post.start(&["serve", "--listen", "127.0.0.1:0"]);
    post.until("the pump again", || post.lines("copied") == ["1", "2", "3", "4", "5", "4", "5"]);
    assert!(serving.get("/readyz").contains("shards_held"), "serve does everything");
}

#[test]
fn dead_letters_are_looked_at_and_settled_one_by_one_or_by_a_filter() {
    let post = Post::new();
    post.send("acme", &["bad 1", "bad 2", "bad 3"]);
    post.send("globex", &["bad 4"]);
    let worker = post.start(&["worker"]);
    const EVERY: &[&str] = &["--every-tenant"];
    let letters = |args: &[&str]| {
        let lines = post.answer(&[&["dead-letters", "list", "--json"], args].concat());
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    post.until("dead letters", || letters(EVERY).len() == 4);
    drop(worker);
    assert_eq!(letters(&["--tenant", "globex"]).len(), 1);
    assert_eq!(letters(&["--key", "bad 2", "--tenant", "acme"]).len(), 1);
    assert_eq!(letters(&["--receiver", "nobody", "--every-tenant"]).len(), 0);
    let id = |line: &str| line.split(r#""work_id":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let first = id(&letters(&["--key", "bad 1", "--every-tenant"])[0]);
    let table = post.answer(&["dead-letters", "list", "--tenant", "acme"]);
    assert!(
        table.contains(&first) && table.contains("no such address") && table.contains("final"),
        "{table}"
    );
    let shown = post.answer(&["dead-letters", "show", &first, "--tenant", "acme"]);
    for part in [
        "acme",
        "mailer (message)",
        "note, version 1",
        "bad 1; it is free",
        "no such address",
        r#"{"text":"bad 1"}"#,
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Another tenant has no such letter, and who names none is asked which.
    assert_eq!(post.run(&["dead-letters", "show", &first, "--tenant", "globex"]).0, 3);
    assert_eq!(post.run(&["dead-letters", "replay", &first, "--tenant", "globex"]).0, 3);
    let (code, _, told) = post.run(&["dead-letters", "discard"]);
    assert!(code == 2 && told.contains("--all"), "{told}");
    let (code, _, told) = post.run(&["dead-letters", "list", "--kind", "letter"]);
    assert!(code == 2 && told.contains("message"), "{told}");

    // Whoever names one and a filter means one of the two.
    for order in ["replay", "discard"] {
        for filter in [&["--receiver", "nobody"][..], &["--key", "bad 1"], &["--kind", "message"], &["--all"]]
        {
            let (code, _, told) =
                post.run(&[&["dead-letters", order, &first, "--every-tenant"], filter].concat());
            assert!(code == 2 && told.contains("cannot be used with"), "{told}");
        }
    }
    assert_eq!(letters(EVERY).len(), 4, "nothing was done");
    let (code, out, told) = post.run(&["dead-letters", "discard", &first, "--as", "ann", "--every-tenant"]);
    assert!(code == 0 && out.contains("is discarded"), "{out}{told}");
    assert!(told.contains("ann") && told.contains("acme"), "the log says who did it: {told}");
    let dry = post.answer(&["dead-letters", "replay", "--all", "--tenant", "acme"]);
    assert!(dry.contains("2 dead letters of tenant acme would be replayed; say --yes"), "{dry}");
    assert_eq!(letters(EVERY).len(), 3, "nothing was done");
    let done = post.answer(&["dead-letters", "replay", "--all", "--tenant", "acme", "--yes", "--json"]);
    assert_eq!(done.trim(), r#"{"replayed":2}"#);
    assert_eq!(letters(EVERY).len(), 1);
    assert_eq!(
        post.answer(&["dead-letters", "discard", "--all", "--every-tenant", "--yes"]).trim(),
        "1 dead letter of every tenant is discarded"
    );
    let waits = post.answer(&["outbox", "list", "--json", "--every-tenant"]);
    assert_eq!(waits.lines().count(), 2, "what was replayed waits: {waits}");
    assert!(waits.contains(r#""attempts":0"#), "with all its attempts: {waits}");
}

#[test]
fn work_of_other_tenants_is_listed_and_settled_only_where_that_is_said() {
    let post = Post::new();
    post.send("acme", &["bad 1"]);
    post.send("globex", &["bad 2"]);
    let worker = post.start(&["worker"]);
    post.until("dead letters", || {
        post.answer(&["dead-letters", "list", "--every-tenant", "--json"]).lines().count() == 2
    });
    drop(worker);
    post.send("acme", &["one"]);
    // Configured by a flag, by the environment or by the file, the tenant is the same.
    let file = post.folder.path().join("globex.toml");
    std::fs::write(&file, "tenant = \"globex\"\n").unwrap();
    let as_globex = |args: &[&str], by: usize| {
        let mut command = post.command(args);
        match by {
            0 => command.args(["--tenant", "globex"]),
            1 => command.env("POST_TENANT", "globex"),
            _ => command.arg("--config").arg(&file),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for by in 0..3 {
        let outbox = as_globex(&["outbox", "--json"], by);
        assert!(outbox.contains(r#""ready":0"#) && outbox.contains(r#""dead":1"#), "{by}: {outbox}");
        let listed = as_globex(&["outbox", "list", "--json"], by);
        assert_eq!(listed, "", "{by}");
        let letters = as_globex(&["dead-letters", "list", "--json"], by);
        assert!(letters.lines().count() == 1 && letters.contains("globex"), "{by}: {letters}");
        let dry = as_globex(&["dead-letters", "discard", "--all"], by);
        assert!(dry.starts_with("1 dead letter of tenant globex would be discarded"), "{by}: {dry}");
    }
    // Where none is configured it is the default, which has nothing.
    assert_eq!(post.answer(&["dead-letters", "list", "--json"]), "");
    assert!(
        post.answer(&["dead-letters", "replay", "--all", "--yes"])
            .starts_with("0 dead letters of tenant main")
    );
    for args in [["outbox", "list"], ["dead-letters", "list"]] {
        let (code, _, told) = post.run(&[&args[..], &["--tenant", "acme", "--every-tenant"]].concat());
        assert!(code == 2 && told.contains("contradict"), "{told}");
    }
    assert!(
        as_globex(&["dead-letters", "discard", "--all", "--yes"], 1)
            .contains("of tenant globex is discarded")
    );
    let left = post.answer(&["dead-letters", "list", "--every-tenant", "--json"]);
    assert!(left.lines().count() == 1 && left.contains("acme"), "another tenant keeps its own: {left}");
}

#[test]
fn a_second_signal_ends_a_process_at_once() {
    let post = Post::new();
    post.send("acme", &["hang"]);
    let mut serving = post.start(&["serve", "--listen", "127.0.0.1:0"]);
    post.until("an attempt", || post.lines("begun") == ["hang"]);
    serving.terminate();
    std::thread::park_timeout(Duration::from_millis(500));
    assert!(serving.child.try_wait().unwrap().is_none(), "it waits for the attempt");
    serving.terminate();
    let (code, _) = serving.end(Duration::from_secs(5));
    assert_eq!(code, Some(1));
    assert!(post.lines("delivered").is_empty());
}

#[test]
fn a_store_in_memory_is_not_left_to_others() {
    let output =
        Command::new(program()).args(["--database", "memory:", "serve", "--only", "http"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("leave out --only"), "{told}");
}

#[test]
fn who_moves_a_store_is_told_of_the_work_that_stays_behind() {
    let post = Post::new();
    for _ in 0..2 {
        // Doing it again changes nothing.
        assert!(post.answer(&["begin"]).starts_with("the letter is command "));
    }
    assert!(post.answer(&["schedule", "list"]).contains("Europe/Berlin"));
    assert!(post.answer(&["command", "show", "welcome"]).contains("pending"));
    let file = post.folder.path().join("log.jsonl").display().to_string();
    let (code, out, told) = post.run(&["export", &file]);
    assert_eq!(code, 0, "{told}");
    assert!(out.contains("1 commit, 0 events"), "{out}");
    assert!(told.contains("work is left (1)") && told.contains("post outbox --all"), "{told}");

    let other = Post::new();
    assert!(other.answer(&["import-log", &file]).contains("1 stored"));
    assert!(other.answer(&["command", "show", "welcome"]).contains("discarded"));
    assert!(other.answer(&["begin"]).starts_with("the letter is command "));
    let shown = other.answer(&["command", "show", "welcome"]);
    assert!(shown.contains("discarded"), "submitted again it is known, and does not wait: {shown}");
    let (_, _, told) = other.run(&["export", &format!("{file}.2")]);
    assert_eq!(told, "", "nothing is left");
}
