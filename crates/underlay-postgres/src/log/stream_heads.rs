//! The last versions of streams, where this process has left the log.
//!
//! They are those at one event: the last that this process has stored. A batch names that event together with the
//! versions, and the function that writes it compares under the lock of the log. Where that event is the last one
//! there, these are the versions; where it is not, since others have written, the function looks them up. So a version is
//! right or is not used, whatever was lost on the way, and nothing here has to be told of other writers.

use std::collections::HashMap;

use underlay_core::adapter::{Answer, Request, stored_number};
use underlay_core::{Committed, Error, ExpectedVersion, StreamName, TenantId, Version};

use crate::log::append::Verdict;
use crate::log::seen::Place;

/// Streams that are remembered.
const STREAMS_MAX: usize = 65_536;

/// What a batch says of the log it is written to.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The last event this process has seen.
    pub(crate) seen: Option<Place>,
    /// What the streams of the batch have come to at that event, in their order, where it is known.
    pub(crate) versions: Option<Vec<Option<i64>>>,
}

/// The versions that are remembered.
#[derive(Debug, Default)]
pub(crate) struct StreamHeads {
    /// The event they are the versions at.
    at: Option<Place>,
    young: Versions,
    /// What was young before: whatever is not written again is forgotten with it.
    old: Versions,
}

type Versions = HashMap<(TenantId, StreamName), Version>;

impl StreamHeads {
    /// What is known of the streams of a batch, where `seen` is the last event this process has seen.
    pub(crate) fn known(&mut self, seen: Option<Place>, batch: &[Request]) -> Known {
        if self.at != seen {
            self.forget();
        }
        if self.at.is_none() {
            return Known { seen, versions: None };
        }
        let streams = batch
            .iter()
            .flat_map(|request| request.commit.streams().map(|(stream, _)| (&request.tenant, stream)));
        let versions: Vec<Option<i64>> =
            streams.map(|(tenant, stream)| self.version(tenant, stream)).collect();
        Known { seen, versions: versions.iter().any(Option::is_some).then_some(versions) }
    }

    /// Takes in what became of a batch that was written with `seen`, and gives its last event.
    pub(crate) fn learn(
        &mut self,
        seen: Option<Place>,
        batch: &[Request],
        verdicts: &[Verdict],
    ) -> Option<Place> {
        let stored =
            || answers(batch, verdicts).filter_map(|(request, answer)| Some((request, fresh(answer)?)));
        let last = stored().filter_map(|(request, committed)| last_event(request, committed)).last()?;
        let events: u64 = stored().map(|(request, _)| request.commit.event_count() as u64).sum();
        let before = last.position - stored_number(events);
        if self.at != seen || seen.is_none_or(|seen| seen.position != before) {
            // Others have written in between.
            self.forget();
        }
        for (request, answer) in answers(batch, verdicts) {
            for (stream, version) in told_before(request, answer) {
                self.put(&request.tenant, stream, version);
            }
        }
        // After what was before it.
        for (request, committed) in stored() {
            for written in &committed.versions {
                self.put(&request.tenant, &written.stream, written.version);
            }
        }
        self.at = Some(last);
        Some(last)
    }

    /// Knows nothing more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    fn version(&self, tenant: &TenantId, stream: &StreamName) -> Option<i64> {
        let key = (tenant.clone(), stream.clone());
        let version = self.young.get(&key).or_else(|| self.old.get(&key))?;
        Some(stored_number(version.0))
    }

    fn put(&mut self, tenant: &TenantId, stream: &StreamName, version: Version) {
        if self.young.len() >= STREAMS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((tenant.clone(), stream.clone()), version);
    }
}

/// The commits of a batch that have an answer.
fn answers<'a>(
    batch: &'a [Request],
    verdicts: &'a [Verdict],
) -> impl Iterator<Item = (&'a Request, &'a Answer)> {
    batch.iter().zip(verdicts).filter_map(|(request, verdict)| match verdict {
        Verdict::Answered(answer) => Some((request, answer)),
        Verdict::Known => None,
    })
}

/// A commit that was stored by this batch.
fn fresh(answer: &Answer) -> Option<&Committed> {
    answer.as_ref().ok().filter(|committed| !committed.repeated)
}

fn last_event(request: &Request, committed: &Committed) -> Option<Place> {
    let event = request.commit.writes.last()?.events.last()?;
    Some(Place::new(committed.position, event.event_id))
}

/// The versions of streams before the batch, as far as an answer tells them.
fn told_before<'a>(
    request: &'a Request,
    answer: &'a Answer,
) -> impl Iterator<Item = (&'a StreamName, Version)> {
    let conflict = match answer {
        Err(Error::Conflict(conflict)) => Some((&conflict.stream, conflict.actual)),
        _ => None,
    };
    let expected = fresh(answer).into_iter().flat_map(|_| &request.commit.expectations);
    let expected = expected.filter_map(|expectation| match expectation.expected {
        ExpectedVersion::Exact(version) => Some((&expectation.stream, version)),
        ExpectedVersion::NoStream => Some((&expectation.stream, Version::NONE)),
        ExpectedVersion::Any | ExpectedVersion::Exists => None,
    });
    conflict.into_iter().chain(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_counts() {
        let mut heads = StreamHeads::default();
        let tenant = TenantId::new("acme").unwrap();
        let stream = |number: usize| StreamName::parse(&format!("a-{number}")).unwrap();
        for round in 1..4 {
            for number in 0..STREAMS_MAX {
                heads.put(&tenant, &stream(0), Version(round * STREAMS_MAX as u64 + number as u64));
                heads.put(&tenant, &stream(number + 1), Version(round));
                assert!(heads.young.len() + heads.old.len() <= STREAMS_MAX);
                let hot = heads.version(&tenant, &stream(0));
                assert_eq!(hot, Some((round * STREAMS_MAX as u64 + number as u64) as i64));
            }
        }
        assert_eq!(heads.version(&tenant, &stream(STREAMS_MAX)), Some(3));
        assert_eq!(heads.version(&tenant, &stream(1)), None, "it was not written again");
        heads.forget();
        assert_eq!(heads.version(&tenant, &stream(0)), None);
    }
}
