//! A network that falls silent: nothing is refused, and nothing comes. Every wait has an end.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{
    Checkpoint, Entities, Error, EventStore, ExpectedVersion, ReadModels, Version, ViewBatch,
};
use underlay_postgres::{Listen, PostgresConfig, PostgresStore};

use crate::place::{Place, with_place};
use crate::sample::{accounts, acme, append, checkpoint_at, enter, members, row, stream};

/// Passes bytes on until it falls silent; then connections are taken, and nothing comes of them.
struct Network {
    port: u16,
    silent: watch::Sender<bool>,
}

impl Network {
    async fn before(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silent, is_silent) = watch::channel(false);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut is_silent, server) = (is_silent.clone(), server.clone());
                connections.spawn(async move {
                    if !*is_silent.borrow() {
                        let mut server = TcpStream::connect(server).await.unwrap();
                        tokio::select! {
                            // The end of a connection is of no interest here.
                            ended = copy_bidirectional(&mut client, &mut server) => return drop(ended),
                            _ = is_silent.wait_for(|silent| *silent) => {}
                        }
                    }
                    // Held open, by both ends.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { port, silent }
    }

    fn address(&self, place: &Place) -> String {
        place.login_address_by(self.port)
    }

    fn fall_silent(&self) {
        self.silent.send_replace(true);
    }
}

fn hasty(place: &Place) -> PostgresConfig {
    let short = Duration::from_millis(300);
    place
        .config()
        .with_listen(Listen::Off)
        .with_poll_interval(Duration::from_secs(3_600))
        .with_connect_timeout(short)
        .with_transaction_timeout(short)
        .with_commit_timeout(short)
        .with_doubt_timeout(short)
}

async fn open(place: &Place) -> (Network, PostgresStore) {
    let network = Network::before(place.host_and_port()).await;
    let store = PostgresStore::connect(&network.address(place), hasty(place)).await;
    (network, store.unwrap())
}

/// Waits far longer than any limit.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), call).await.expect("every wait has an end")
}

#[test]
fn a_commit_into_silence_is_uncertain_and_the_next_is_unavailable() {
    with_place(async |place| {
        let (network, store) = open(&place).await;
        store.commit(&acme(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
        network.fall_silent();
        let commit = append("a-2", ExpectedVersion::NoStream);
        let answer = in_time(store.commit(&acme(), commit.clone())).await;
        assert!(matches!(&answer, Err(Error::Uncertain { id, .. }) if *id == commit.id), "{answer:?}");
        let answer = in_time(store.commit(&acme(), append("a-3", ExpectedVersion::NoStream))).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    });
}

#[test]
fn a_read_from_silence_is_unavailable() {
    with_place(async |place| {
        let (network, store) = open(&place).await;
        store.head().await.unwrap();
        network.fall_silent();
        let answer = in_time(store.head()).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
        let page = in_time(store.read_stream(&acme(), &stream("a-1"), Version::NONE, 1)).await;
        assert!(matches!(page, Err(Error::Unavailable { .. })), "{page:?}");
    });
}

#[test]
fn a_view_stored_into_silence_is_unavailable() {
    with_place(async |place| {
        let (network, store) = open(&place).await;
        let start = Checkpoint::start(store.store_id());
        let table = ReadModels::prepare(&store, &accounts(), start).await.unwrap();
        network.fall_silent();
        let changes = vec![row("acme", "k", 1)];
        let batch = ViewBatch::new(start, checkpoint_at(start, 1), changes);
        let answer = in_time(ReadModels::apply(&store, &table, batch)).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    });
}

#[test]
fn a_unit_into_silence_is_uncertain() {
    with_place(async |place| {
        Entities::prepare(&place.open().await, &members()).await.unwrap();
        let (network, store) = open(&place).await;
        // So that there is a connection, on which the unit is sent.
        store.head().await.unwrap();
        network.fall_silent();
        let answer = in_time(Entities::apply(&store, &acme(), vec![enter("a", 1)])).await;
        assert!(matches!(answer, Err(Error::UnitUncertain { .. })), "{answer:?}");
    });
}

#[test]
fn a_silent_server_is_not_waited_for_at_the_start() {
    with_place(async |place| {
        let network = Network::before(place.host_and_port()).await;
        network.fall_silent();
        let answer = in_time(PostgresStore::connect(&network.address(&place), hasty(&place))).await;
        assert!(
            matches!(&answer, Err(Error::Unavailable { reason, .. }) if reason.contains("connect_timeout")),
            "{answer:?}"
        );
    });
}
