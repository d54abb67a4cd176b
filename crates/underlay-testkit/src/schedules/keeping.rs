use underlay_core::limits::SCHEDULE_NAME_BYTES_MAX;
use underlay_core::{Json, Timestamp};

use super::Subject;
use super::subject::{at, definition};
use crate::{SchedulesFixture, sample};

/// Names that a careless key would take for one another.
const TENANTS: [&str; 6] = ["acme", "Acme", "acme-1", "acme.1", "acme_1", "a"];

/// Sentence 1: what is put is listed as it was put, under its tenant alone, also after reopening; another put in its
/// place has the next revision.
pub async fn a_schedule_is_kept_by_its_tenant<F: SchedulesFixture>(fixture: F) {
    let mut subject = Subject::of(&fixture);
    let mut fixture = fixture;
    let longest = "é".repeat(SCHEDULE_NAME_BYTES_MAX / 2);
    let names = sample::HOSTILE_TEXTS.into_iter().chain(["a", "A", longest.as_str()]);
    let names: Vec<&str> = names.filter(|name| !name.contains(char::is_control)).collect();
    let definitions = [
        " { \"blanks\" : [ 1.50, 1e400, -0 ] , \"twice\": 1, \"twice\": 2 } ",
        "{\"nul\":\"\\u0000\",\"quotes\":\"'\\\"\"}",
        "null",
    ];
    let mut expected = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let definition = Json::parse(definitions[number % 3]).expect("JSON");
        let next = [None, Some(at(0)), Some(sample::end_of_time()), Some(Timestamp::UNIX_EPOCH)][number % 4];
        let put = subject.put(name, &definition, next).await;
        assert_eq!(put.revision, 1, "{name:?}: a name of its own");
        assert_eq!(subject.find(name).await.as_ref(), Some(&put), "{name:?}: as it was put");
        expected.push(put);
    }
    for tenant in &TENANTS[1..] {
        let other = subject.seen_by(tenant);
        assert_eq!(other.own().await, [], "{tenant}: another's is not listed");
        assert!(!other.remove("a").await, "{tenant}: another's is not removed");
        let put = other.put("a", &definition("first"), Some(at(1))).await;
        assert_eq!((put.revision, other.own().await), (1, vec![put.clone()]), "{tenant}: its own");
        other.put("a", &definition(tenant), None).await;
    }
    expected.sort_by(|one, other| one.name.cmp(&other.name));
    for round in 0..2 {
        assert_eq!(subject.own().await, expected, "others change nothing");
        for tenant in &TENANTS[1..] {
            let own = subject.seen_by(tenant).own().await;
            let revisions: Vec<u64> = own.iter().map(|schedule| schedule.revision).collect();
            assert_eq!((revisions, &own[0].definition), (vec![2], &definition(tenant)), "{tenant}: its own");
        }
        if round == 0 {
            drop(subject);
            fixture = fixture.reopen().await;
            subject = Subject::of(&fixture);
        }
    }
    // Whatever becomes of it, a revision never comes again.
    let mut last = 1;
    for round in 0..4 {
        let text = format!("{round}");
        let put = subject.put("a", &definition(&text), Some(at(round))).await;
        assert_eq!(put.revision, last + 1, "the next revision");
        assert_eq!(subject.find("a").await.as_ref(), Some(&put), "in place of what was there");
        last = put.revision;
        if round % 2 == 0 {
            assert!(subject.remove("a").await);
            assert_eq!(subject.find("a").await, None, "what was removed is gone");
            assert!(!subject.remove("a").await, "there is none any more");
            drop(subject);
            fixture = fixture.reopen().await;
            subject = Subject::of(&fixture);
        }
    }
    assert_eq!(subject.own().await.len(), expected.len(), "the others stay");
}
