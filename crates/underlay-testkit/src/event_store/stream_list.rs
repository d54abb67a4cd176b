use std::collections::BTreeMap;

use underlay_core::limits::PAGE_STREAMS_MAX;
use underlay_core::{Category, Error, ExpectedVersion, StreamName, StreamVersion, Version};

use super::Subject;
use crate::sample::HOSTILE_TEXTS;
use crate::{EventStoreFixture, sample};

/// Neighbours by name: longer and shorter ones, other cases, and what bytes order otherwise than letters.
const NAMES: [&str; 15] = [
    "note-1",
    "note-10",
    "note-2",
    "note-",
    "note--",
    "note-a",
    "note-A",
    "note-\u{e4}",
    "note-z",
    "note1-1",
    "note_-1",
    "notes-1",
    "not-1",
    "a-1",
    "zebra-1",
];

/// Sentence 28: pages of the list of streams follow each other in the order of names, with every stream of the tenant
/// and the category once, and its version.
pub async fn streams_are_listed_by_name<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(list(&subject, None, None, 1).await, (Vec::new(), false), "a store without events");
    // By the same names of another tenant, whose streams have other versions.
    let others = ["globex", "Acme", "acme-1"].map(|tenant| subject.seen_by(tenant));
    let mut wanted: BTreeMap<StreamName, u64> = BTreeMap::new();
    let hostile = HOSTILE_TEXTS.iter().map(|text| format!("note-{text}"));
    let names = NAMES.iter().map(|name| (*name).to_owned()).chain(hostile);
    let names: Vec<StreamName> = names.filter_map(|name| StreamName::parse(&name).ok()).collect();
    for (number, name) in names.iter().enumerate() {
        let count = number % 4 + 1;
        subject.commit(sample::write(name, ExpectedVersion::NoStream, count)).await;
        wanted.insert(name.clone(), count as u64);
        let other = &others[number % others.len()];
        other.commit(sample::write(name, ExpectedVersion::NoStream, count + 1)).await;
        other
            .commit(sample::write(&sample::stream(&format!("theirs-{number}")), ExpectedVersion::Any, 1))
            .await;
        // It is written to again, between events of others.
        let again = &names[number / 2];
        subject.commit(sample::write(again, ExpectedVersion::Any, 1)).await;
        *wanted.get_mut(again).expect("it was written to") += 1;
    }
    let wanted: Vec<StreamVersion> = wanted
        .into_iter()
        .map(|(stream, version)| StreamVersion { stream, version: Version(version) })
        .collect();
    for category in [None, Some("note"), Some("not"), Some("note_"), Some("notes"), Some("n"), Some("theirs")]
    {
        let category = category.map(|text| Category::new(text).expect("a category"));
        let is_of = |listed: &&StreamVersion| {
            category.as_ref().is_none_or(|category| listed.stream.category() == category.as_str())
        };
        let wanted: Vec<StreamVersion> = wanted.iter().filter(is_of).cloned().collect();
        for limit in [1, 2, 3, wanted.len().max(1), wanted.len() + 1, PAGE_STREAMS_MAX] {
            let mut seen: Vec<StreamVersion> = Vec::new();
            loop {
                let after = seen.last().map(|listed| listed.stream.clone());
                let (page, more) = list(&subject, category.as_ref(), after.as_ref(), limit).await;
                assert!(page.len() <= limit, "a page of {limit} has {} streams", page.len());
                seen.extend(page);
                assert_eq!(more, seen.len() < wanted.len(), "{category:?}: whether more follow");
                if !more {
                    break;
                }
            }
            assert_eq!(seen, wanted, "{category:?} in pages of {limit}");
        }
        // After any name, whether there is such a stream or not.
        for after in names.iter().cloned().chain(["m-1", "note-15", "zz-z"].map(sample::stream)) {
            let rest: Vec<StreamVersion> =
                wanted.iter().filter(|listed| listed.stream > after).cloned().collect();
            let found = list(&subject, category.as_ref(), Some(&after), PAGE_STREAMS_MAX).await;
            assert_eq!(found, (rest, false), "{category:?} after {after}");
        }
    }
    for limit in [0, PAGE_STREAMS_MAX + 1] {
        match subject.store.streams(&subject.tenant, None, None, limit).await {
            Err(Error::Invalid(text)) => assert!(text.contains("PAGE_STREAMS_MAX"), "{text}"),
            other => panic!("a page of {limit} streams: {other:?}"),
        }
    }
}

async fn list(
    subject: &Subject,
    category: Option<&Category>,
    after: Option<&StreamName>,
    limit: usize,
) -> (Vec<StreamVersion>, bool) {
    let list = subject.store.streams(&subject.tenant, category, after, limit).await;
    let list = list.expect("streams answers");
    (list.streams, list.more)
}
