//! Events that signal workflows: each counts once, whatever comes between.

use std::sync::Arc;

use temporalio_client::Client;
use temporalio_sdk::WorkerOptions;
use underlay_core::domain::HandlerError;
use underlay_core::ports::Sink;
use underlay_core::words::{
    EventId, EventType, Json, Position, RecordedEvent, SchemaVersion, StreamName, TenantId, Timestamp,
    Version,
};
use underlay_temporal::{Temporal, WorkflowSignal, WorkflowSink};
use uuid::Uuid;

use crate::house::{open, server, taken as taken_from};
use crate::tally::{self, Tally, taken};
use crate::workers::{GRACE, Working};

const QUEUE: &str = "tallies";

/// A server with a worker of tallies.
struct House {
    server: servers::Temporal,
    temporal: Arc<Temporal>,
    client: Client,
    working: Working,
}

impl House {
    async fn open(server: Option<servers::Temporal>) -> Option<Self> {
        let server = server?;
        let temporal = open(&server);
        let client = temporal.client().await.unwrap();
        let options = WorkerOptions::new(QUEUE).register_workflow::<Tally>().unwrap();
        let options = options.graceful_shutdown_period(GRACE).build();
        let working = Working::start(client.clone(), options).await;
        Some(Self { server, temporal, client, working })
    }

    /// A sink as a process has it that has just begun. Where it restarts, a tally that has ended is started again.
    fn sink(&self, restarts: bool) -> impl Sink + use<> {
        WorkflowSink::new(&self.temporal, "tallies", move |event: &RecordedEvent| {
            let number = event.position.number();
            let signal = WorkflowSignal::new("tally", event.stream.id(), QUEUE, "take", &number);
            let signal = signal.and_then(|signal| signal.with_start_input(&[0u64; 0]));
            let signal = signal.map_err(HandlerError::last)?;
            Ok(Some(if restarts { signal.restarting() } else { signal }))
        })
        .unwrap()
    }
}

/// The event at a position, about a tally. It has the same id whenever it is brought.
fn event(position: u64, tally: &str) -> RecordedEvent {
    RecordedEvent {
        position: Position::from_number(position),
        tenant: TenantId::new("acme").unwrap(),
        stream: StreamName::new("tally", tally).unwrap(),
        version: Version(position),
        event_id: EventId(Uuid::from_u128(position.into())),
        event_type: EventType::new("noted").unwrap(),
        schema_version: SchemaVersion(1),
        payload: Json::encode("x").unwrap().into(),
        metadata: Json::encode(&()).unwrap(),
        recorded_at: Timestamp::UNIX_EPOCH,
        commit_tail: 0,
    }
}

fn events(positions: impl IntoIterator<Item = u64>, tally: &str) -> Vec<RecordedEvent> {
    positions.into_iter().map(|position| event(position, tally)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_sent_again_counts_once() {
    let Some(house) = House::open(server()).await else { return };
    let sink = house.sink(false);
    let batch = events(1..=5, "a");
    sink.take(&batch).await.unwrap();
    // The checkpoint did not move: the same process brings them again, and so does another.
    sink.take(&batch).await.unwrap();
    house.sink(false).take(&events(3..=7, "a")).await.unwrap();
    assert_eq!(taken(&house.client, "a").await, [1, 2, 3, 4, 5, 6, 7]);

    // The server remembers the ids of requests for a run: what the sink knows keeps the next run from counting again.
    tally::carry_on(&house.client, "a").await;
    house.sink(false).take(&events(1..=8, "a")).await.unwrap();
    sink.take(&events(4..=9, "a")).await.unwrap();
    assert_eq!(taken(&house.client, "a").await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // Two runs on, and no signal in the one before.
    tally::carry_on(&house.client, "a").await;
    tally::carry_on(&house.client, "a").await;
    house.sink(false).take(&events(8..=10, "a")).await.unwrap();
    assert_eq!(tally::end(&house.client, "a").await, (1..=10).collect::<Vec<_>>());
    house.working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_in_the_order_of_the_log() {
    let Some(house) = House::open(server()).await else { return };
    let sink = house.sink(false);
    let names = ["a", "b", "c", "d", "e"];
    let all: Vec<_> =
        (1..=100).zip(names.iter().cycle()).map(|(position, name)| event(position, name)).collect();
    for batch in all.chunks(30) {
        sink.take(batch).await.unwrap();
    }
    for (first, name) in (1..).zip(names) {
        let expected: Vec<u64> = (first..=100).step_by(names.len()).collect();
        assert_eq!(tally::end(&house.client, name).await, expected);
    }
    house.working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_counts_once_over_a_restart_of_the_server() {
    let Some(mut house) = House::open(taken_from(servers::Temporal::start_kept())).await else { return };
    let sink = house.sink(false);
    sink.take(&events(1..=4, "a")).await.unwrap();
    house.server.stop().unwrap();
    let error = sink.take(&events(5..=6, "a")).await.unwrap_err();
    assert!(!error.is_final, "{error}");
    house.server.resume().unwrap();
    // Another process, which begins before what was signalled, and the one that has failed.
    house.sink(false).take(&events(2..=6, "a")).await.unwrap();
    sink.take(&events(5..=6, "a")).await.unwrap();
    assert_eq!(tally::end(&house.client, "a").await, [1, 2, 3, 4, 5, 6]);
    house.working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_has_closed_is_done_or_starts_again_as_its_signal_says() {
    let Some(house) = House::open(server()).await else { return };
    let client = &house.client;
    for name in ["done", "restarts"] {
        house.sink(false).take(&events(1..=2, name)).await.unwrap();
        assert_eq!(tally::end(client, name).await, [1, 2]);
    }
    let ended = tally::run_id(client, "done").await;
    house.sink(false).take(&events(2..=3, "done")).await.unwrap();
    assert_eq!(tally::run_id(client, "done").await, ended);

    // What it has had does not start it again, and what is new does.
    let ended = tally::run_id(client, "restarts").await;
    house.sink(true).take(&events(1..=2, "restarts")).await.unwrap();
    assert_eq!(tally::run_id(client, "restarts").await, ended);
    let sink = house.sink(true);
    sink.take(&events(2..=4, "restarts")).await.unwrap();
    assert_eq!(tally::end(client, "restarts").await, [3, 4]);
    // The process that goes on finds out that it has closed meanwhile.
    sink.take(&events(5..=6, "restarts")).await.unwrap();
    assert_eq!(tally::end(client, "restarts").await, [5, 6]);
    house.working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_repetition_mends_is_final_and_says_why() {
    let Some(house) = House::open(server()).await else { return };
    let sink = WorkflowSink::new(&house.temporal, "broken", |_: &RecordedEvent| {
        WorkflowSignal::new("tally", "", QUEUE, "take", &1).map(Some).map_err(HandlerError::last)
    });
    let error = sink.unwrap().take(&events(1..=1, "a")).await.unwrap_err();
    assert!(error.is_final && error.reason.contains("WorkflowId"), "{error}");
    assert!(WorkflowSink::new(&house.temporal, "", |_: &RecordedEvent| Ok(None)).is_err());
    house.working.stop().await;
}
