//! What has the work under attack done, and what happens to it: a Temporal server of the run is stopped and started,
//! processes die at chosen moments of a job, and one scheduler gives way to another with work in flight.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use servers::{Missing, Temporal};
use underlay_temporal::TemporalAddress;

use crate::Result;
use crate::dice::Dice;
use crate::subject::Place;
use crate::work::{Fall, Flow, Moment};

/// How much may wait before callers ask for more: a server for development does a hundred jobs in a second, or fewer.
const BACKLOG: u64 = 20;
/// The longest a server is away.
const AWAY_MAX: Duration = Duration::from_secs(2);
/// Rounds, in percent, in which it is stopped.
const STOPS: u64 = 15;
/// Rounds, in percent, in which a process dies at a moment of a job, and the longest it has to wait for that.
const FALLS: u64 = 50;
const FALL_TIME_MAX: u64 = 8;
/// Every so many rounds the scheduler changes.
const SWITCH_EVERY: u64 = 3;
/// Processes, in percent, that are killed in a change; the others end in good order.
const KILLED_IN_SWITCH: u64 = 40;

/// What has work done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DrivenBy {
    /// Those who hold it.
    Embedded,
    /// A private Temporal server.
    Temporal,
    /// One, then the other, in turns.
    Both,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Happened {
    /// Processes that died at a chosen moment, by [`Moment::ALL`].
    pub(super) fallen: [u64; Moment::ALL.len()],
    pub(super) server_stops: u64,
    pub(super) switches: u64,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fallen, server_stops, switches } = self;
        for (moment, times) in Moment::ALL.iter().zip(fallen) {
            write!(f, "{times} died {}, ", moment.name())?;
        }
        write!(f, "{server_stops} stops of the scheduler's server, {switches} changes of the scheduler")
    }
}

/// The schedulers of a run.
pub(super) struct Schedulers {
    server: Option<Temporal>,
    switches: bool,
    /// Whether those that are started now have Temporal.
    is_temporal: bool,
    task_queue: String,
    rounds: u64,
    /// Who is to die by itself.
    falling: Option<(usize, Moment)>,
    pub(super) happened: Happened,
}

impl Schedulers {
    /// Starts what is needed. A server keeps what it knows in a file, or forgets it when it is stopped.
    pub(super) fn prepare(kind: DrivenBy, dice: &mut Dice) -> std::result::Result<Self, Missing> {
        let server = match kind {
            DrivenBy::Embedded => None,
            _ if dice.chance(50) => Some(Temporal::start_kept()?),
            _ => Some(Temporal::start()?),
        };
        Ok(Self {
            server,
            switches: kind == DrivenBy::Both,
            is_temporal: kind == DrivenBy::Temporal,
            task_queue: String::new(),
            rounds: 0,
            falling: None,
            happened: Happened::default(),
        })
    }

    /// Whether there is nothing but workers that do their work themselves.
    pub(super) fn is_embedded(&self) -> bool {
        self.server.is_none()
    }

    /// Begins with the work of a store.
    pub(super) fn begin(&mut self, flow: &mut Flow, task_queue: String) -> Result<()> {
        self.task_queue = task_queue;
        if !self.is_embedded() {
            flow.slow_down(BACKLOG);
        }
        flow.schedule_by(self.address()?);
        Ok(())
    }

    fn address(&self) -> Result<Option<TemporalAddress>> {
        let server = self.server.as_ref().filter(|_| self.is_temporal);
        Ok(server.map(|server| server.address(&self.task_queue).parse()).transpose()?)
    }

    /// Who is started next at a place may be one that dies by itself.
    pub(super) fn before_start(&mut self, flow: &mut Flow, place: usize, dice: &mut Dice) {
        if self.is_temporal && self.falling.is_none() && dice.chance(FALLS) {
            let moment = Moment::ALL[dice.index(Moment::ALL.len())];
            let time = u32::try_from(1 + dice.below(FALL_TIME_MAX)).unwrap_or(1);
            flow.let_next_fall(Fall { moment, time });
            self.falling = Some((place, moment));
        }
    }

    /// Waits for the process that is to die by itself, where there is one; whether there was.
    pub(super) async fn wait_for_fall(&mut self, flow: &mut Flow) -> Result<bool> {
        let Some((place, moment)) = self.falling.take() else { return Ok(false) };
        if flow.wait_until_fallen(place).await? {
            let at = Moment::ALL.iter().position(|one| *one == moment).unwrap_or(0);
            self.happened.fallen[at] += 1;
        }
        Ok(true)
    }

    /// Stops the server for a time, or has another scheduler begin, or does nothing. The processes that were killed for
    /// it are counted.
    pub(super) async fn suffer(
        &mut self,
        flow: &mut Flow,
        place: &dyn Place,
        dice: &mut Dice,
    ) -> Result<u64> {
        self.rounds += 1;
        if self.is_temporal && dice.chance(STOPS) {
            self.stop_server(flow, dice).await?;
        }
        if self.switches && self.rounds.is_multiple_of(SWITCH_EVERY) {
            return self.switch(flow, place, dice);
        }
        Ok(0)
    }

    async fn stop_server(&mut self, flow: &mut Flow, dice: &mut Dice) -> Result<()> {
        let Some(server) = &mut self.server else { return Ok(()) };
        flow.note_break();
        tokio::task::block_in_place(|| server.stop())?;
        tokio::time::sleep(dice.time_below(AWAY_MAX)).await;
        tokio::task::block_in_place(|| server.resume())?;
        flow.note_break();
        self.happened.server_stops += 1;
        Ok(())
    }

    /// One after another makes place for one with the other scheduler.
    fn switch(&mut self, flow: &mut Flow, place: &dyn Place, dice: &mut Dice) -> Result<u64> {
        self.is_temporal = !self.is_temporal;
        flow.schedule_by(self.address()?);
        flow.note_break();
        let mut kills = 0;
        for one in 0..flow.places() {
            if !flow.is_there(one) {
                continue;
            }
            if dice.chance(KILLED_IN_SWITCH) {
                flow.kill(one)?;
                kills += 1;
            } else {
                tokio::task::block_in_place(|| flow.end(one))?;
            }
            flow.start(one, place.any_address(dice), dice, |_| Ok(()))?;
        }
        flow.note_break();
        self.happened.switches += 1;
        Ok(kills)
    }
}
