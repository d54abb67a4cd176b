use super::Subject;
use super::subject::{at, definition};
use crate::SchedulesFixture;

/// Sentence 8: a new schedule begins above the revisions of all that its tenant removed, also after reopening.
pub async fn a_new_schedule_begins_above_those_that_were_removed<F: SchedulesFixture>(fixture: F) {
    let mut subject = Subject::of(&fixture);
    let mut fixture = fixture;
    let puts = async |subject: &Subject, name: &str, times: u32| {
        for time in 0..times {
            subject.put(name, &definition(&format!("{name} {time}")), Some(at(0))).await;
        }
    };
    puts(&subject, "high", 5).await;
    puts(&subject, "low", 2).await;
    puts(&subject, "stays", 9).await;
    let globex = subject.seen_by("globex");
    puts(&globex, "theirs", 20).await;
    assert!(globex.remove("theirs").await);
    assert!(subject.remove("high").await && subject.remove("low").await);
    for (name, revision) in [("another", 6), ("low", 6), ("high", 6)] {
        let put = subject.put(name, &definition("anew"), None).await;
        assert_eq!(put.revision, revision, "{name}: above all that were removed, and those alone");
        drop(subject);
        fixture = fixture.reopen().await;
        subject = Subject::of(&fixture);
    }
    assert!(subject.remove("low").await);
    assert_eq!(
        subject.put("high", &definition("once more"), None).await.revision,
        7,
        "what is there counts on"
    );
    assert_eq!(subject.put("low", &definition("again"), None).await.revision, 7);
    assert_eq!(subject.put("stays", &definition("again"), None).await.revision, 10);
    assert_eq!(subject.seen_by("globex").put("theirs", &definition("again"), None).await.revision, 21);
}
