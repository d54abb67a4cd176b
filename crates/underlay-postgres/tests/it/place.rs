//! A database of a test's own, with a login that may use the store and nothing else.

use std::future::poll_fn;
use std::sync::Once;

use tokio::sync::watch;
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
use underlay_testkit::Skip;

/// What the names of the roles begin with. They belong to the whole server, and tests share them.
pub(crate) const ROLE_PREFIX: &str = "underlay_test";
const LOGIN: &str = "underlay_test_login";
const PASSWORD: &str = "only for tests";
/// Migrations of one server take turns, since they share its roles.
const TURN: i64 = 0x756e_646c;

/// The administrator's address of the server that tests use.
///
/// # Errors
/// Where there is none.
pub(crate) fn server() -> Result<String, Skip> {
    std::env::var("UNDERLAY_TEST_POSTGRES_URL")
        .map_err(|_| Skip::new("UNDERLAY_TEST_POSTGRES_URL is not set"))
}

/// The address of a pooler before that server.
///
/// # Errors
/// Where there is none.
pub(crate) fn pooler() -> Result<String, Skip> {
    std::env::var("UNDERLAY_TEST_PGBOUNCER_URL")
        .map_err(|_| Skip::new("UNDERLAY_TEST_PGBOUNCER_URL is not set"))
}

/// Runs a test on a database of its own with the schema in it, or says that there is no server for it.
pub(crate) fn with_place(test: impl AsyncFnOnce(Place)) {
    run(Place::create(), test);
}

/// As [`with_place`], on a server of the test's own.
pub(crate) fn with_place_on(server: &str, test: impl AsyncFnOnce(Place)) {
    let create = async {
        let place = Place::empty_on(server.parse().expect("a server has an address")).await;
        place.migrate().await;
        Ok(place)
    };
    run(create, test);
}

/// As [`with_place`], without the schema.
pub(crate) fn with_empty_place(test: impl AsyncFnOnce(Place)) {
    run(Place::empty(), test);
}

fn run(create: impl Future<Output = Result<Place, Skip>>, test: impl AsyncFnOnce(Place)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    match runtime.block_on(create) {
        Ok(place) => runtime.block_on(test(place)),
        Err(skip) => skipped(&skip.reason),
    }
}

/// Says that a test cannot run; a failure where it must.
pub(crate) fn skipped(reason: &str) {
    static SAID: Once = Once::new();
    let required = std::env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "this test must run, REQUIRE_SERVERS=1: {reason}");
    SAID.call_once(|| {
        use std::io::Write as _;
        // Written past the capture of passing tests.
        writeln!(std::io::stderr(), "SKIP postgres: {reason}").ok();
    });
}

pub(crate) struct Place {
    server: Config,
    database: String,
}

impl Place {
    /// An empty database with the schema in it.
    pub(crate) async fn create() -> Result<Self, Skip> {
        let place = Self::empty().await?;
        place.migrate().await;
        Ok(place)
    }

    /// An empty database.
    pub(crate) async fn empty() -> Result<Self, Skip> {
        Ok(Self::empty_on(server()?.parse().expect("UNDERLAY_TEST_POSTGRES_URL is an address")).await)
    }

    async fn empty_on(server: Config) -> Self {
        let database = format!("underlay_test_{}", uuid::Uuid::now_v7().simple());
        let admin = connect(&server).await;
        admin.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")).await.unwrap();
        Self { server, database }
    }

    /// Makes the schema, and the login where this is the first test on the server.
    pub(crate) async fn migrate(&self) {
        let _turn = self.prepare_login().await;
        migrate(&self.admin_address(), &self.config(), Some(LOGIN)).await.unwrap();
    }

    /// Makes the login, and keeps other tests from migrating until what it gives is dropped.
    pub(crate) async fn prepare_login(&self) -> Client {
        let turn = connect(&self.server).await;
        turn.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await.unwrap();
        let login = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') THEN \
             CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'; END IF; END $$"
        );
        turn.batch_execute(&login).await.unwrap();
        turn
    }

    /// The server, as its administrator.
    pub(crate) fn server(&self) -> &Config {
        &self.server
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The login that may use the store.
    pub(crate) fn login(&self) -> &'static str {
        LOGIN
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
        self.address_of(LOGIN, Some(PASSWORD))
    }

    /// Where the server listens.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        (host(&self.server), port(&self.server))
    }

    /// The same login through a pooler.
    pub(crate) fn login_address_through(&self, pooler: &str) -> String {
        let pooler: Config = pooler.parse().expect("UNDERLAY_TEST_PGBOUNCER_URL is an address");
        self.address_at(&pooler, LOGIN, Some(PASSWORD))
    }

    /// The address of the administrator.
    pub(crate) fn admin_address(&self) -> String {
        let user = self.server.get_user().unwrap_or("postgres").to_owned();
        let password =
            self.server.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        self.address_of(&user, password.as_deref())
    }

    pub(crate) fn address_of(&self, user: &str, password: Option<&str>) -> String {
        self.address_at(&self.server, user, password)
    }

    fn address_at(&self, server: &Config, user: &str, password: Option<&str>) -> String {
        let (host, port) = (host(server), port(server));
        let password = password.map_or_else(String::new, |password| format!(" password='{password}'"));
        format!(
            "host='{host}' port={port} user='{user}'{password} dbname='{}' sslmode=disable",
            self.database
        )
    }

    /// A connection of the administrator, beside the store.
    pub(crate) async fn admin(&self) -> Client {
        connect(&self.admin_address().parse().unwrap()).await
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
        connect(&self.server).await
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

fn host(server: &Config) -> String {
    match server.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    }
}

fn port(server: &Config) -> u16 {
    server.get_ports().first().copied().unwrap_or(5432)
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

impl Drop for Place {
    fn drop(&mut self) {
        tidy_up(&self.server, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database));
    }
}

/// Runs a statement of the administrator where a test ends.
pub(crate) fn tidy_up(server: &Config, sql: String) {
    let server = server.clone();
    // A thread of its own, since this one may be in a runtime.
    let tidying = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async move { connect(&server).await.batch_execute(&sql).await.unwrap() });
    });
    // What stays behind is no failure of the test.
    tidying.join().ok();
}

/// Connects, and moves the bytes until the client is dropped.
pub(crate) async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("the server of the tests answers");
    tokio::spawn(async move {
        // How it ends shows in the answers.
        connection.await.ok();
    });
    client
}
