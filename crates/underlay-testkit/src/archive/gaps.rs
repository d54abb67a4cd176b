use underlay_core::{ArchivedCommit, CommitId, Error, EventId, Version};

use super::Subject;
use crate::ArchiveFixture;

/// Sentence 5: a commit whose versions do not continue its streams is a `Conflict`; it and all after it are not stored.
pub async fn an_import_with_a_gap_is_refused<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    source.fill().await;
    let exported = source.read_all().await;
    let (_target_fixture, target) = Subject::another::<F>().await;
    let writing: Vec<usize> = (0..exported.len()).filter(|at| !exported[*at].events.is_empty()).collect();

    // Each commit left out in turn: a later one of its streams does not continue them, where there is one.
    for left_out in &writing {
        let streams = |commit: &ArchivedCommit| -> Vec<_> {
            commit.events.iter().map(|event| (event.tenant.clone(), event.stream.clone())).collect()
        };
        let lost = streams(&exported[*left_out]);
        let continued = exported[left_out + 1..]
            .iter()
            .any(|commit| streams(commit).iter().any(|stream| lost.contains(stream)));
        if !continued {
            continue;
        }
        let mut commits = exported.clone();
        let missing = commits.remove(*left_out);
        let error = target.fail_to_import(commits, "a commit is missing").await;
        match error {
            Error::Conflict(conflict) => {
                let event = missing.events.iter().find(|event| event.stream == conflict.stream);
                let first = event.expect("the conflict is on a stream that misses events").version;
                assert_eq!(conflict.actual, Version(first.0 - 1), "with the version that is there");
            }
            other => panic!("not a conflict: {other:?}"),
        }
    }

    // A gap within a commit, versions that are there already, and versions from nothing.
    let at = writing[1];
    for (version, why) in
        [(Version(7), "a gap within"), (Version(1), "a version twice"), (Version(0), "no version")]
    {
        let mut commits = exported.clone();
        let last = commits[at].events.last_mut().expect("a commit that writes");
        last.version = version;
        let error = target.fail_to_import(commits, why).await;
        assert!(matches!(error, Error::Conflict(_)), "{why}: {error:?}");
    }

    // An event that is there under another commit, before or in the same call.
    let mut commits = exported.clone();
    let known = commits[writing[0]].events[0].event_id;
    commits[writing[1]].events[0].event_id = known;
    let tenants = [&commits[writing[0]].tenant, &commits[writing[1]].tenant];
    assert_eq!(tenants[0], tenants[1], "both are one tenant's, or the ids may be the same");
    target.fail_to_import(commits, "an event id twice").await;

    // What failed to be imported stands in nobody's way.
    target.import(exported.clone()).await;
    let mut again = exported[writing[0]].clone();
    again.id = CommitId::draw();
    for event in &mut again.events {
        event.event_id = EventId::draw();
    }
    let error = target.fail_to_import(vec![again], "versions that are taken").await;
    assert!(matches!(error, Error::Conflict(_)), "versions that are taken: {error:?}");
    assert_eq!(target.read_all().await.len(), exported.len(), "all of it is there in the end");
}
