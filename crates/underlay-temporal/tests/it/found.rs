//! Jobs are found by what they are.

use underlay_core::ports::{Job, JobEnd, Scheduler};
use uuid::Uuid;

use crate::house::{Serving, at_once, command, open, server, until_count, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_found_by_each_of_its_attributes() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    // The first connection registers the attributes, and the server knows them a moment later.
    within(temporal.check()).await.unwrap();
    until_count(&server, "UnderlayTenant = 'nobody'", 0).await;
    let correlation = Uuid::new_v4();
    let wanted = Job { correlation_id: Some(correlation), ..command("wanted") };
    let mut other = command("other");
    other.tenant = underlay_core::words::TenantId::new("other").unwrap();
    for job in [&wanted, &other] {
        assert_eq!(within(temporal.run(job, 1)).await.unwrap(), JobEnd::Done);
    }
    for (query, count) in [
        ("UnderlayTenant = 'acme'".to_owned(), 1),
        ("UnderlayKind = 'command'".to_owned(), 2),
        ("UnderlayReceiver = 'account'".to_owned(), 2),
        ("UnderlayName = 'deposit' AND UnderlayTenant = 'other'".to_owned(), 1),
        ("UnderlayKey = 'wanted'".to_owned(), 1),
        (format!("UnderlayCorrelation = '{correlation}'"), 1),
        ("WorkflowType = 'underlay.command'".to_owned(), 2),
    ] {
        until_count(&server, &query, count).await;
    }
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_though_the_namespace_has_lost_its_attributes() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    assert_eq!(within(temporal.run(&command("before"), 1)).await.unwrap(), JobEnd::Done);
    server.ask(&["operator", "search-attribute", "remove", "--name", "UnderlayKey", "--yes"]).unwrap();
    let without = command("without");
    assert_eq!(within(temporal.run(&without, 1)).await.unwrap(), JobEnd::Done);
    let id = format!("tests/acme/{}", without.id());
    let shown = server.ask(&["workflow", "describe", "--workflow-id", &id, "--output", "json"]).unwrap();
    let (_, memo) = shown.split_once("\"memo\"").expect("it has a memo");
    assert!(memo.contains("\"UnderlayKey\""), "{shown}");
    within(temporal.check()).await.unwrap();
    assert_eq!(within(temporal.run(&command("after"), 1)).await.unwrap(), JobEnd::Done);
    until_count(&server, "UnderlayKey = 'after'", 1).await;
    serving.stop().await.unwrap();
}
