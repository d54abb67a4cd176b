//! The task that writes the log: group commits of this process, one call each. Another one of its kind writes the commits
//! that change entities, so that who waits for an entity keeps nobody else from the log.
//!
//! Nobody is answered before the server has said that the transaction is durable. A batch is whatever
//! waited while the last one was written; there is no timer.
//!
//! States and what happens when something fails:
//!
//! - **Serving.** A commit that conflicts fails alone: the function checks each by itself. One that changes
//!   entities is written alone, since what they refuse undoes the transaction. Any other error of the values
//!   halves the batch until the commit at fault stands alone. What the server refuses without looking at the
//!   values (a lock not given in time, a full disk) fails the batch as `Unavailable`: nothing was stored. A
//!   server that takes no writes is let go, and the batch is sent once more where another one does.
//! - **In doubt**, from sending a batch to its answer. Where the session or the connection ends in
//!   between, the batch may be stored, may still be running, or may not have arrived. So a new connection
//!   raises a fence under the lock of the log: the attempt is void from then on, and what is found by its
//!   ids, on that connection and beside the fence, is the truth. All of it has one deadline; where it
//!   passes the batch is `Uncertain`. The fence stays due: nothing is written before it is raised, so
//!   whoever hears a certain answer after an uncertain one can rely on it.
//! - **Broken**, while the server cannot be reached: new commits are `Unavailable` at once, and it is
//!   tried again with growing pauses.
//! - **Ended**, by closing or by a panic: everybody who waits or comes is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use underlay_core::adapter::{FaultHook, Flight, Outage, Request, WakeupHub, answer_again};
use underlay_core::reasons::READS_ONLY;
use underlay_core::{Clock, WorkHint};
use uuid::Uuid;

use crate::config::{PostgresConfig, milliseconds};
use crate::connections::address::Address;
use crate::connections::link::Link;
use crate::connections::session::{Parameter, Sessions};
use crate::error::{Failure, raised};
use crate::event_store::verify_log;
use crate::fault::FaultPoint;
use crate::log::append::{self, Attempt, Calls, Verdict};
use crate::log::intake::{Intake, outage};
use crate::log::known::{Found, Ids, find_fenced};
use crate::log::notifier::Untold;
use crate::log::repeats::Repeats;
use crate::log::stream_heads::StreamHeads;
use crate::migrate::filled;

/// Between the first two tries to reach the server; each pause is twice the one before.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// The longest of those pauses.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a batch is sent again after a deadlock or a serialization failure.
const ATTEMPTS_MAX: usize = 4;

/// What the committing task works with.
pub(crate) struct Committer {
    address: Address,
    calls: Calls,
    fence: String,
    intake: Arc<Intake>,
    sessions: Arc<Sessions>,
    wakeups: Arc<WakeupHub>,
    /// Told of every commit, for other processes.
    untold: Arc<Untold>,
    clock: Option<Arc<dyn Clock>>,
    timer: Arc<dyn Clock>,
    commit_timeout: Duration,
    doubt_timeout: Duration,
    faults: FaultHook<FaultPoint>,
    attempt: Attempt,
    /// Whether an attempt may still be on its way that no fence has made void.
    fence_due: bool,
    /// What it knows of streams without a look.
    heads: StreamHeads,
    repeats: Repeats,
}

impl Committer {
    pub(crate) fn new(
        address: Address,
        config: &PostgresConfig,
        intake: Arc<Intake>,
        sessions: Arc<Sessions>,
        wakeups: Arc<WakeupHub>,
        untold: Arc<Untold>,
    ) -> Self {
        Self {
            address,
            calls: Calls::new(config),
            fence: filled(include_str!("../sql/raise_fence.sql"), config),
            repeats: Repeats::start(sessions.clone()),
            intake,
            sessions,
            wakeups,
            untold,
            clock: config.clock.clone(),
            timer: config.timer.clone(),
            commit_timeout: config.commit_timeout,
            doubt_timeout: config.doubt_timeout,
            faults: config.faults.clone(),
            attempt: Attempt { writer: Uuid::now_v7(), number: 0 },
            fence_due: false,
            heads: StreamHeads::default(),
        }
    }

    /// Writes until the intake is closed and empty. Without a connection it makes one once there is something to write.
    pub(crate) async fn run(mut self, link: Option<Link>) {
        let intake = self.intake.clone();
        let _ending = Ending(&intake);
        self.serve(link).await;
        self.repeats.close().await;
    }

    async fn serve(&mut self, mut link: Option<Link>) {
        let intake = self.intake.clone();
        if link.is_none() && !intake.reached().await {
            return;
        }
        loop {
            // Where it is broken nothing can wait, so it is mended first.
            let Some(connected) = self.connected(link.take(), &mut VecDeque::new()).await else { return };
            link = Some(connected);
            // Whoever was just answered may have the next commit ready: it goes with this batch.
            tokio::task::yield_now().await;
            let Some(batch) = intake.next().await else { return };
            let mut flights = legs(batch);
            while !flights.is_empty() {
                let Some(connected) = self.connected(link.take(), &mut flights).await else { return };
                link = match flights.pop_front() {
                    Some(leg) => self.write(connected, leg, &mut flights).await,
                    None => Some(connected),
                };
            }
        }
    }

    /// A new connection, to the log this process has seen, on which every attempt that was in doubt is
    /// void.
    async fn connect(&mut self) -> Result<Link, Failure> {
        self.heads.forget();
        let link = Link::connect(&self.address, |_| {}).await?;
        let verified = tokio::time::timeout(self.commit_timeout, verify_log(&self.sessions, &link));
        verified
            .await
            .map_err(|_| Failure::Lost("no answer to a look at the log (commit_timeout)".to_owned()))??;
        if self.fence_due {
            self.raise_fence(&link).await?;
            self.fence_due = false;
            self.intake.unanswered.end_doubts();
        }
        Ok(link)
    }

    /// Declares every attempt so far void.
    async fn raise_fence(&self, link: &Link) -> Result<(), Failure> {
        self.faults.at(FaultPoint::Fence)?;
        let longest = milliseconds(self.commit_timeout);
        let parameters: [Parameter<'_>; 3] =
            [(&self.attempt.writer, Type::UUID), (&self.attempt.number, Type::INT8), (&longest, Type::INT8)];
        let raised = link.query_typed(&self.fence, &parameters);
        tokio::time::timeout(self.commit_timeout, raised)
            .await
            .map_err(|_| Failure::Lost("no answer to a fence (commit_timeout)".to_owned()))??;
        Ok(())
    }

    /// A connection that is there: this one, or a new one; `None` where the store is closed meanwhile.
    /// Where it takes more than one try, the flights that wait for it are answered.
    async fn connected(&mut self, link: Option<Link>, flights: &mut VecDeque<Leg>) -> Option<Link> {
        if let Some(link) = link.filter(|link| !link.client.is_closed()) {
            return Some(link);
        }
        let mut pause = RECONNECT_PAUSE;
        loop {
            match self.connect().await {
                Ok(link) => {
                    self.intake.mend();
                    return Some(link);
                }
                Err(failure) => {
                    tracing::error!(%failure, "PostgreSQL cannot be reached");
                    let outage = unreachable(&failure);
                    self.intake.break_down(&outage);
                    for mut leg in flights.drain(..) {
                        leg.flight.answer_all(|_| Err(outage.error()));
                    }
                }
            }
            if !self.intake.pause(&*self.timer, pause).await {
                return None;
            }
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// Writes one batch. What has to be written again in parts goes to the front of `flights`. Gives
    /// the connection back where it is sound.
    async fn write(&mut self, link: Link, leg: Leg, flights: &mut VecDeque<Leg>) -> Option<Link> {
        let Leg { mut flight, moved } = leg;
        let mut sent = 1;
        let failure = loop {
            flight.in_doubt = Some("the committer ended during the commit".to_owned());
            let written = self.send(&link, &flight).await;
            match written {
                Ok(verdicts) => {
                    flight.in_doubt = None;
                    self.acknowledge(flight, verdicts);
                    return Some(link);
                }
                Err(failure) if failure.is_transient() && sent < ATTEMPTS_MAX => sent += 1,
                Err(failure) => break failure,
            }
        };
        if failure.is_lost() || failure.may_follow_the_commit() {
            drop(link);
            return self.resolve_doubt(flight, failure).await;
        }
        flight.in_doubt = None;
        if failure.is_of_a_reader() && !moved {
            // It is written where a server takes writes, or answered where none is found.
            tracing::warn!(%failure, "the server takes no writes any more");
            flights.push_front(Leg { flight, moved: true });
            return None;
        }
        match flight.requests.len() {
            1 => flight.answer_all(|request| Err(append::poison(&failure, request))),
            _ if may_be_one_commits(&failure) => {
                let second = flight.split();
                flights.push_front(Leg { flight: second, moved: false });
                flights.push_front(Leg { flight, moved });
            }
            _ => flight.answer_all(|_| Err(failure.nothing_stored())),
        }
        // One that takes no writes will not take the next either.
        (!failure.is_of_a_reader()).then_some(link)
    }

    async fn send(&mut self, link: &Link, flight: &Flight) -> Result<Vec<Verdict>, Failure> {
        self.faults.at(FaultPoint::Send)?;
        self.attempt.number += 1;
        let stamp = self.clock.as_ref().map(|clock| clock.now().as_microsecond());
        let (sessions, batch) = (&self.sessions, &flight.requests);
        let seen = sessions.seen.last();
        let known = self.heads.known(seen, batch);
        let call = self.calls.append(sessions, &link.client, self.attempt, stamp, known, batch);
        let verdicts = tokio::time::timeout(self.commit_timeout, call).await.map_err(|_| {
            Failure::Lost(format!(
                "no answer to a group commit in {:?} (commit_timeout)",
                self.commit_timeout
            ))
        })??;
        self.faults.at(FaultPoint::Answered)?;
        if let Some(last) = self.heads.learn(seen, batch, &verdicts) {
            sessions.seen.note(last);
        }
        Ok(verdicts)
    }

    fn acknowledge(&self, flight: Flight, mut verdicts: Vec<Verdict>) {
        self.intake.learn(&flight.requests, &mut verdicts);
        let (mut grown, mut hint) = (false, WorkHint::default());
        for (request, verdict) in flight.into_requests().into_iter().zip(verdicts) {
            match verdict {
                Verdict::Answered(answer) => {
                    if let Ok(committed) = &answer {
                        hint.add(&request.tenant, &request.commit.work);
                        grown |= committed.event_count > 0;
                    }
                    request.reply.answer(answer);
                }
                // Others do not wait while it is looked up.
                Verdict::Known => self.repeats.push(request),
            }
        }
        if grown || !hint.is_empty() {
            self.tell(hint);
        }
    }

    /// Wakes who waits for events or work, here and in other processes.
    fn tell(&self, hint: WorkHint) {
        self.wakeups.wake();
        self.wakeups.wake_for_work(hint);
        self.untold.tell(hint);
    }

    /// Finds out what became of a batch whose answer was lost, in the time that may take.
    async fn resolve_doubt(&mut self, mut flight: Flight, failure: Failure) -> Option<Link> {
        let commits = flight.requests.len();
        tracing::warn!(%failure, commits, "the answer to a group commit was lost");
        self.fence_due = true;
        flight.doubt(failure.to_string());
        let limit = self.doubt_timeout;
        let resolved = tokio::time::timeout(limit, self.find_out(&mut flight, &failure)).await;
        let Ok(Some((link, found))) = resolved else {
            let reason = flight.in_doubt.take().unwrap_or_default();
            let reason =
                format!("{reason}; what became of it was not found out in {limit:?} (doubt_timeout)");
            tracing::warn!(commits, reason, "commits are uncertain");
            // Nobody else waits for it: it is mended before the next batch is taken.
            self.intake.break_down(&outage(reason.clone(), false));
            flight.in_doubt = Some(reason);
            // The doubt ends with the next fence, also where one was raised and only the look failed.
            self.fence_due = true;
            // Dropped, the batch is uncertain.
            return None;
        };
        self.tell_the_truth(flight, &failure, found);
        Some(link)
    }

    /// Looks the commits of a batch up behind a fence, as soon as there is a server for it; `None` where
    /// the store is closed meanwhile.
    async fn find_out(&mut self, flight: &mut Flight, failure: &Failure) -> Option<(Link, Vec<Found>)> {
        let mut pause = RECONNECT_PAUSE;
        loop {
            match self.look_up(&flight.requests).await {
                Ok(found) => {
                    self.intake.mend();
                    return Some(found);
                }
                Err(again) => {
                    tracing::error!(failure = %again, "PostgreSQL cannot be reached");
                    self.intake.break_down(&unreachable(&again));
                    flight.in_doubt = Some(format!("{failure}; since then: {again}"));
                }
            }
            if !self.intake.pause(&*self.timer, pause).await {
                return None;
            }
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// Finds out, on the connection that has the fence, which of these are stored.
    async fn look_up(&mut self, requests: &[Request]) -> Result<(Link, Vec<Found>), Failure> {
        let link = self.connect().await?;
        let found = find_fenced(&self.sessions, &link, self.attempt, &Ids::of(requests)).await;
        // Another server may have answered, which has no fence.
        let found = found.inspect_err(|_| self.fence_due = true)?;
        Ok((link, found))
    }

    /// Answers a batch that is behind a fence: what is not there now never will be.
    fn tell_the_truth(&self, flight: Flight, failure: &Failure, found: Vec<Found>) {
        let mut hint = WorkHint::default();
        flight.requests.iter().for_each(|request| hint.add(&request.tenant, &request.commit.work));
        let stored = found.iter().filter(|found| !matches!(found, Ok(None))).count();
        tracing::warn!(stored, not_stored = found.len() - stored, "what became of it was found out");
        for (request, found) in flight.into_requests().into_iter().zip(found) {
            let answer = match found {
                // Which call stored it nobody knows: it may be a repeat, with other events or another
                // outcome than was stored. So it says that it is the stored answer.
                Ok(Some(found)) => answer_again(&request, found),
                Ok(None) => Err(failure.nothing_stored()),
                Err(damaged) => Err(damaged.into()),
            };
            request.reply.answer(answer);
        }
        if stored > 0 {
            self.tell(hint);
        }
    }
}

/// Why nothing is taken while there is no connection.
fn unreachable(failure: &Failure) -> Outage {
    let reason = if failure.is_of_a_reader() {
        READS_ONLY.to_owned()
    } else {
        format!("PostgreSQL cannot be reached: {failure}")
    };
    outage(reason, failure.is_full())
}

/// Whether leaving one commit out may let the others be stored.
fn may_be_one_commits(failure: &Failure) -> bool {
    if failure.is_raised(raised::ISOLATION) || failure.is_raised(raised::FENCED) {
        return false;
    }
    failure.is_of_the_values() || failure.code().is_some_and(|state| state.code().starts_with("XX"))
}

/// A batch on its way to a server.
struct Leg {
    flight: Flight,
    /// Whether it was at a server that took no writes.
    moved: bool,
}

impl Leg {
    fn new(requests: Vec<Request>) -> Self {
        Self { flight: Flight::new(requests), moved: false }
    }
}

/// A batch in the parts it is written in: a commit that changes entities is alone.
fn legs(batch: Vec<Request>) -> VecDeque<Leg> {
    let alone = |request: &Request| !request.commit.entities.is_empty();
    let mut legs: VecDeque<Leg> = VecDeque::new();
    for request in batch {
        match legs.back_mut() {
            Some(leg) if !alone(&request) && !leg.flight.requests.iter().any(alone) => {
                leg.flight.requests.push(request);
            }
            _ => legs.push_back(Leg::new(vec![request])),
        }
    }
    legs
}

/// Answers everybody when the task ends, however it ends.
struct Ending<'a>(&'a Intake);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
