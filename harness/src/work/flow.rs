//! Work that flows through a store while its processes are killed, stopped and started again, up to its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use servers::output;
use underlay_temporal::TemporalAddress;
use uuid::Uuid;

use super::audit::Evidence;
use super::deliveries::{Account, Deliveries};
use super::errand::Line;
use super::fall::Fall;
use super::findings::Findings;
use super::log::Log;
use super::receiver::{Arrival, Receiver, now};
use super::station::{LEASE, Plan, Station};
use crate::child::ChildProcess;
use crate::dice::Dice;
use crate::subject::{Address, OpenStore, is_unavailable};
use crate::{Result, journal};

/// How long nothing may move before what waits is taken for stuck.
const STUCK_MAX: Duration = Duration::from_secs(60);
/// How long it is waited for a process that is to die by itself.
const FALL_MAX: Duration = Duration::from_secs(15);
/// The pause between two looks at what still waits.
const LOOK: Duration = Duration::from_millis(50);

/// A process at work.
struct Member {
    worker: Uuid,
    journal: PathBuf,
    process: ChildProcess,
}

/// Work in one store: its processes, and the receiver that outlives them.
pub(crate) struct Flow {
    directory: PathBuf,
    receiver: Receiver,
    /// Of what arrived there, how much has been waited for.
    arrived: usize,
    callers: usize,
    /// How much may wait before callers ask for more.
    backlog: Option<u64>,
    lease: Duration,
    members: Vec<Option<Member>>,
    /// The journal of whoever was killed last at each place.
    past: Vec<Option<PathBuf>>,
    journals: Vec<PathBuf>,
    accounts: HashMap<Uuid, Account>,
    /// What has the work done of those that are started from now on.
    scheduler: Option<TemporalAddress>,
    /// When the next that is started dies by itself.
    falls: Option<Fall>,
    /// When a scheduler was away, or another one began, in microseconds.
    breaks: Vec<u64>,
}

impl Flow {
    /// Prepares places for processes with so many callers each; none is started. `lease` is how long one that is
    /// gone keeps the others from its shards.
    pub(crate) async fn prepare(
        directory: &Path,
        places: usize,
        callers: usize,
        lease: Duration,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            receiver: Receiver::start().await?,
            arrived: 0,
            callers,
            backlog: None,
            lease,
            members: (0..places).map(|_| None).collect(),
            past: vec![None; places],
            journals: Vec::new(),
            accounts: HashMap::new(),
            scheduler: None,
            falls: None,
            breaks: Vec::new(),
        })
    }

    /// The callers of those that are started from now on ask for nothing while more than that waits.
    pub(crate) fn slow_down(&mut self, backlog: u64) {
        self.backlog = Some(backlog);
    }

    /// Those that are started from now on have their work done by a scheduler, or do it themselves.
    pub(crate) fn schedule_by(&mut self, scheduler: Option<TemporalAddress>) {
        self.scheduler = scheduler;
    }

    /// The next that is started dies at a moment.
    pub(crate) fn let_next_fall(&mut self, fall: Fall) {
        self.falls = Some(fall);
    }

    /// Something happened to a scheduler, which may have forgotten what had ended and was not settled.
    pub(crate) fn note_break(&mut self) {
        self.breaks.push(now());
    }

    /// From now on the receiver wants nothing again.
    pub(crate) fn take_everything(&self) {
        self.receiver.take_everything();
    }

    /// Where the receiver listens.
    pub(crate) fn port(&self) -> u16 {
        self.receiver.port()
    }

    /// All that have arrived, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.receiver.arrivals()
    }

    /// A journal for callers who are in no process of the flow.
    pub(crate) fn add_journal(&mut self) -> PathBuf {
        let journal = self.directory.join(format!("work-{}", self.journals.len()));
        self.journals.push(journal.clone());
        journal
    }

    /// How many processes there may be.
    pub(crate) fn places(&self) -> usize {
        self.members.len()
    }

    /// Whether there is one at a place.
    pub(crate) fn is_there(&self, place: usize) -> bool {
        self.members[place].is_some()
    }

    fn plan(&mut self, dice: &mut Dice, callers: usize) -> Plan {
        let journal = self.add_journal();
        let (worker, seed) = (dice.uuid(), dice.seed());
        let receiver = self.receiver.port();
        let (backlog, lease) = (self.backlog, self.lease);
        let (scheduler, falls) = (self.scheduler.clone(), self.falls.take());
        Plan { worker, receiver, journal, past: Vec::new(), callers, backlog, lease, scheduler, falls, seed }
    }

    /// Starts a process at a place where there is none. What the one before left open it asks for again.
    pub(crate) fn start(
        &mut self,
        place: usize,
        address: Address,
        dice: &mut Dice,
        prepare: impl FnOnce(&mut Command) -> Result<()>,
    ) -> Result<()> {
        let plan = self.plan(dice, self.callers);
        let (worker, journal) = (plan.worker, plan.journal.clone());
        let arguments = plan.arguments(address, self.past[place].take());
        let mut prepared = Ok(());
        let process = ChildProcess::start("work-child", |command| {
            arguments.write(command);
            prepared = prepare(command);
        })?;
        prepared?;
        self.accounts.insert(worker, Account::default());
        self.members[place] = Some(Member { worker, journal, process });
        Ok(())
    }

    /// Waits until the process at a place is at work.
    pub(crate) fn wait_until_ready(&mut self, place: usize) -> Result<()> {
        let Some(member) = &mut self.members[place] else { return Ok(()) };
        if member.process.wait_until_ready()? {
            Ok(())
        } else {
            Err("a process at work ended by itself".into())
        }
    }

    /// Waits until something has arrived at the receiver since the last time: from then on it is work that is attacked.
    pub(crate) async fn wait_until_it_flows(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.receiver.count() == self.arrived {
            if began.elapsed() > STUCK_MAX {
                return Err(format!("nothing is delivered for {STUCK_MAX:?}").into());
            }
            tokio::time::sleep(LOOK).await;
        }
        self.arrived = self.receiver.count();
        Ok(())
    }

    /// Kills the process at a place.
    pub(crate) fn kill(&mut self, place: usize) -> Result<()> {
        let Some(mut member) = self.members[place].take() else { return Ok(()) };
        self.accounts.entry(member.worker).or_default().killed = Some(now());
        self.past[place] = Some(member.journal);
        member.process.kill()
    }

    /// Waits until the process at a place has died by itself; kills it where it does not. Says whether it did.
    pub(crate) async fn wait_until_fallen(&mut self, place: usize) -> Result<bool> {
        let Some(member) = &mut self.members[place] else { return Ok(false) };
        let began = Instant::now();
        while began.elapsed() < FALL_MAX {
            if member.process.has_ended()? {
                self.accounts.entry(member.worker).or_default().killed = Some(now());
                self.past[place] = self.members[place].take().map(|member| member.journal);
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        self.kill(place)?;
        Ok(false)
    }

    /// Lets the process at a place end in good order.
    pub(crate) fn end(&mut self, place: usize) -> Result<()> {
        self.members[place].take().map_or(Ok(()), |member| member.process.finish())
    }

    /// Stops the process at a place, so that it does nothing, until [`Flow::resume`].
    pub(crate) fn stop(&mut self, place: usize) -> Result<()> {
        let Some(member) = &self.members[place] else { return Ok(()) };
        self.accounts.entry(member.worker).or_default().stopped.push(now());
        signal(&member.process, "-STOP")
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self, place: usize) -> Result<()> {
        match &self.members[place] {
            Some(member) => signal(&member.process, "-CONT"),
            None => Ok(()),
        }
    }

    /// Lets every process end in good order, does what is left, and looks at all of it.
    pub(crate) async fn finish(mut self, address: &Address, dice: &mut Dice) -> Result<Findings> {
        for member in self.members.iter_mut().filter_map(Option::take) {
            member.process.finish()?;
        }
        let open = address.open_when_there().await?;
        let plan = self.plan(dice, 0);
        self.accounts.insert(plan.worker, Account::default());
        let station = Station::start(open.clone(), plan)?;
        let log = until_quiet(&open, &self.receiver).await?;
        let findings = self.look(log, &open, &station).await?;
        station.finish().await?;
        Ok(findings)
    }

    async fn look(&mut self, log: Log, open: &OpenStore, station: &Station) -> Result<Findings> {
        let mut lines = Vec::new();
        for path in &self.journals {
            lines.extend(journal::read(path)?);
        }
        let mut evidence = evidence(lines, log, &self.receiver, self.accounts.clone());
        evidence.deliveries.breaks.clone_from(&self.breaks);
        evidence.audit(open, &station.engine).await
    }
}

/// Puts together what is known.
pub(super) fn evidence(
    lines: Vec<Line>,
    log: Log,
    receiver: &Receiver,
    mut accounts: HashMap<Uuid, Account>,
) -> Evidence {
    for line in &lines {
        if let Line::LostTerms { worker, at } = line {
            accounts.entry(*worker).or_default().lost_terms.push(*at);
        }
    }
    let deliveries = Deliveries { arrivals: receiver.arrivals(), accounts, ..Deliveries::default() };
    Evidence { lines, log, deliveries }
}

/// Waits until nothing waits any more, or nothing moves; the log as it is then.
pub(super) async fn until_quiet(open: &OpenStore, receiver: &Receiver) -> Result<Log> {
    let (queue, _) = open.work()?;
    let (mut seen, mut since) = ((0, 0, 0), Instant::now());
    loop {
        let looked = async {
            let waiting: u64 =
                queue.queue_depths(None).await?.iter().map(|depth| depth.ready + depth.later).sum();
            Ok::<_, underlay_core::Error>((waiting, open.store.head().await?.number(), receiver.count()))
        };
        match looked.await {
            Ok(now @ (waiting, head, _)) => {
                if now != seen {
                    (seen, since) = (now, Instant::now());
                } else if waiting == 0 {
                    let log = Log::read(open).await?;
                    if log.head == head && log.open_orders().next().is_none() {
                        return Ok(log);
                    }
                }
            }
            Err(error) if is_unavailable(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if since.elapsed() > STUCK_MAX {
            // What is left is found by the audit.
            return Log::read(open).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn signal(process: &ChildProcess, signal: &str) -> Result<()> {
    output(Command::new("kill").args([signal, &process.id().to_string()]))?;
    Ok(())
}

/// Work that flows within this process, where nobody is killed: what is attacked is the server.
pub(crate) struct Inside {
    directory: PathBuf,
    address: Address,
    receiver: Arc<Receiver>,
    stations: Vec<Station>,
    journals: Vec<PathBuf>,
}

impl Inside {
    /// Starts stations with so many callers each.
    pub(crate) async fn start(
        directory: &Path,
        address: Address,
        stations: usize,
        callers: usize,
        lease: Duration,
        dice: &mut Dice,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let receiver = Arc::new(Receiver::start().await?);
        let mut inside = Self {
            directory: directory.to_owned(),
            address,
            receiver,
            stations: Vec::new(),
            journals: Vec::new(),
        };
        for _ in 0..stations {
            let open = inside.address.open_when_there().await?;
            let journal = inside.directory.join(format!("work-{}", inside.journals.len()));
            inside.journals.push(journal.clone());
            let plan = Plan {
                worker: dice.uuid(),
                receiver: inside.receiver.port(),
                journal,
                past: Vec::new(),
                callers,
                backlog: None,
                lease,
                scheduler: None,
                falls: None,
                seed: dice.seed(),
            };
            inside.stations.push(Station::start(open, plan)?);
        }
        Ok(inside)
    }

    /// How many have arrived at the receiver.
    pub(crate) fn delivered(&self) -> usize {
        self.receiver.count()
    }

    /// Waits until every station has had a command done that it submits now; when that was.
    pub(crate) async fn goes_on(&self, most: Duration) -> Result<Instant> {
        let began = Instant::now();
        for station in &self.stations {
            let submitted = tokio::time::timeout(most.saturating_sub(began.elapsed()), station.do_one());
            submitted.await.map_err(|_| format!("no work is done for {most:?}"))??;
        }
        Ok(Instant::now())
    }

    /// Lets callers hear the end of what they asked for, does what is left, and looks at all of it.
    pub(crate) async fn finish(mut self) -> Result<Findings> {
        for station in &mut self.stations {
            station.finish_callers().await?;
        }
        let open = self.address.open_when_there().await?;
        let log = until_quiet(&open, &self.receiver).await?;
        // Their accounts are whole once they have ended.
        let mut last = None;
        for station in self.stations {
            last = Some(station.engine.clone());
            station.finish().await?;
        }
        drop(last);
        let mut lines = Vec::new();
        for path in &self.journals {
            lines.extend(journal::read(path)?);
        }
        let plan = Plan {
            worker: Uuid::nil(),
            receiver: self.receiver.port(),
            journal: self.directory.join("work-at-the-end"),
            past: Vec::new(),
            callers: 0,
            backlog: None,
            lease: LEASE,
            scheduler: None,
            falls: None,
            seed: 0,
        };
        let station = Station::start(open.clone(), plan)?;
        let evidence = evidence(lines, log, &self.receiver, HashMap::new());
        let findings = evidence.audit(&open, &station.engine).await?;
        station.finish().await?;
        Ok(findings)
    }
}
