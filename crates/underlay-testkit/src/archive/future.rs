use std::time::Duration;

use underlay_core::limits::IMPORT_AHEAD_MAX;
use underlay_core::{Error, ExpectedVersion, LogScope, Position, Timestamp};

use super::Subject;
use crate::{ArchiveFixture, sample};

/// More than a case may take.
const SLACK: Duration = Duration::from_secs(60);

/// Sentence 8: a commit recorded later than now by more than `IMPORT_AHEAD_MAX` is `Invalid`; what is stored after an import is never earlier than it.
pub async fn an_import_of_the_future_is_refused<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    source.fill().await;
    let exported = source.read_all().await;
    let (_target_fixture, target) = Subject::another::<F>().await;
    let write = || sample::write(&sample::stream("beside-9"), ExpectedVersion::Any, 1);
    let now = target.commit("beside", write()).await.committed.recorded_at;

    let later = |by: Duration| now.checked_add(by).expect("a time");
    for stamp in
        [later(IMPORT_AHEAD_MAX + SLACK), later(Duration::from_secs(164 * 365 * 86_400)), Timestamp::MAX]
    {
        for at in [0, exported.len() - 1] {
            let mut commits = exported.clone();
            commits[at].recorded_at = stamp;
            let error = target.fail_to_import(commits, "a commit of the future").await;
            let Error::Invalid(text) = &error else { panic!("{stamp}: {error:?}") };
            for part in [exported[at].id.to_string().as_str(), "IMPORT_AHEAD_MAX"] {
                assert!(text.contains(part), "the error names {part}: {text}");
            }
        }
    }
    let after = target.commit("beside", write()).await.committed.recorded_at;
    assert!(after < later(SLACK), "the clock of the store goes on: {after} after {now}");

    // A clock may be a little ahead; time does not go back behind what was imported, and one that was
    // imported late gets the time it came at.
    let ahead = later(IMPORT_AHEAD_MAX - SLACK);
    let mut commits = exported.clone();
    let last = commits.iter().rposition(|commit| !commit.events.is_empty()).expect("one writes");
    for commit in &mut commits[last..] {
        commit.recorded_at = ahead;
    }
    target.import(commits).await;
    let next = target.commit("beside", write()).await.committed;
    assert!(next.recorded_at >= ahead, "what comes later is not earlier");
    let log = target.log(&LogScope::EveryTenant).await;
    assert!(log.is_sorted_by_key(|event| event.recorded_at), "recorded times never decrease");
    let found = target.store.position_at(ahead).await.expect("position_at answers");
    assert!(found > Position::START && found <= next.position, "and a time finds its place");

    // What is known is known, whatever its time.
    let mut known = target.read_all().await;
    known[0].recorded_at = Timestamp::MAX;
    assert_eq!(target.import(known).await.stored, 0, "nothing of it is stored again");
}
