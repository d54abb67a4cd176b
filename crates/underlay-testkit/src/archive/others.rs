use underlay_core::{ArchivedCommit, Error, EventId, Json, Outcome, Version};

use super::Subject;
use crate::{ArchiveFixture, sample};

/// What makes a commit another one, and a word of the error that says so.
pub(super) type Change = (&'static str, fn(&mut ArchivedCommit));

/// Sentence 6: a commit is taken for a known one only where outcome, event ids, streams and versions are the same too; else the error names it and what differs, and nothing of the call is stored.
pub async fn an_import_takes_no_other_commit_for_a_known_one<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    source.fill().await;
    let exported = source.read_all().await;
    let (_target_fixture, target) = Subject::another::<F>().await;
    let half = exported.len() / 2;
    target.import(exported[..half].to_vec()).await;

    let writing: [Change; 7] = [
        ("refused", |commit| {
            commit.outcome = refused("no", "No.", 1);
            commit.events.clear();
        }),
        ("0 here", |commit| commit.events.clear()),
        ("events there", |commit| {
            let mut more = commit.events[commit.events.len() - 1].clone();
            more.event_id = EventId::draw();
            more.version = Version(more.version.0 + 1);
            commit.events.push(more);
        }),
        ("event", |commit| commit.events[0].event_id = EventId::draw()),
        ("event", |commit| commit.events.last_mut().expect("it writes").event_id = EventId::draw()),
        ("version", |commit| commit.events.last_mut().expect("it writes").version = Version(70)),
        ("elsewhere-1", |commit| {
            commit.events.last_mut().expect("it writes").stream = sample::stream("elsewhere-1");
        }),
    ];
    let accepted: [Change; 1] = [("refused", |commit| commit.outcome = refused("no", "No.", 1))];
    let refusals: [Change; 3] = [
        ("accepted", |commit| commit.outcome = Outcome::Accepted),
        ("other_code", |commit| commit.outcome = refused("other_code", "No.", 1)),
        ("fields", |commit| commit.outcome = refused("too_low", "Too low elsewhere.", 1)),
    ];
    for (at, known) in exported[..half].iter().enumerate() {
        let changes: &[Change] = match &known.outcome {
            Outcome::Refused { .. } => &refusals,
            Outcome::Accepted if known.events.is_empty() => &accepted,
            Outcome::Accepted => &writing,
        };
        for (word, change) in changes {
            let mut other = known.clone();
            change(&mut other);
            renumber(&mut other);
            // Among others that could be stored, and that are known.
            let mut commits = exported.clone();
            commits[at] = other;
            let error = target.fail_to_import(commits, word).await;
            let Error::Invalid(text) = &error else { panic!("{word}: {error:?}") };
            for part in [known.id.to_string().as_str(), known.tenant.as_str(), *word] {
                assert!(text.contains(part), "{word}: the error names {part}: {text}");
            }
        }
    }

    // Twice in one call, once as another.
    let (_empty_fixture, empty) = Subject::another::<F>().await;
    let mut other = exported[0].clone();
    other.events[0].event_id = EventId::draw();
    let error = empty.fail_to_import(vec![exported[0].clone(), other], "two under one id").await;
    assert!(matches!(error, Error::Invalid(_)), "two under one id: {error:?}");

    // What was forgotten on one side is no difference, and stays as it is.
    let mut forgotten = exported.clone();
    for commit in &mut forgotten {
        if let Outcome::Refused { message, body, .. } = &mut commit.outcome {
            message.clear();
            *body = Json::from_stored("null");
        }
    }
    let imported = target.import(forgotten.clone()).await;
    assert_eq!(imported.known, half as u64, "a refusal whose body was forgotten is the same");
    let imported = target.import(exported.clone()).await;
    assert_eq!(imported.stored, 0, "here or there");
    for (there, exported) in target.read_all().await.iter().zip(&exported) {
        assert!(there.outcome == exported.outcome || there.outcome.is_forgotten(), "nothing was changed");
    }
}

fn refused(code: &str, message: &str, body: u32) -> Outcome {
    let body = Json::encode(&body).expect("a number has a JSON form");
    Outcome::Refused { code: code.to_owned(), message: message.to_owned(), body }
}

/// Each event says how many follow it.
pub(super) fn renumber(commit: &mut ArchivedCommit) {
    for (event, follow) in commit.events.iter_mut().rev().zip(0..) {
        event.commit_tail = follow;
    }
}
