//! The shop on a real Temporal server: whatever comes twice counts once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shop::{Carrier, Order, OrderCommand, Parcels};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use underlay::{Engine, EventStoreExt as _, Request, Service, Store, StreamName, TenantId, Version};
use underlay_temporal::{Temporal, TemporalOptions};

/// How long anything may take here.
const SOON: Duration = Duration::from_secs(60);

/// A shop with an order, its pump and its worker.
struct Shop {
    server: servers::Temporal,
    engine: Engine,
    store: Store,
    temporal: Arc<Temporal>,
}

impl Shop {
    async fn open() -> Option<Self> {
        let server = servers::Temporal::start().map_err(|missing| missing.skip_test()).ok()?;
        let address = server.address("shop").parse().unwrap();
        let temporal = Arc::new(Temporal::open(&address, TemporalOptions::default()).unwrap());
        let store = Store::open("memory:").await.unwrap();
        let engine = shop::service(&temporal).unwrap().open(&store).unwrap();
        Some(Self { server, engine, store, temporal })
    }

    fn worker(&self, carrier: Carrier) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let parcels = Parcels { engine: self.engine.clone(), carrier };
        let temporal = self.temporal.clone();
        Worker { stop, task: tokio::spawn(async move { shop::work(&temporal, parcels, stopped).await }) }
    }

    async fn run(&self, order: &str, command: OrderCommand) {
        self.engine.execute::<Order>(&Request::new(tenant()), &order.to_owned(), command).await.unwrap();
    }

    /// The types of the events of the order.
    async fn events(&self) -> Vec<String> {
        let stream = StreamName::new("order", "1").unwrap();
        let store = self.store.ports().unwrap().store;
        let events = store.read_stream_whole(&tenant(), &stream, Version::NONE).await.unwrap();
        events.iter().map(|event| event.event_type.to_string()).collect()
    }

    /// Waits until the workflows that a query finds are so many.
    async fn until(&self, count: &str, query: &str) {
        while self.server.ask(&["workflow", "count", "--query", query]).unwrap().trim() != count {
            tokio::task::yield_now().await;
        }
    }
}

struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), String>>,
}

impl Worker {
    async fn stop(self) {
        self.stop.send_replace(true);
        within(self.task).await.unwrap().unwrap();
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it takes too long")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_paid_is_sent_once_though_the_activity_is_made_twice() {
    let Some(shop) = Shop::open().await else { return };
    let (sender, mut told) = mpsc::unbounded_channel();
    let calls = AtomicU32::new(0);
    let carrier: Carrier = Arc::new(move |order| {
        sender.send(order.to_owned()).ok();
        match calls.fetch_add(1, Ordering::SeqCst) {
            // The command is stored by then.
            0 => Err(std::io::Error::other("the carrier does not answer")),
            _ => Ok(()),
        }
    });
    let (pumps, worker) = (shop.engine.start_pumps(), shop.worker(carrier));
    shop.run("1", OrderCommand::Place { item: "tea".to_owned() }).await;
    shop.run("1", OrderCommand::Pay).await;
    for _ in 0..2 {
        assert_eq!(within(told.recv()).await.unwrap(), "1");
    }
    within(shop.until("Total: 1", "ExecutionStatus = 'Completed'")).await;
    assert_eq!(shop.events().await, ["placed", "paid", "shipped"]);
    let show = ["workflow", "show", "--workflow-id", "fulfilment/acme/1", "--output", "json"];
    let history = shop.server.ask(&show).unwrap();
    assert_eq!(history.matches("EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED").count(), 2);

    // Another pump brings everything once more: the workflow has had it.
    pumps.stop().await;
    let again = Service::new("shop").aggregate::<Order>().pump("again", shop::sink(&shop.temporal).unwrap());
    let pumps = again.open(&shop.store).unwrap().start_pumps();
    shop.run("2", OrderCommand::Place { item: "coffee".to_owned() }).await;
    within(shop.until("Total: 2", "")).await;
    pumps.stop().await;
    worker.stop().await;
    within(shop.until("Total: 1", "ExecutionStatus = 'Completed'")).await;
    assert_eq!(shop.events().await.len(), 3);
}
