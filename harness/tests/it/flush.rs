//! One process is killed before what it wrote is flushed; the next finds it, and answers a repeat of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use servers::Missing;
use tempfile::TempDir;

/// How long a child may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database, and beside it what is flushed of it.
struct Place {
    directory: TempDir,
    shim: PathBuf,
}

impl Place {
    /// None, with a line that says so, where there is no compiler for the shim.
    fn new() -> Option<Self> {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let shim = directory.path().join("durable.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/durable.c");
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-shared", "-fPIC", "-pthread", "-o"]).arg(&shim).arg(source);
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) || compile.status().is_err() {
            Missing::new("power-loss", "it needs 64-bit Linux and a C compiler").skip_test();
            return None;
        }
        for name in ["database", "durable"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Some(Self { directory, shim })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// The first command a child of its own is answered; the child is killed once it has answered `count`.
    fn first_answer(&self, journal: &str, sync: &str, count: usize) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg("crash-child").arg("--database");
        command.arg(format!("sqlite:{}", self.path("database/bank.db").display()));
        command.arg("--past").arg(self.path("past")).arg("--journal").arg(self.path(journal));
        command.args(["--seed", "1"]);
        command.env("LD_PRELOAD", &self.shim).env("HARNESS_SYNC", sync);
        command.env("HARNESS_DURABLE_FROM", self.path("database"));
        command.env("HARNESS_DURABLE_TO", self.path("durable"));
        let mut child = Killed(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut answers = self.answers(journal);
            if answers.len() >= count {
                drop(child);
                return answers.swap_remove(0);
            }
            assert!(child.0.try_wait().unwrap().is_none(), "the child has ended by itself");
            assert!(Instant::now() < deadline, "no answer within {PATIENCE:?}");
            thread::yield_now();
        }
    }

    /// The commands done so far, with their answers.
    fn answers(&self, journal: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(journal)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let answered = lines.filter_map(|mut line| line.get_mut("Answered").map(Value::take));
        answered.filter(|answered| answered[1].get("Done").is_some()).collect()
    }
}

/// A child that is killed where it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed.
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_repeat_is_not_answered_from_what_is_not_flushed() {
    let Some(place) = Place::new() else { return };
    // It has made the view's table by then: the second process need not write that.
    let first = place.first_answer("first", "broken", 50);
    let written = fs::read(place.path("database/bank.db-wal")).unwrap();
    assert!(!place.path("durable/bank.db-wal").exists(), "the first process flushed nothing");
    assert!(!written.is_empty());

    fs::write(place.path("past"), format!("{}\n", first[0])).unwrap();
    let second = place.first_answer("second", "", 1);
    assert_eq!(second, first, "the repeat gets the first answer");
    let flushed = fs::read(place.path("durable/bank.db-wal")).unwrap_or_default();
    assert!(flushed.starts_with(&written), "it was answered from what a power cut would have taken");
}
