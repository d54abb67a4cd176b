//! The task that writes the log: group commits of this process, one call each.
//!
//! Nobody is answered before the server has said that the transaction is durable. A batch is whatever
//! waited while the last one was written; there is no timer.
//!
//! States and what happens when something fails:
//!
//! - **Serving.** A commit that conflicts fails alone: the function checks each by itself. Any other
//!   error of the values halves the batch until the commit at fault stands alone. What the server
//!   refuses without looking at the values (a lock not given in time, a full disk) fails the batch as
//!   `Unavailable`: nothing was stored.
//! - **In doubt**, from sending a batch to its answer. Where the connection ends in between, the batch
//!   may be stored, may still be running, or may not have arrived. So a new connection raises a fence
//!   under the lock of the log: the attempt is void from then on, and what is found by its ids is the
//!   truth. Where the fence cannot be raised in time the batch is `Uncertain`.
//! - **Broken**, while the server cannot be reached: new commits are `Unavailable` at once, and it is
//!   tried again with growing pauses.
//! - **Ended**, by closing or by a panic: everybody who waits or comes is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::types::Type;
use underlay_core::{Clock, Error, WakeupHub};
use uuid::Uuid;

use crate::address::Address;
use crate::append::{self, Attempt, Calls, Verdict};
use crate::config::PostgresConfig;
use crate::error::{Failure, raised};
use crate::event_store::{find_commit, verify_log};
use crate::fault::{FaultHook, Step};
use crate::intake::{Answer, Intake, Request, unavailable};
use crate::link::Link;
use crate::session::{Parameter, Sessions};

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
    notifier: Arc<Notify>,
    clock: Option<Arc<dyn Clock>>,
    timer: Arc<dyn Clock>,
    commit_timeout: Duration,
    settle_timeout: Duration,
    faults: FaultHook,
    attempt: Attempt,
}

impl Committer {
    pub(crate) fn new(
        address: Address,
        config: &PostgresConfig,
        intake: Arc<Intake>,
        sessions: Arc<Sessions>,
        wakeups: Arc<WakeupHub>,
        notifier: Arc<Notify>,
    ) -> Self {
        Self {
            address,
            calls: Calls::new(&config.schema, config.faults.clone()),
            fence: include_str!("sql/raise_fence.sql").replace("{schema}", &config.schema),
            intake,
            sessions,
            wakeups,
            notifier,
            clock: config.clock.clone(),
            timer: config.timer.clone(),
            commit_timeout: config.commit_timeout,
            settle_timeout: config.settle_timeout,
            faults: config.faults.clone(),
            attempt: Attempt { writer: Uuid::now_v7(), number: 0 },
        }
    }

    /// Writes until the intake is closed and empty.
    pub(crate) async fn run(mut self, link: Link) {
        let intake = self.intake.clone();
        let _ending = Ending(&intake);
        let mut link = Some(link);
        loop {
            // Where it is broken nothing can wait, so it is mended first.
            let Some(connected) = self.connected(link.take(), &mut VecDeque::new()).await else { return };
            link = Some(connected);
            // Whoever was just answered may have the next commit ready: it goes with this batch.
            tokio::task::yield_now().await;
            let Some(batch) = intake.next().await else { return };
            let mut flights = VecDeque::from([Flight::new(batch)]);
            while !flights.is_empty() {
                let Some(connected) = self.connected(link.take(), &mut flights).await else { return };
                link = match flights.pop_front() {
                    Some(flight) => self.write(connected, flight, &mut flights).await,
                    None => Some(connected),
                };
            }
        }
    }

    /// A new connection, to the log this process has seen.
    async fn connect(&self) -> Result<Link, Failure> {
        let link = Link::connect(&self.address, || {}).await?;
        let verified = tokio::time::timeout(self.commit_timeout, verify_log(&self.sessions, &link.client));
        verified
            .await
            .map_err(|_| Failure::Lost("no answer to a look at the log (commit_timeout)".to_owned()))??;
        Ok(link)
    }

    /// A connection that is there: this one, or a new one; `None` where the store is closed meanwhile.
    /// Where it takes more than one try, the flights that wait for it are answered.
    async fn connected(&self, link: Option<Link>, flights: &mut VecDeque<Flight>) -> Option<Link> {
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
                    let reason = format!("PostgreSQL cannot be reached: {failure}");
                    let overloaded = failure.is_full();
                    self.intake.break_down(&reason, overloaded);
                    for mut flight in flights.drain(..) {
                        flight.answer_all(|_| Err(unavailable(&reason, overloaded)));
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
    async fn write(
        &mut self,
        link: Link,
        mut flight: Flight,
        flights: &mut VecDeque<Flight>,
    ) -> Option<Link> {
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
        if failure.is_lost() {
            drop(link);
            return self.settle(flight, failure).await;
        }
        flight.in_doubt = None;
        match flight.requests.len() {
            1 => flight.answer_all(|request| Err(append::poison(&failure, request))),
            _ if may_be_one_commits(&failure) => {
                let second = flight.split();
                flights.push_front(second);
                flights.push_front(flight);
            }
            _ => flight.answer_all(|_| Err(failure.nothing_stored())),
        }
        Some(link)
    }

    async fn send(&mut self, link: &Link, flight: &Flight) -> Result<Vec<Verdict>, Failure> {
        self.faults.at(Step::Send)?;
        self.attempt.number += 1;
        let stamp = self.clock.as_ref().map(|clock| clock.now().as_microsecond());
        let seen = &self.sessions.seen;
        let call = self.calls.append(&link.client, self.attempt, stamp, seen, &flight.requests);
        let verdicts = tokio::time::timeout(self.commit_timeout, call).await.map_err(|_| {
            Failure::Lost(format!(
                "no answer to a group commit in {:?} (commit_timeout)",
                self.commit_timeout
            ))
        })??;
        self.faults.at(Step::Answered)?;
        Ok(verdicts)
    }

    fn acknowledge(&self, flight: Flight, verdicts: Vec<Verdict>) {
        let answers = flight.requests.iter().zip(&verdicts).filter_map(|(request, verdict)| match verdict {
            Verdict::Answered(answer) => Some((&request.tenant, answer)),
            Verdict::Known => None,
        });
        self.intake.learn(answers);
        let mut grown = false;
        for (request, verdict) in flight.into_requests().into_iter().zip(verdicts) {
            match verdict {
                Verdict::Answered(answer) => {
                    grown |= answer.as_ref().is_ok_and(|committed| committed.event_count > 0);
                    // A caller that has gone away needs no answer.
                    request.reply.answer.send(answer).ok();
                }
                Verdict::Known => {
                    // Others do not wait while it is looked up.
                    tokio::spawn(answer_repeat(self.sessions.clone(), request));
                }
            }
        }
        if grown {
            self.wakeups.wake();
            self.notifier.notify_one();
        }
    }

    /// Finds out what became of a batch whose answer was lost.
    async fn settle(&mut self, mut flight: Flight, failure: Failure) -> Option<Link> {
        tracing::warn!(%failure, commits = flight.requests.len(), "the answer to a group commit was lost");
        flight.in_doubt = Some(failure.to_string());
        let began = self.timer.now();
        let mut pause = RECONNECT_PAUSE;
        loop {
            match self.fenced().await {
                Ok(link) => {
                    self.intake.mend();
                    self.tell_the_truth(flight, &failure).await;
                    return Some(link);
                }
                Err(again) => {
                    tracing::error!(failure = %again, "PostgreSQL cannot be reached");
                    self.intake
                        .break_down(&format!("PostgreSQL cannot be reached: {again}"), again.is_full());
                }
            }
            let waited = self.timer.now().duration_since(began);
            let in_time = Duration::try_from(waited).is_ok_and(|waited| waited < self.settle_timeout);
            // Dropped, the batch is uncertain.
            if !in_time || !self.intake.pause(&*self.timer, pause).await {
                return None;
            }
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// A new connection, on which every attempt so far was declared void.
    async fn fenced(&self) -> Result<Link, Failure> {
        let link = self.connect().await?;
        self.faults.at(Step::Fence)?;
        let parameters: [Parameter<'_>; 2] =
            [(&self.attempt.writer, Type::UUID), (&self.attempt.number, Type::INT8)];
        let raised = link.client.query_typed(&self.fence, &parameters);
        tokio::time::timeout(self.commit_timeout, raised)
            .await
            .map_err(|_| Failure::Lost("no answer to a fence (commit_timeout)".to_owned()))??;
        Ok(link)
    }

    /// Answers a batch that is behind a fence: what is not there now never will be.
    async fn tell_the_truth(&self, mut flight: Flight, failure: &Failure) {
        let mut grown = false;
        while let Some(request) = flight.requests.last() {
            let found = find_commit(&self.sessions, &request.tenant, request.commit.id).await;
            let answer: Answer = match found {
                Ok(Some(found)) if found.fingerprint == request.reply.fingerprint => {
                    grown = true;
                    // Which call stored it nobody knows: it may be a repeat, with other events or another
                    // outcome than was stored. So it says that it is the stored answer.
                    Ok(found.committed)
                }
                Ok(Some(_)) => Err(Error::IdReused(request.commit.id)),
                Ok(None) => Err(failure.nothing_stored()),
                Err(error) => Err(Error::Uncertain { id: request.commit.id, reason: error.to_string() }),
            };
            if let Some(request) = flight.requests.pop() {
                request.reply.answer.send(answer).ok();
            }
        }
        if grown {
            self.wakeups.wake();
            self.notifier.notify_one();
        }
    }
}

/// Whether leaving one commit out may let the others be stored.
fn may_be_one_commits(failure: &Failure) -> bool {
    if failure.is_raised(raised::ISOLATION) || failure.is_raised(raised::FENCED) {
        return false;
    }
    failure.is_of_the_values() || failure.code().is_some_and(|state| state.code().starts_with("XX"))
}

async fn answer_repeat(sessions: Arc<Sessions>, request: Request) {
    let id = request.commit.id;
    let answer = match find_commit(&sessions, &request.tenant, id).await {
        Ok(Some(found)) if found.fingerprint == request.reply.fingerprint => Ok(found.committed),
        Ok(Some(_)) => Err(Error::IdReused(id)),
        Ok(None) => Err(Error::Damaged(format!("commit {id} was there and is gone"))),
        // Nothing of this call was stored; the first one's answer could not be read.
        Err(error) => Err(Error::unavailable(error.to_string())),
    };
    request.reply.answer.send(answer).ok();
}

/// A batch whose callers wait. Dropped without an answer, by a panic or an early return, it gives the
/// one that is true: nothing stored before it was sent, uncertain afterwards.
struct Flight {
    requests: Vec<Request>,
    in_doubt: Option<String>,
}

impl Flight {
    fn new(requests: Vec<Request>) -> Self {
        Self { requests, in_doubt: None }
    }

    /// Takes the second half off.
    fn split(&mut self) -> Self {
        Self::new(self.requests.split_off(self.requests.len() / 2))
    }

    fn into_requests(mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    fn answer_all(&mut self, answer: impl Fn(&Request) -> Answer) {
        for request in self.requests.drain(..) {
            let answer = answer(&request);
            // A caller that has gone away needs no answer.
            request.reply.answer.send(answer).ok();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let in_doubt = self.in_doubt.take();
        self.answer_all(|request| {
            Err(match &in_doubt {
                Some(reason) => Error::Uncertain { id: request.commit.id, reason: reason.clone() },
                None => Error::unavailable("the committer of this store has ended"),
            })
        });
    }
}

/// Answers everybody when the task ends, however it ends.
struct Ending<'a>(&'a Intake);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
