//! How long a key waits after a process is killed that held its shard.
//!
//! Several processes do work beside each other, and each of many keys gets a message again and again: of every other
//! key directly, and of the others by a command that waits in the store, so that two pieces of work follow each other.
//! One process after another is killed. What a message takes, from the moment at which it is stored until it arrives at
//! the receiver, is counted there. A kill may delay it by the lease and [`BEYOND_LEASE`], and on a machine that does
//! other things too by an allowance, which is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::TenantId;
use underlay_runtime::{Engine, EngineConfig};

use super::{Arguments, Rounds};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::subject::{Subject, Way};
use crate::work::{
    Ask, Errand, ErrandLine, Findings, Flow, Manner, Post, TENANTS, Told, micros_now, registry,
};
use crate::{Result, terminal};

/// Processes beside each other.
const PROCESSES: usize = 3;
/// Keys, of all tenants.
const KEYS: usize = 48;
/// The longest pause between two messages of a key.
const PAUSE_MAX: Duration = Duration::from_millis(800);
/// How long it is measured what messages take while nobody is killed.
const CALM: Duration = Duration::from_secs(10);
/// What is promised beyond the lease.
const BEYOND_LEASE: Duration = Duration::from_secs(1);
/// The pause after a kill, beyond the lease: what it delays has come by then.
const PAUSE_AFTER: Duration = Duration::from_secs(3);
/// Keys that waited longer than this are told to have been delayed.
const DELAYED: Duration = Duration::from_secs(1);
/// How long it is waited for what was sent last.
const LAST_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks at what has arrived.
const LOOK: Duration = Duration::from_millis(20);
/// What is told of messages that waited too long.
const EXAMPLES_MAX: usize = 10;

/// A message, and when it was stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    tenant: String,
    key: String,
    number: u64,
    at: u64,
}

/// What a number of messages took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Took {
    messages: usize,
    p50_millis: u64,
    p99_millis: u64,
    longest_millis: u64,
}

impl Took {
    fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let at =
            |percent: usize| micros.get((micros.len() * percent / 100).min(micros.len().saturating_sub(1)));
        let millis = |micros: Option<&u64>| micros.map_or(0, |micros| micros / 1_000);
        Self {
            messages: micros.len(),
            p50_millis: millis(at(50)),
            p99_millis: millis(at(99)),
            longest_millis: millis(micros.last()),
        }
    }
}

/// What one kill delayed.
#[derive(Clone, Copy, Debug, Serialize)]
struct Kill {
    longest_millis: u64,
    keys_delayed: usize,
}

/// What came of all kills.
#[derive(Debug, Serialize)]
pub(super) struct Delays {
    processes: usize,
    keys: usize,
    lease_millis: u64,
    beyond_lease_millis: u64,
    allowance_millis: u64,
    calm: Took,
    /// All messages that were sent after the first kill.
    killing: Took,
    kills: Vec<Kill>,
    too_long: usize,
    examples: Vec<String>,
    findings: Findings,
}

impl Delays {
    pub(super) fn is_good(&self) -> bool {
        self.too_long == 0 && self.findings.is_clean()
    }

    pub(super) fn print(&self, arguments: &Arguments, seed: u64, took: Duration) -> Result<()> {
        if arguments.json {
            let answer = json!({ "seed": seed, "delays": self, "seconds": took.as_secs_f64() });
            return terminal::print(&serde_json::to_string_pretty(&answer)?);
        }
        let mut lines = vec![self.to_string(), format!("seed {seed}, {:.1} s", took.as_secs_f64())];
        lines.extend(
            self.examples.iter().chain(&self.findings.examples).map(|example| format!("  {example}")),
        );
        terminal::print(&lines.join("\n"))
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processes, keys, calm, killing, too_long, .. } = self;
        let longest = Took::of(self.kills.iter().map(|kill| kill.longest_millis * 1_000).collect());
        let delayed: usize = self.kills.iter().map(|kill| kill.keys_delayed).sum();
        writeln!(
            f,
            "{} kills of one of {processes} processes, {keys} keys, a lease of {} ms: a message waited {} ms at most, \
             {} ms at most after the median kill; a kill delayed {:.1} keys by more than {} ms",
            self.kills.len(),
            self.lease_millis,
            longest.longest_millis,
            longest.p50_millis,
            delayed as f64 / self.kills.len().max(1) as f64,
            DELAYED.as_millis(),
        )?;
        let all = |what: &str, took: &Took| {
            format!(
                "{what}: {} messages, p50 {} ms, p99 {} ms, longest {} ms",
                took.messages, took.p50_millis, took.p99_millis, took.longest_millis
            )
        };
        writeln!(f, "{}; {}", all("nobody killed", calm), all("from the first kill on", killing))?;
        writeln!(
            f,
            "{too_long} waited longer than the lease + {} ms + {} ms for the machine",
            self.beyond_lease_millis, self.allowance_millis
        )?;
        write!(f, "{}", self.findings.summary())
    }
}

impl Rounds<'_> {
    /// Kills so often as there are rounds, and counts what that delays.
    pub(super) async fn run_delays(&self, subject: &dyn Subject, dice: &mut Dice) -> Result<Delays> {
        let lease = Duration::from_secs(self.arguments.lease_seconds);
        let place = subject.place("delays").await?;
        let directory = self.directory.join("delays");
        let mut flow = Flow::prepare(&directory, PROCESSES, 0, lease).await?;
        flow.take_everything();
        for one in 0..PROCESSES {
            flow.start(one, place.any_address(dice), dice, |_| Ok(()))?;
            flow.wait_until_ready(one)?;
        }
        let open = place.address(Way::USUAL).open_when_there().await?;
        let engine = Engine::new(
            open.ports(),
            registry(Post::new(dice.uuid(), flow.port())),
            EngineConfig::default(),
        )?;
        let journal = Arc::new(Journal::open(&flow.add_journal())?);
        let (stop, stopped) = watch::channel(false);
        let mut senders = JoinSet::new();
        for number in 0..KEYS {
            senders.spawn(send(number, engine.clone(), journal.clone(), dice.fork(), stopped.clone()));
        }
        flow.wait_until_it_flows().await?;
        // The shards are spread by now and then.
        tokio::time::sleep(lease).await;
        let calm_from = micros_now();
        tokio::time::sleep(CALM).await;
        let mut kills = Vec::new();
        while (kills.len() as u64) < self.arguments.rounds {
            // At any moment between two renewals.
            tokio::time::sleep(dice.time_below(lease / 3)).await;
            let chosen = dice.index(PROCESSES);
            kills.push(micros_now());
            flow.kill(chosen)?;
            let away = dice.time_below(lease);
            tokio::time::sleep(away).await;
            flow.start(chosen, place.any_address(dice), dice, |_| Ok(()))?;
            tokio::time::sleep(lease.saturating_sub(away) + PAUSE_AFTER).await;
        }
        stop.send_replace(true);
        let mut sent = Vec::new();
        while let Some(ended) = senders.join_next().await {
            sent.extend(ended??);
        }
        let arrived = arrived(&flow, sent.len()).await;
        drop(engine);
        open.close().await?;
        let findings = flow.finish(&place.address(Way::USUAL), dice).await?;
        let delays = self.count(lease, calm_from, &kills, &sent, &arrived, findings);
        if delays.is_good() {
            place.remove()?;
        }
        Ok(delays)
    }

    fn count(
        &self,
        lease: Duration,
        calm_from: u64,
        kills: &[u64],
        sent: &[Sent],
        arrived: &BTreeMap<(String, String, u64), u64>,
        findings: Findings,
    ) -> Delays {
        let allowance = Duration::from_millis(self.arguments.allowance_millis);
        let most = micros(lease + BEYOND_LEASE + allowance);
        let first_kill = kills.first().copied().unwrap_or(u64::MAX);
        let mut delays = Delays {
            processes: PROCESSES,
            keys: KEYS,
            lease_millis: micros(lease) / 1_000,
            beyond_lease_millis: micros(BEYOND_LEASE) / 1_000,
            allowance_millis: self.arguments.allowance_millis,
            calm: Took::default(),
            killing: Took::default(),
            kills: Vec::new(),
            too_long: 0,
            examples: Vec::new(),
            findings,
        };
        let (mut calm, mut killing) = (Vec::new(), Vec::new());
        let mut of_kills = vec![(0, BTreeSet::new()); kills.len()];
        for message in sent {
            // What never arrives is found to be lost.
            let place = (message.tenant.clone(), message.key.clone(), message.number);
            let Some(at) = arrived.get(&place) else { continue };
            let took = at.saturating_sub(message.at);
            if *at < first_kill && message.at >= calm_from {
                calm.push(took);
            } else if *at >= first_kill {
                killing.push(took);
            }
            if took > most {
                delays.too_long += 1;
                if delays.examples.len() < EXAMPLES_MAX {
                    delays.examples.push(format!("{message:?} took {} ms", took / 1_000));
                }
            }
            // The last kill before it arrived.
            if let Some(kill) = kills.partition_point(|kill| kill <= at).checked_sub(1) {
                let (longest, keys) = &mut of_kills[kill];
                *longest = took.max(*longest);
                if took > micros(DELAYED) {
                    keys.insert((message.tenant.clone(), message.key.clone()));
                }
            }
        }
        (delays.calm, delays.killing) = (Took::of(calm), Took::of(killing));
        let kills = of_kills.into_iter();
        delays.kills = kills
            .map(|(longest, keys)| Kill { longest_millis: longest / 1_000, keys_delayed: keys.len() })
            .collect();
        delays
    }
}

/// When the parcels of the courier arrived first, once so many have.
async fn arrived(flow: &Flow, sent: usize) -> BTreeMap<(String, String, u64), u64> {
    let until = tokio::time::Instant::now() + LAST_MAX;
    loop {
        let mut arrived = BTreeMap::new();
        for arrival in flow.arrivals() {
            let parcel = arrival.parcel;
            if parcel.handler == "courier" {
                arrived.entry((parcel.tenant, parcel.key, parcel.number)).or_insert(arrival.at);
            }
        }
        if arrived.len() >= sent || tokio::time::Instant::now() > until {
            return arrived;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends messages of one key, until it is told to stop.
async fn send(
    number: usize,
    engine: Engine,
    journal: Arc<Journal>,
    mut dice: Dice,
    stopped: watch::Receiver<bool>,
) -> Result<Vec<Sent>> {
    let tenant = TenantId::new(TENANTS[number % TENANTS.len()])?;
    let key = format!("key-{number}");
    let manner = if number.is_multiple_of(4) { Manner::Submitted } else { Manner::Executed };
    let mut sent = Vec::new();
    while !*stopped.borrow() {
        let ask = Ask::Fill { purse: key.clone(), cents: 1 };
        let errand = Errand::of(tenant.clone(), ask, manner);
        journal.write(&ErrandLine::Asked(errand.clone()))?;
        loop {
            let told = errand.run(&engine).await;
            journal.write(&ErrandLine::Told(errand.id, told.clone()))?;
            if told != Told::Nothing {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        // The events of a key are numbered from 1.
        let number = sent.len() as u64 + 1;
        sent.push(Sent { tenant: tenant.to_string(), key: key.clone(), number, at: micros_now() });
        tokio::time::sleep(dice.time_below(PAUSE_MAX)).await;
    }
    Ok(sent)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
