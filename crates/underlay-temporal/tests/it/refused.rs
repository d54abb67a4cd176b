//! What is wrong with a server, an address or a job is said.

use std::net::TcpListener;

use underlay_core::ports::{JobEnd, Scheduler};
use underlay_core::words::Error;
use underlay_temporal::{Temporal, TemporalOptions};

use crate::house::{Serving, at_once, command, open, server, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_missing_is_named() {
    let Some(server) = server() else { return };
    let address = format!("temporal://{}/nowhere", server.host()).parse().unwrap();
    let temporal = Temporal::open(&address, TemporalOptions::default()).unwrap();
    let missing = within(temporal.check()).await.unwrap_err();
    assert!(matches!(missing, Error::Invalid(_)), "{missing:?}");
    let command = "`temporal operator namespace create --namespace nowhere`";
    assert!(missing.to_string().contains(command), "{missing}");
    server.ask(&["operator", "namespace", "create", "--namespace", "nowhere"]).unwrap();
    let checking = async { while temporal.check().await.is_err() {} };
    within(checking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("temporal://127.0.0.1:{port}/default").parse().unwrap();
    let temporal = Temporal::open(&address, TemporalOptions::default()).unwrap();
    let away = within(temporal.check()).await.unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away:?}");
    assert!(away.to_string().contains(&format!("Temporal at 127.0.0.1:{port} is not reached")), "{away}");
    assert_eq!(temporal.identity(), "temporal default underlay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_server_refuses_is_not_asked_for_again() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut long = command("k");
    long.receiver = "r".repeat(3_000_000);
    let refused = within(temporal.run(&long, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    let refused = within(temporal.later(&long, std::time::Duration::ZERO)).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_serves_without_a_server_is_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("temporal://127.0.0.1:{port}/default").parse().unwrap();
    let temporal = std::sync::Arc::new(Temporal::open(&address, TemporalOptions::default()).unwrap());
    let serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    assert!(matches!(serving.stop().await, Err(Error::Unavailable { .. })));
}
