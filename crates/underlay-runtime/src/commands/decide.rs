//! From a command to a commit: load, decide, commit; and again, where somebody else wrote first.
//!
//! ```text
//!         cached or new state
//!               │
//!   ┌──────► load the tail of every stream ──► decide ──► events ───────────────► COMMIT ──► done
//!   │           ▲                                │                                  │
//!   │           │ refresh                        ├─► refusal or nothing,            │
//!   │           └────── versions moved ◄── confirm  the id is drawn                 │
//!   │                                            └─► the same, the id is given ─► COMMIT (as an outcome)
//!   └── its turn at the streams ◄─────── Conflict, at most `conflict_retries_max` times
//! ```
//!
//! The first try takes no lock. A command that conflicted, or that is about to write a stream others
//! take turns at, goes on when it has its turn there ([`turns`](super::turns)), over the state that the
//! one before it left in the cache. Whoever says which version it expects gets the conflict at once.
//!
//! Entities that change with a decision stand in its commit. A conflict of a stream is decided again, with the same changes;
//! a conflict of an entity is the caller's, who has read it.
//!
//! What is drawn from the events is drawn at every try, since a try is decided anew; only what stands in the commit that
//! is stored is ever sent.
//!
//! A refusal is never answered from states that may be old: either the commit that stores it expects
//! the versions it was decided over, or these versions are read again first. Whether a command id was
//! used before is for the commit to say, so there is no read ahead of it. A command may also wait in the store, where its
//! submission has an id of its own: the commit names that, and the store lets it in only where both are the same command.
//! A command that is given directly yields to its submission at first. So whoever gives it learns, for nothing, that it
//! was submitted: it is decided under its own id then, and a dead letter that it has become lets its line go.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::Instrument;
use underlay_core::limits::PAGE_EVENTS_MAX;
use underlay_core::{
    Aggregate, AggregateState, Asked, Command, Commit, CommitId, Committed, Conflict, Context, EntityChange,
    Error, EventStoreExt, ExpectedVersion, Fingerprint, Json, Metadata, Operation, Outcome, Position, Reads,
    RecordedEvent, Refusal, StreamName, StreamVersion, StreamWrite, Streams, Version,
};

use super::Commands;
use super::traced::{end_command, logged};
use super::turns::{Access, Turn};
use crate::registry::{Drawn, NotExecuted, typed};
use crate::{ExecuteError, Executed, Request};

/// What is to be decided, beside the states it is decided over.
struct Question<'a> {
    /// What a repeat must match.
    content: Fingerprint,
    /// The version the caller has seen of the one stream.
    expected: Option<(StreamName, Version)>,
    /// Who decides.
    decider: &'a str,
    /// Entities that change where the answer is yes. They are no part of what a repeat must match: who repeats has read
    /// them anew.
    entities: &'a [EntityChange],
}

impl Commands {
    /// As [`Engine::execute`](crate::Engine::execute).
    pub(crate) async fn execute<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Executed, ExecuteError<A::Refusal>> {
        self.execute_with::<A>(request, id, command, &[]).await
    }

    /// As [`Engine::execute`](crate::Engine::execute), and changes entities in the commit of the decision.
    pub(crate) async fn execute_with<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: A::Command,
        entities: &[EntityChange],
    ) -> Result<Executed, ExecuteError<A::Refusal>> {
        let asked = Asked::typed(&command.encode()?)?;
        self.decide_aggregate::<A>(request, id, command, &asked, entities).await.map_err(typed)
    }

    /// As [`Engine::operate`](crate::Engine::operate).
    pub(crate) async fn operate<O: Operation>(
        &self,
        request: &Request,
        operation: O,
    ) -> Result<Executed, ExecuteError<O::Refusal>> {
        self.operate_with(request, operation, &[]).await
    }

    /// As [`Engine::operate`](crate::Engine::operate), and changes entities in the commit of the decision.
    pub(crate) async fn operate_with<O: Operation>(
        &self,
        request: &Request,
        operation: O,
        entities: &[EntityChange],
    ) -> Result<Executed, ExecuteError<O::Refusal>> {
        let asked = Asked::typed(&Json::encode(&operation)?)?;
        self.decide_operation(request, operation, &asked, entities).await.map_err(typed)
    }

    pub(crate) async fn decide_aggregate<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: A::Command,
        asked: &Asked,
        entities: &[EntityChange],
    ) -> Result<Executed, NotExecuted<A::Refusal>> {
        let stream = A::stream(id)?;
        let name = command.descriptor().name;
        let content = asked.of_command(&stream, name);
        let mut reads = Reads::default();
        reads.stream::<A>(id)?;
        let decide = |streams: &mut Streams, context: &Context| {
            let (events, work) = streams.state::<A>(id).decide(command.clone(), context)?.into_parts();
            events.into_iter().for_each(|event| streams.append::<A>(id, event));
            work.into_iter().for_each(|work| streams.send(work));
            Ok(())
        };
        let mut span = self.begin_command(request, || format!("{} {name}", A::CATEGORY));
        request.describe(&mut span, Some(&stream));
        let log = logged(request, Some(&stream), name);
        let request = &request.below(&span);
        let expected = request.expected.map(|version| (stream, version));
        let begun = self.clock.now();
        let question = Question { content, expected, decider: A::CATEGORY, entities };
        let deciding = self.decide(request, question, reads, decide);
        let ended = deciding.instrument(log).await;
        self.metrics.ended(Some(A::CATEGORY), name, &ended, [begun, self.clock.now()]);
        end_command(span, &ended);
        ended
    }

    pub(crate) async fn decide_operation<O: Operation>(
        &self,
        request: &Request,
        operation: O,
        asked: &Asked,
        entities: &[EntityChange],
    ) -> Result<Executed, NotExecuted<O::Refusal>> {
        if request.expected.is_some() {
            return Err(Error::invalid(
                "an expected version is for a command to one stream, not for an operation",
            )
            .into());
        }
        let content = asked.of_operation(O::NAME);
        let mut reads = Reads::default();
        guarded(|| format!("`reads` of {}", O::NAME), || operation.reads(&mut reads))??;
        reads.validate()?;
        let decide = |streams: &mut Streams, context: &Context| operation.decide(streams, context);
        let mut span = self.begin_command(request, || O::NAME.to_owned());
        request.describe(&mut span, None);
        let request = &request.below(&span);
        let begun = self.clock.now();
        let question = Question { content, expected: None, decider: O::NAME, entities };
        let deciding = self.decide(request, question, reads, decide);
        let ended = deciding.instrument(logged(request, None, O::NAME)).await;
        self.metrics.ended(None, O::NAME, &ended, [begun, self.clock.now()]);
        end_command(span, &ended);
        ended
    }

    async fn decide<R: Refusal>(
        &self,
        request: &Request,
        question: Question<'_>,
        mut reads: Reads,
        decide: impl Fn(&mut Streams, &Context) -> Result<(), R>,
    ) -> Result<Executed, NotExecuted<R>> {
        let Question { content, expected, decider, entities } = question;
        let id = request.command_id.unwrap_or_else(CommitId::draw);
        // The work of a command that is run as it was stored is settled by whoever runs it.
        let is_direct = !self.is_run_as_stored(request);
        let (mut may_be_submitted, mut is_submitted) = (is_direct, false);
        let now = self.clock.now();
        // States from the cache may be old; the first try decides over them as they are.
        let mut fresh = self.seed(request, &mut reads);
        let mut conflicts = 0;
        let mut turn: Option<Turn<'_>> = None;
        loop {
            if !fresh {
                let loading = self.begin_part(request, "load");
                let refreshed = self.refresh(request, &mut reads).await;
                loading.ended(&refreshed);
                refreshed?;
            }
            if let Some((stream, version)) = &expected {
                let loaded = reads.iter_mut().next().map_or(Version::NONE, |(_, state)| state.version());
                if loaded < *version && fresh {
                    fresh = false;
                    continue;
                }
                if loaded != *version {
                    return self.answer_unexpected(request, content, stream, *version, loaded).await;
                }
            }
            let context = Context::new(now, request.tenant.clone(), request.actor.clone(), id);
            let mut streams = reads.streams();
            let deciding = self.begin_part(request, "decide");
            let decision =
                guarded(|| format!("the decision of {decider}"), || decide(&mut streams, &context));
            deciding.ended(&decision);
            let decision = decision?;
            if decision.is_err() {
                streams = reads.streams();
            }
            let decided = streams.decided()?;
            let commit = Commit::new(id).with_content(content).with_metadata(metadata(request, id));
            let commit = self.agreeing(request, commit, may_be_submitted);
            let mut commit = match &decision {
                Ok(()) => commit.with_entities(entities.to_vec()),
                Err(refusal) => commit.with_outcome(Outcome::Refused {
                    code: refusal.code().to_owned(),
                    message: refusal.to_string(),
                    body: refusal_to_json(refusal)?,
                }),
            };
            commit.expectations = decided.expectations;
            commit.writes = decided.writes;
            commit.work = decided.work;
            if turn.is_none() && expected.is_none() && self.turns.has_line(&request.tenant, &commit.writes) {
                // To commit now is to conflict with those who wait, or to let them conflict.
                fresh = self.take_turn(request, &mut reads, &commit.writes, None, &mut turn).await?;
                continue;
            }
            if is_empty(&commit) && request.command_id.is_none() {
                // Nothing to store under an id nobody knows: confirm the versions instead.
                match self.confirm(request, &commit).await {
                    Ok(position) => {
                        return match decision {
                            Err(refusal) => Err(NotExecuted::Refused(refusal)),
                            Ok(()) => Ok(Executed {
                                command_id: id,
                                position,
                                versions: Vec::new(),
                                events: Vec::new(),
                                recorded_at: now,
                                repeated: false,
                            }),
                        };
                    }
                    Err(Error::Conflict(conflict)) => {
                        conflicts = self.count_conflict(conflicts, &conflict)?;
                        fresh = expected.is_none()
                            && self.take_turn(request, &mut reads, &[], Some(&conflict), &mut turn).await?;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let of = Drawn { tenant: &request.tenant, command_id: id, now };
            let mut work = self.registry.drawers().draw(&commit.writes, of)?;
            work.append(&mut commit.work);
            if !work.is_empty() && self.work.is_none() {
                return Err(Error::invalid(format!(
                    "{decider} sends something on, and this engine was given no ports of work to keep it"
                ))
                .into());
            }
            commit.work = work;
            let writes = commit.writes.clone();
            let metadata = commit.encode_metadata()?;
            let committing = self.begin_part(request, "commit");
            let stored = self.store.commit(&request.tenant, commit).await;
            committing.ended(&stored);
            match stored {
                Ok(committed) if committed.id != id => {
                    // It was submitted, and is not decided yet: it is decided once more, over the same states.
                    (may_be_submitted, is_submitted, fresh) = (false, true, true);
                }
                Ok(committed) if committed.repeated => return self.answer_repeat(request, committed).await,
                Ok(committed) => {
                    if is_submitted {
                        self.let_go_at_once(request, id).await;
                    }
                    for (stream, state) in decided.states {
                        let written = writes.iter().find(|write| write.stream == stream);
                        if let Some((write, last)) =
                            written.and_then(|write| Some((write, write.events.last()?)))
                        {
                            let before = Version(state.version().0 - write.events.len() as u64);
                            self.take_snapshot(&request.tenant, &stream, before, &state, last.event_id);
                        }
                        self.remember(request, &stream, state);
                    }
                    return match decision {
                        Err(refusal) => Err(NotExecuted::Refused(refusal)),
                        Ok(()) => Ok(executed(request, committed, writes, &metadata)),
                    };
                }
                Err(Error::Conflict(conflict)) if expected.is_none() => {
                    conflicts = self.count_conflict(conflicts, &conflict)?;
                    fresh = self.take_turn(request, &mut reads, &writes, Some(&conflict), &mut turn).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn count_conflict(&self, conflicts: u32, conflict: &Conflict) -> Result<u32, Error> {
        self.metrics.conflicts.increment();
        if conflicts >= self.config.conflict_retries_max {
            return Err(conflict.clone().into());
        }
        Ok(conflicts + 1)
    }

    /// Waits for the turn of a command, where it does not have it, and takes the states that others of
    /// this process have left in the cache by then. True where they may be decided over as they are:
    /// the stream that conflicted is among them, or nothing did.
    async fn take_turn<'t>(
        &'t self,
        request: &Request,
        reads: &mut Reads,
        writes: &[StreamWrite],
        conflict: Option<&Conflict>,
        turn: &mut Option<Turn<'t>>,
    ) -> Result<bool, Error> {
        if !turn.as_ref().is_some_and(|turn| turn.covers(writes)) {
            *turn = None;
            let mut streams: BTreeMap<_, _> =
                reads.iter_mut().map(|(stream, _)| (stream.clone(), Access::Read)).collect();
            streams.extend(writes.iter().map(|write| (write.stream.clone(), Access::Write)));
            *turn = Some(self.turns.take(&request.tenant, streams).await?);
        }
        let mut is_fresh = conflict.is_none();
        for (stream, state) in reads.iter_mut() {
            // Nothing newer in the cache: the log may have moved on elsewhere, or have gone back.
            let Some(cached) =
                self.recall(request, stream).filter(|cached| cached.version() > state.version())
            else {
                continue;
            };
            is_fresh |= conflict.is_some_and(|on| on.stream == *stream && on.actual <= cached.version());
            *state = cached;
        }
        Ok(is_fresh)
    }

    /// Takes states from the cache; true where every stream had one.
    fn seed(&self, request: &Request, reads: &mut Reads) -> bool {
        let mut all = true;
        for (stream, state) in reads.iter_mut() {
            match self.recall(request, stream) {
                Some(cached) => *state = cached,
                None => all = false,
            }
        }
        all
    }

    /// Brings every state up to date by the tail of its stream.
    async fn refresh(&self, request: &Request, reads: &mut Reads) -> Result<(), Error> {
        for (stream, state) in reads.iter_mut() {
            if state.version() == Version::NONE
                && let Some(restored) = self.restore(&request.tenant, stream).await?
            {
                *state = restored;
            }
            let before = state.version();
            loop {
                let page =
                    self.store.read_stream(&request.tenant, stream, state.version(), PAGE_EVENTS_MAX).await?;
                if page.version < state.version() {
                    // The log is older than the cached state: a copy was restored under this process.
                    *state = state.restarted();
                    self.states.remove(&request.tenant, stream);
                    continue;
                }
                fold_tail(stream, state, &page.events)?;
                let Some(last) = page.events.last() else { break };
                if state.version() >= page.version {
                    self.take_snapshot(&request.tenant, stream, before, state, last.event_id);
                    break;
                }
            }
            self.remember(request, stream, state.clone());
        }
        Ok(())
    }

    /// Whether the streams are still at the versions that were decided over, all at one moment.
    async fn confirm(&self, request: &Request, commit: &Commit) -> Result<Position, Error> {
        let streams: Vec<StreamName> = commit.streams().map(|(stream, _)| stream.clone()).collect();
        let position = self.store.head().await?;
        let actual = self.store.versions(&request.tenant, &streams).await?;
        for ((stream, expected), actual) in commit.streams().zip(actual) {
            if !expected.allows(actual) {
                return Err(Conflict { stream: stream.clone(), expected, actual }.into());
            }
        }
        Ok(position)
    }

    /// The stream is not where the caller saw it: the first answer where this is a repeat, or a conflict.
    async fn answer_unexpected<R: Refusal>(
        &self,
        request: &Request,
        content: Fingerprint,
        stream: &StreamName,
        expected: Version,
        actual: Version,
    ) -> Result<Executed, NotExecuted<R>> {
        if let Some(id) = request.command_id {
            if let Some(found) = self.store.find_commit(&request.tenant, id).await? {
                if found.fingerprint != content {
                    return Err(Error::IdReused(id).into());
                }
                return self.answer_repeat(request, found.committed).await;
            }
            self.check_submission(&request.tenant, id, content).await?;
        }
        let expected = ExpectedVersion::Exact(expected);
        Err(Error::from(Conflict { stream: stream.clone(), expected, actual }).into())
    }

    async fn answer_repeat<R: Refusal>(
        &self,
        request: &Request,
        committed: Committed,
    ) -> Result<Executed, NotExecuted<R>> {
        if request.command_id.is_some() && !self.is_run_as_stored(request) {
            self.let_go_at_once(request, committed.id).await;
        }
        if let Outcome::Refused { code, message, body } = committed.outcome {
            return Err(NotExecuted::RefusedBefore { code, message, body });
        }
        let read = self.store.read_commit(&request.tenant, &committed).await;
        let events = read.map_err(|error| match error {
            // A store that lost its own answer may find that this very command is stored: "unavailable" would
            // say that it is not, and whoever has no key would do it again.
            Error::Unavailable { reason, .. } => {
                Error::Uncertain { id: committed.id, reason: format!("it is stored; its events: {reason}") }
            }
            error => error,
        })?;
        Ok(Executed {
            command_id: committed.id,
            position: committed.position,
            versions: committed.versions,
            events,
            recorded_at: committed.recorded_at,
            repeated: true,
        })
    }

    fn recall(&self, request: &Request, stream: &StreamName) -> Option<AggregateState> {
        let found = self.states.get(&request.tenant, stream);
        let counted = if found.is_some() { &self.metrics.cache_hits } else { &self.metrics.cache_misses };
        counted.increment();
        found
    }

    fn remember(&self, request: &Request, stream: &StreamName, state: AggregateState) {
        match guarded(|| format!("`held_bytes` of {stream}"), || state.bytes()) {
            // A slower caller puts no older state over a newer one.
            Ok(bytes) => self.states.insert(&request.tenant, stream, state, bytes),
            Err(error) => tracing::error!(%stream, %error, "a state is not kept in memory"),
        }
    }
}

/// Whether there is nothing to store.
fn is_empty(commit: &Commit) -> bool {
    commit.writes.is_empty() && commit.work.is_empty() && commit.entities.is_empty()
}

/// Runs code of the domain. A panic is a bug there: this command fails, the service goes on.
pub(crate) fn guarded<T>(what: impl FnOnce() -> String, run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| Error::backend("running the domain", format!("{} panicked", what())))
}

/// Folds stored events into the state of their stream.
pub(crate) fn fold_tail(
    stream: &StreamName,
    state: &mut AggregateState,
    tail: &[RecordedEvent],
) -> Result<(), Error> {
    guarded(|| format!("folding {stream}"), || state.evolve(tail))?
        .map_err(|error| Error::Damaged(format!("{stream}: {error}")))
}

/// The fields of a refusal, as they are stored.
pub(crate) fn refusal_to_json<R: Refusal>(refusal: &R) -> Result<Json, Error> {
    Json::encode(refusal)
}

pub(super) fn metadata(request: &Request, id: CommitId) -> Metadata {
    Metadata {
        correlation_id: request.correlation_id,
        causation_id: request.causation_id,
        command_id: Some(id),
        actor: request.actor.name.clone(),
        traceparent: request.traceparent.clone(),
        tracestate: request.tracestate.clone(),
    }
}

fn executed(request: &Request, committed: Committed, writes: Vec<StreamWrite>, metadata: &Json) -> Executed {
    let mut tail = committed.event_count;
    let mut events = Vec::with_capacity(tail as usize);
    for (write, StreamVersion { version, .. }) in writes.into_iter().zip(&committed.versions) {
        let mut before = version.0 - write.events.len() as u64;
        for event in write.events {
            tail -= 1;
            before += 1;
            events.push(RecordedEvent {
                position: Position::from_number(committed.position.number() - u64::from(tail)),
                tenant: request.tenant.clone(),
                stream: write.stream.clone(),
                version: Version(before),
                event_id: event.event_id,
                event_type: event.event_type,
                schema_version: event.schema_version,
                payload: event.payload,
                metadata: metadata.clone(),
                recorded_at: committed.recorded_at,
                commit_tail: tail,
            });
        }
    }
    Executed {
        command_id: committed.id,
        position: committed.position,
        versions: committed.versions,
        events,
        recorded_at: committed.recorded_at,
        repeated: false,
    }
}
