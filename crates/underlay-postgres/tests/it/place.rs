//! The place of a test: a database of its own, with a login that may use the store and nothing else.

use std::future::poll_fn;

use servers::{Database, Missing, Server, Turn};
use tokio::sync::watch;
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
use underlay_testkit::Skip;

/// What the names of the roles begin with. They belong to the whole server, and tests share them.
pub(crate) use servers::ROLE_PREFIX;

/// Runs a test on a database of its own with the schema in it, or says that there is no server for it.
pub(crate) fn with_place(test: impl AsyncFnOnce(Place)) {
    run(Place::create(), test);
}

/// As [`with_place`], on a server of the test's own.
pub(crate) fn with_place_on(server: &str, test: impl AsyncFnOnce(Place)) {
    let create = async {
        let place = Place::empty_on(&Server::at(server)).await;
        place.migrate().await;
        Ok(place)
    };
    run(create, test);
}

/// As [`with_place`], without the schema.
pub(crate) fn with_empty_place(test: impl AsyncFnOnce(Place)) {
    run(Place::empty(), test);
}

fn run(create: impl Future<Output = Result<Place, Missing>>, test: impl AsyncFnOnce(Place)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    match runtime.block_on(create) {
        Ok(place) => runtime.block_on(test(place)),
        Err(missing) => missing.skip_test(),
    }
}

/// Says that a test cannot run; a failure where it must.
pub(crate) fn skipped(reason: &str) {
    Missing::new("postgres", reason).skip_test();
}

pub(crate) struct Place(Database);

impl Place {
    /// An empty database with the schema in it.
    pub(crate) async fn create() -> Result<Self, Missing> {
        let place = Self::empty().await?;
        place.migrate().await;
        Ok(place)
    }

    /// The same for a case of the test kit.
    pub(crate) async fn for_case() -> Result<Self, Skip> {
        Self::create().await.map_err(|missing| Skip::new(missing.reason))
    }

    /// An empty database.
    pub(crate) async fn empty() -> Result<Self, Missing> {
        Ok(Self::empty_on(&Server::named()?).await)
    }

    async fn empty_on(server: &Server) -> Self {
        Self(server.create("underlay_test").await.expect("the server of the tests answers"))
    }

    /// Makes the schema, and the login where this is the first test on the server.
    pub(crate) async fn migrate(&self) {
        let _turn = self.prepare_login().await;
        migrate(&self.admin_address(), &self.config(), Some(self.login())).await.unwrap();
    }

    /// Makes the login, and keeps other tests from migrating until what it gives is dropped.
    pub(crate) async fn prepare_login(&self) -> Turn {
        self.0.prepare_login().await.unwrap()
    }

    /// The address of the server, as its administrator.
    pub(crate) fn server(&self) -> &str {
        self.0.server()
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.0.name()
    }

    /// The login that may use the store.
    pub(crate) fn login(&self) -> &'static str {
        servers::LOGIN
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::default().with_role_prefix(ROLE_PREFIX)
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        self.open_with(self.config()).await
    }

    pub(crate) async fn open_with(&self, config: PostgresConfig) -> PostgresStore {
        PostgresStore::connect(&self.login_address(), config).await.unwrap()
    }

    /// The address of the login that may use the store.
    pub(crate) fn login_address(&self) -> String {
        in_words(&self.0.login_address())
    }

    /// Where the server listens.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        self.0.host_and_port().unwrap()
    }

    /// The same login by a port of this machine that leads to the server.
    pub(crate) fn login_address_by(&self, port: u16) -> String {
        in_words(&self.0.login_address_at(&format!("postgres://127.0.0.1:{port}")))
    }

    /// The same login through the pooler.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn login_address_through_pooler(&self) -> Result<String, Missing> {
        let missing = || Missing::new("pgbouncer", format!("{} is not set", servers::PGBOUNCER_VARIABLE));
        self.0.pooled_login_address().map(|address| in_words(&address)).ok_or_else(missing)
    }

    /// The address of the administrator.
    pub(crate) fn admin_address(&self) -> String {
        in_words(&self.0.admin_address())
    }

    pub(crate) fn address_of(&self, user: &str, password: Option<&str>) -> String {
        in_words(&self.0.address_of(user, password))
    }

    /// A connection of the administrator, beside the store.
    pub(crate) async fn admin(&self) -> Client {
        connect(&self.admin_address()).await
    }

    /// Waits until the server lets somebody in.
    pub(crate) async fn answers(&self) {
        let server: Config = self.admin_address().parse().unwrap();
        while server.connect(NoTls).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// A connection of the administrator to another database of the server.
    pub(crate) async fn beside(&self) -> Client {
        connect(self.0.server()).await
    }

    /// Listens to a channel, beside the store.
    pub(crate) async fn admin_listening(&self, channel: &str) -> Hints {
        let config: Config = self.admin_address().parse().unwrap();
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let (hints, received) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    hints.send_modify(|count| *count += 1);
                }
            }
        });
        client.batch_execute(&format!("LISTEN {channel}")).await.unwrap();
        Hints { received, _client: client }
    }
}

/// The other form that addresses have, in which nothing needs to be escaped: `host='…' port=… user='…'`.
fn in_words(address: &str) -> String {
    let config: Config = address.parse().expect("the tests have addresses");
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("postgres");
    let password = config.get_password().map(String::from_utf8_lossy);
    let password = password.map_or_else(String::new, |password| format!(" password='{password}'"));
    let database = config.get_dbname().unwrap_or_default();
    format!("host='{host}' port={port} user='{user}'{password} dbname='{database}' sslmode=disable")
}

/// Hints as they are heard.
pub(crate) struct Hints {
    received: watch::Receiver<u64>,
    _client: Client,
}

impl Hints {
    /// Waits for the first.
    pub(crate) async fn first(&self) {
        self.received.clone().wait_for(|count| *count > 0).await.unwrap();
    }

    /// How many were heard.
    pub(crate) fn count(&self) -> u64 {
        *self.received.borrow()
    }
}

/// Connects, and moves the bytes until the client is dropped.
pub(crate) async fn connect(address: &str) -> Client {
    servers::connect(address).await.expect("the server of the tests answers")
}
