//! graphile-worker, a queue in PostgreSQL for Node, on the same server. It is installed privately with npm when it is
//! first measured; where it cannot be had, the rest is measured without it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use serde::Deserialize;
use servers::output;

use super::courier::message;
use super::drain::Rates;
use crate::subject::{Place, StoreKind};
use crate::{Result, terminal};

/// The newest that runs on the Node of Debian 12.
const PACKAGE: &str = "graphile-worker@0.17.3";
const SCRIPT: &str = include_str!("graphile.mjs");
/// How long nothing may come of a run.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Jobs that are added in one statement.
const ADDED: usize = 500;

const ADD: &str = "SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(SELECT json_populate_record(\
                   NULL::graphile_worker.job_spec, json_build_object('identifier', 'deliver', 'payload', \
                   payload::json)) FROM unnest($1::text[]) AS payload))";

/// How it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As it comes: ten jobs side by side, each taken and ended by a statement.
    Plain,
    /// With what its documentation gives for throughput: 500 jobs taken at once, ended together, 24 side by side.
    Batched,
}

/// Where it is installed.
pub(super) struct Graphile {
    script: PathBuf,
}

/// What a worker tells.
#[derive(Deserialize)]
struct Told {
    done: u64,
    /// Milliseconds since 1970.
    last: u64,
}

/// A line of a worker.
enum Line {
    Ready,
    Told(usize, Told),
}

/// A worker; it is killed where it is dropped.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without its input it ends by itself; one that does not is killed.
        drop(self.input.take());
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Graphile {
    /// Installs it where it is not there yet; none where there is none for a store, or it cannot be had.
    pub(super) async fn find(kind: StoreKind) -> Result<Option<Self>> {
        if kind != StoreKind::Postgres {
            return Ok(None);
        }
        match tokio::task::spawn_blocking(install).await? {
            Ok(found) => Ok(Some(found)),
            Err(reason) => {
                terminal::print(&format!("SKIP graphile-worker: {reason}"))?;
                Ok(None)
            }
        }
    }

    /// Adds jobs beside workers that stand ready, in one transaction, and waits until all are done.
    pub(super) async fn drain(
        &self,
        place: &dyn Place,
        workers: usize,
        count: u64,
        manner: Manner,
    ) -> Result<Rates> {
        let database = place.database().ok_or("graphile-worker works in a database")?;
        let address = database.admin_address();
        let (lines, told) = mpsc::channel();
        let mut crew = Vec::new();
        // One after the other: the first makes the schema.
        for number in 0..workers {
            crew.push(self.start(number, &address, manner, lines.clone())?);
            let ready = tokio::task::block_in_place(|| told.recv_timeout(SILENCE_MAX))?;
            if !matches!(ready, Line::Ready) {
                return Err("a worker of graphile-worker did something before there was anything".into());
            }
        }
        let mut admin = database.admin().await?;
        let payloads = (0..count)
            .map(|number| Ok(message(number)?.1.payload.text().as_str().to_owned()))
            .collect::<Result<Vec<String>>>()?;
        let begun = Instant::now();
        let adding = admin.transaction().await?;
        let add = adding.prepare(ADD).await?;
        for batch in payloads.chunks(ADDED) {
            adding.query_one(&add, &[&batch]).await?;
        }
        // They are seen from here on.
        let from = milliseconds()?;
        adding.commit().await?;
        let stored = begun.elapsed();
        let to = tokio::task::block_in_place(|| wait_for(&told, workers, count))?;
        Ok(Rates::of(count, stored, Duration::from_millis(to.saturating_sub(from).max(1))))
    }

    fn start(
        &self,
        number: usize,
        address: &str,
        manner: Manner,
        lines: mpsc::Sender<Line>,
    ) -> Result<Worker> {
        let (concurrency, batched) = match manner {
            Manner::Plain => (10, false),
            Manner::Batched => (24, true),
        };
        let told = serde_json::json!({
            "connectionString": address, "concurrency": concurrency, "batched": batched,
        });
        let mut child = Command::new("node")
            .arg(&self.script)
            .arg(told.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or("a worker without output")?;
        let input = child.stdin.take();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                let line = match line.as_str() {
                    "ready" => Line::Ready,
                    told => match serde_json::from_str(told) {
                        Ok(told) => Line::Told(number, told),
                        Err(_) => continue,
                    },
                };
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker { child, input })
    }
}

/// Waits until the workers have done so many; when the last was.
fn wait_for(told: &mpsc::Receiver<Line>, workers: usize, count: u64) -> Result<u64> {
    let (mut done, mut last) = (vec![0; workers], 0);
    while done.iter().sum::<u64>() < count {
        if let Line::Told(number, told) = told.recv_timeout(SILENCE_MAX)? {
            done[number] = told.done;
            last = last.max(told.last);
        }
    }
    Ok(last)
}

fn milliseconds() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// Installs it in a folder beside this program, which is kept.
fn install() -> Result<Graphile> {
    output(Command::new("node").arg("--version"))?;
    let program = std::env::current_exe()?.canonicalize()?;
    let folder = program.parent().unwrap_or(Path::new(".")).join("bench-graphile");
    let script = folder.join("worker.mjs");
    let installed = folder.join("node_modules/graphile-worker/package.json");
    let version = PACKAGE.rsplit('@').next().unwrap_or_default();
    let is_there = fs::read_to_string(&installed)
        .is_ok_and(|found| found.contains(&format!("\"version\": \"{version}\"")));
    if !is_there {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), "{\"private\": true}")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE]);
        output(npm.current_dir(&folder))?;
    }
    fs::File::create(&script)?.write_all(SCRIPT.as_bytes())?;
    Ok(Graphile { script })
}
