//! Processes that do work are killed: stored commands, messages, a process and its timers, all of it [flowing](crate::work).
//!
//! A round: one of several processes is killed at any moment, now and then all of them, and comes again. After some
//! rounds what is left is done, and everything is held against what arrived outside. With `--power-loss` there is one
//! process, and what it had not flushed is taken away after the kill, or after the next one. With `--server-crash` the
//! server crashes while all are at work.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::schedulers::{Happened, Schedulers};
use super::server::{self, ServerCrashes};
use super::{Arguments, KILLED_AT_START, POWER_KEPT, Rounds, START_MAX};
use crate::dice::Dice;
use crate::subject::{Place, Subject, Way};
use crate::work::{Findings, Flow, LEASE};
use crate::{Result, terminal};

/// Processes beside each other, and callers in each.
const PROCESSES: usize = 3;
const CALLERS: usize = 3;
/// The longest time between two kills.
const KILL_INTERVAL_MAX: Duration = Duration::from_millis(500);
/// The same where there is one process, which has to wait for what the one before has left, or where another drives the
/// work.
const SLOW_INTERVAL_MAX: Duration = Duration::from_millis(1_500);
/// How long one process alone is waited for by the next.
const ALONE_LEASE: Duration = Duration::from_millis(300);
/// Rounds, in percent, in which all are killed at once.
const ALL_KILLED: u64 = 10;
/// Rounds, in percent, in which the server crashes, where it is to.
const SERVER_CRASHES: u64 = 15;

/// What came of all rounds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) kills: u64,
    pub(super) power_cuts: u64,
    pub(super) server_crashes: ServerCrashes,
    /// What happened to a scheduler, and by it.
    pub(super) scheduler: Option<Happened>,
    pub(super) findings: Findings,
}

impl Summary {
    pub(super) fn print(&self, arguments: &Arguments, seed: u64, took: Duration) -> Result<()> {
        if arguments.json {
            let answer = json!({ "seed": seed, "work": self, "seconds": took.as_secs_f64() });
            return terminal::print(&serde_json::to_string_pretty(&answer)?);
        }
        let mut lines = vec![self.to_string(), format!("seed {seed}, {:.1} s", took.as_secs_f64())];
        if arguments.server_crash {
            lines.push(self.server_crashes.to_string());
        }
        lines.extend(self.scheduler.map(|happened| happened.to_string()));
        lines.extend(self.findings.examples.iter().map(|example| format!("  {example}")));
        terminal::print(&lines.join("\n"))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, power_cuts, findings, .. } = self;
        write!(f, "{kills} kills, {power_cuts} power cuts; {}", findings.summary())
    }
}

impl Rounds<'_> {
    /// Kills so often as there are rounds, or until something is found.
    pub(super) async fn run_work(
        &self,
        mut subject: Box<dyn Subject>,
        mut schedulers: Schedulers,
        dice: &mut Dice,
    ) -> Result<Summary> {
        let mut summary = Summary::default();
        while summary.kills < self.arguments.rounds && summary.findings.is_clean() {
            let number = summary.kills;
            let place = subject.place(&format!("work-{number}")).await?;
            let directory = self.directory.join(format!("flow-{number}"));
            let (processes, lease) = if self.power.is_some() { (1, ALONE_LEASE) } else { (PROCESSES, LEASE) };
            let is_driven = !schedulers.is_embedded();
            let callers = if is_driven { 1 } else { CALLERS };
            let most = if is_driven || processes == 1 { SLOW_INTERVAL_MAX } else { KILL_INTERVAL_MAX };
            let mut flow = Flow::prepare(&directory, processes, callers, lease).await?;
            schedulers.begin(&mut flow, format!("work-{number}"))?;
            let rounds = self.arguments.rounds_per_database.min(self.arguments.rounds - number);
            let until = number + rounds;
            let mut kept_power = false;
            while summary.kills < until {
                for one in (0..flow.places()).filter(|one| !flow.is_there(*one)).collect::<Vec<_>>() {
                    let address = place.any_address(dice);
                    schedulers.before_start(&mut flow, one, dice);
                    flow.start(one, address, dice, |command| match (&self.power, place.files()) {
                        (Some(power), Some(files)) => power.begin(command, files, kept_power),
                        _ => Ok(()),
                    })?;
                }
                // Of slow work each kill would hit the same piece, which is given up in the end, as it should be.
                if summary.kills == number || is_driven {
                    flow.wait_until_it_flows().await?;
                }
                if schedulers.wait_for_fall(&mut flow).await? {
                    summary.kills += 1;
                } else {
                    self.kill(&mut flow, &mut *subject, &*place, most, &mut summary, dice).await?;
                }
                summary.kills += schedulers.suffer(&mut flow, &*place, dice).await?;
                kept_power = summary.kills < until && dice.chance(POWER_KEPT);
                if let (Some(power), Some(files), false) = (&self.power, place.files(), kept_power) {
                    power.cut(files, dice)?;
                    summary.power_cuts += 1;
                }
            }
            let findings = flow.finish(&place.address(Way::USUAL), dice).await?;
            summary.findings.absorb(&findings);
            if findings.is_clean() {
                place.remove()?;
                std::fs::remove_dir_all(&directory)?;
            }
        }
        summary.scheduler = (!schedulers.is_embedded()).then_some(schedulers.happened);
        Ok(summary)
    }

    async fn kill(
        &self,
        flow: &mut Flow,
        subject: &mut dyn Subject,
        place: &dyn Place,
        most: Duration,
        summary: &mut Summary,
        dice: &mut Dice,
    ) -> Result<()> {
        let chosen = dice.index(flow.places());
        let is_alone = flow.places() == 1;
        if dice.chance(KILLED_AT_START) {
            tokio::time::sleep(dice.time_below(START_MAX)).await;
        } else {
            if is_alone {
                flow.wait_until_ready(chosen)?;
            }
            tokio::time::sleep(dice.time_below(most)).await;
        }
        if self.arguments.server_crash && dice.chance(SERVER_CRASHES) {
            server::crash(subject, place, dice, &mut summary.server_crashes).await?;
            tokio::time::sleep(dice.time_below(LEASE)).await;
        }
        let all = if dice.chance(ALL_KILLED) { 0..flow.places() } else { chosen..chosen + 1 };
        for one in all {
            flow.kill(one)?;
            summary.kills += 1;
        }
        Ok(())
    }
}
