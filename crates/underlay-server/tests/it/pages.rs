//! Pages of events end where their bytes are reached, and the next one goes on from there.

use serde_json::Value;

use crate::place::Place;

/// A megabyte each, in a service whose pages hold three.
async fn place(commits: &[usize]) -> Place {
    let place = Place::with(|mut config| {
        config.page_bytes_max = 3 << 20;
        config
    });
    for events in commits {
        place.store_big_commit("acme", "note-big", *events).await;
    }
    place
}

fn positions(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["position"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_page_of_a_stream_is_bounded_by_its_bytes() {
    let place = place(&[10; 4]).await;
    let (mut after, mut read) = (Value::from(0), Vec::new());
    while !after.is_null() {
        let answer = place.get(&format!("/v1/streams/note-big?limit=1000&after={after}")).await;
        let page = answer.ok();
        assert!(answer.body.len() < 5 << 20, "{} bytes", answer.body.len());
        assert_eq!(page["version"], 40);
        read.extend(positions(&page));
        after = page["next"].clone();
    }
    assert_eq!(read, (1..=40).collect::<Vec<u64>>());
    let bytes = place.store.largest_page();
    assert!(bytes < 40 << 20, "{bytes} bytes were read at once");
}

#[tokio::test]
async fn a_page_of_the_log_is_bounded_by_its_bytes_and_ends_with_a_commit() {
    let place = place(&[1, 2, 5, 1, 1, 1, 1, 1, 20, 1]).await;
    let ends = [1, 3, 8, 9, 10, 11, 12, 13, 33, 34];
    let (mut after, mut read, mut at_head) = ("0".to_owned(), Vec::new(), false);
    while !at_head {
        let page = place.get(&format!("/v1/events?limit=1000&after={after}")).await.ok();
        after = page["next"].as_str().unwrap().to_owned();
        at_head = page["at_head"].as_bool().unwrap();
        let of_page = positions(&page);
        let last = *of_page.last().unwrap();
        assert_eq!(last.to_string(), after);
        assert!(ends.contains(&last), "{last} is within a commit");
        assert!(of_page.len() <= 22, "{of_page:?}");
        read.extend(of_page);
    }
    assert_eq!(read, (1..=34).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_page_of_small_events_is_as_long_as_was_asked() {
    let place = Place::new();
    for _ in 0..100 {
        place.deposit("cash", "1").await;
    }
    for limit in [1, 31, 32, 33, 99, 100, 101] {
        let page = place.get(&format!("/v1/streams/account-cash?limit={limit}")).await.ok();
        let log = place.get(&format!("/v1/events?limit={limit}")).await.ok();
        let expected: Vec<u64> = (1..=limit.min(100)).collect();
        assert_eq!((positions(&page), positions(&log)), (expected.clone(), expected), "{limit}");
        let next = if limit < 100 { Value::from(limit) } else { Value::Null };
        assert_eq!(page["next"], next, "{limit}");
        assert_eq!(log["at_head"], limit >= 100, "{limit}");
    }
    let past = place.get("/v1/streams/account-cash?after=100").await.ok();
    assert_eq!((past["version"].clone(), past["next"].clone()), (Value::from(100), Value::Null));
}

#[tokio::test]
async fn a_page_of_rows_is_bounded_by_its_bytes() {
    let place = Place::with(|mut config| {
        config.page_bytes_max = 1_000;
        config
    });
    let _views = place.engine.start_views();
    let mut position = String::new();
    for number in 0..40 {
        position = place.deposit(&format!("account{number:02}"), &format!("{}", number % 7 + 1)).await;
    }
    for sort in ["key", "-key", "balance", "-balance", "account"] {
        let query = format!("sort={sort}&limit=100&min_position={position}");
        let (mut keys, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = place.get(&format!("/v1/views/balances?{query}{cursor}")).await;
            let page = answer.ok();
            assert!(answer.body.len() < 3_000, "{} bytes", answer.body.len());
            let rows = page["rows"].as_array().unwrap();
            keys.extend(rows.iter().map(|row| row["key"].as_str().unwrap().to_owned()));
            pages += 1;
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(pages > 5, "{sort}: {pages} pages");
        keys.sort();
        let all: Vec<String> = (0..40).map(|number| format!("account{number:02}")).collect();
        assert_eq!(keys, all, "{sort}: each row once");
    }
}
