use underlay_core::{ArchivedCommit, Error, Fingerprint, Imported, LogScope};

use super::Subject;
use crate::ArchiveFixture;
use crate::concurrent::together;

/// Sentence 4: importing what is there changes nothing and says so.
pub async fn an_import_repeats_nothing<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    source.fill().await;
    let exported = source.read_all().await;
    let (half, all) = (exported.len() / 2, exported.len() as u64);

    // Into the store they came from.
    let log = source.log(&LogScope::EveryTenant).await;
    let imported = source.import(exported.clone()).await;
    assert_eq!(imported, Imported { stored: 0, known: all }, "a store knows its own commits");
    assert_eq!(source.log(&LogScope::EveryTenant).await, log, "and stores none of them again");
    assert_eq!(source.import(Vec::new()).await, Imported::default(), "nothing is nothing");

    // An import that was interrupted goes on.
    let (_target_fixture, target) = Subject::another::<F>().await;
    target.import(exported[..half].to_vec()).await;
    let imported = target.import(exported.clone()).await;
    assert_eq!(imported, Imported { stored: all - half as u64, known: half as u64 }, "the rest is stored");
    let (there, log) = (target.read_all().await, target.log(&LogScope::EveryTenant).await);
    let imported = target.import(exported.clone()).await;
    assert_eq!(imported, Imported { stored: 0, known: all }, "and then all is known");
    assert_eq!(target.read_all().await, there, "importing again changes nothing");
    assert_eq!(target.log(&LogScope::EveryTenant).await, log, "in the log neither");

    // The same commit twice in one call.
    let (_doubled_fixture, doubled) = Subject::another::<F>().await;
    let twice = |commit: &ArchivedCommit| [commit.clone(), commit.clone()];
    let imported = doubled.import(exported.iter().flat_map(twice).collect()).await;
    assert_eq!(imported, Imported { stored: all, known: all }, "the second of two is known");
    assert_eq!(doubled.read_all().await.len(), exported.len(), "each is there once");

    // Two imports at the same time.
    let (_raced_fixture, raced) = Subject::another::<F>().await;
    let import = |_| {
        let (raced, exported) = (raced.clone(), exported.clone());
        async move { raced.import(exported).await }
    };
    let results = together((0..4).map(import)).await;
    let stored: u64 = results.iter().map(|imported| imported.stored).sum();
    assert_eq!(stored, all, "of several imports at once each commit is stored by one");
    assert!(
        results.iter().all(|imported| imported.stored + imported.known == all),
        "and known to the others"
    );
    assert_eq!(raced.read_all().await.len(), exported.len(), "each is there once");

    // The same id with other content.
    for number in 0..exported.len() {
        let other = ArchivedCommit { fingerprint: Fingerprint([9; 16]), ..exported[number].clone() };
        let mut commits = exported.clone();
        commits[number] = other;
        let error = target.fail_to_import(commits, "an id that stands for something else").await;
        let id = exported[number].id;
        assert!(matches!(error, Error::IdReused(reused) if reused == id), "the id is named: {error:?}");
    }
}
