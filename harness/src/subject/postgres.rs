use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use servers::{Database, LOGIN, Missing, ROLE_PREFIX, Server, with_option};
use tokio_postgres::Client;
use underlay_postgres::{PostgresConfig, migrate};

use super::{Address, Hearing, Place, StoreKind, Subject, Way};
use crate::Result;

const WRITING: &[Way] = &[Way::USUAL, Way::Direct(Hearing::Polls), Way::Pooled(Hearing::Polls)];
const READING: &[Way] =
    &[Way::USUAL, Way::Direct(Hearing::Polls), Way::Pooled(Hearing::Polls), Way::Pooled(Hearing::Listens)];
/// How long sessions of a killed process may take to end: a server recovers meanwhile.
const LEFT_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// PostgreSQL, with every store in a database of its own.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
}

/// A database with the schema in it.
#[derive(Clone, Debug)]
pub(crate) struct PostgresPlace(Database);

impl Postgres {
    /// On the server the environment names, as for tests, or on a private one.
    pub(crate) fn find() -> std::result::Result<Self, Missing> {
        Ok(Self { server: tokio::task::block_in_place(Server::find)? })
    }

    /// On a private server.
    pub(crate) fn start() -> std::result::Result<Self, Missing> {
        Self::start_with(&[])
    }

    /// The same with settings such as `max_connections=20`.
    pub(crate) fn start_with(settings: &[&str]) -> std::result::Result<Self, Missing> {
        Ok(Self { server: tokio::task::block_in_place(|| Server::start(settings))? })
    }

    pub(crate) async fn new_place(&self) -> Result<PostgresPlace> {
        PostgresPlace::create(&self.server).await
    }
}

impl PostgresPlace {
    pub(crate) async fn create(server: &Server) -> Result<Self> {
        let database = Self::create_empty(server).await?;
        let _turn = database.prepare_login().await?;
        let config = PostgresConfig::default().with_role_prefix(ROLE_PREFIX);
        migrate(&database.admin_address(), &config, Some(LOGIN)).await?;
        Ok(Self(database))
    }

    /// A database without the schema.
    pub(crate) async fn create_empty(server: &Server) -> Result<Database> {
        server.create("underlay_harness").await
    }

    /// A connection of the administrator.
    pub(crate) async fn admin(&self) -> Result<Client> {
        self.0.admin().await
    }

    /// A database that has the schema already.
    pub(crate) fn of(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Subject for Postgres {
    fn kind(&self) -> StoreKind {
        StoreKind::Postgres
    }

    async fn place(&self, _: &str) -> Result<Arc<dyn Place>> {
        Ok(Arc::new(self.new_place().await?))
    }

    fn writing(&self) -> &'static [Way] {
        WRITING
    }

    fn reading(&self) -> &'static [Way] {
        READING
    }

    fn is_hinted(&self) -> bool {
        true
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn server_mut(&mut self) -> Option<&mut Server> {
        Some(&mut self.server)
    }
}

#[async_trait]
impl Place for PostgresPlace {
    fn address(&self, way: Way) -> Address {
        address(&self.0.login_address(), self.0.pooled_login_address().as_deref(), way)
    }

    fn database(&self) -> Option<&Database> {
        Some(&self.0)
    }

    async fn wait_until_left(&self) -> Result<()> {
        let admin = self.0.admin().await?;
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1";
        let began = Instant::now();
        while admin.query_one(count, &[&LOGIN]).await?.try_get::<_, i64>(0)? > 0 {
            if began.elapsed() > LEFT_MAX {
                return Err("sessions of a killed process do not end".into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// The address of a store by a way. Who listens through a pooler does so past it.
fn address(direct: &str, pooled: Option<&str>, way: Way) -> Address {
    let pooled = match way {
        Way::Direct(_) => None,
        Way::Pooled(_) => pooled,
    };
    let listen = match (way.hearing(), pooled) {
        (Hearing::Polls, _) => Some("off"),
        (Hearing::Listens, Some(_)) => Some(direct),
        (Hearing::Listens, None) => None,
    };
    let address = with_option(pooled.unwrap_or(direct), "underlay_role_prefix", ROLE_PREFIX);
    Address::Postgres(match listen {
        Some(listen) => with_option(&address, "underlay_listen", listen),
        None => address,
    })
}

#[cfg(test)]
mod tests {
    use underlay_postgres::Listen;

    use super::*;

    #[test]
    fn the_address_of_a_store_is_one_the_adapter_reads() {
        let direct = "postgres://login:only%20for%20tests@h:1/mine?sslmode=disable";
        let pooled = "postgres://login:only%20for%20tests@p:2/mine?sslmode=disable";
        let read = |way| {
            let address = address(direct, Some(pooled), way).to_string();
            let (address, config) = PostgresConfig::default().with_options_of(&address).unwrap();
            assert_eq!(config.role_prefix, ROLE_PREFIX);
            (address, config.listen)
        };
        assert_eq!(read(Way::Direct(Hearing::Polls)), (direct.to_owned(), Listen::Off));
        assert_eq!(read(Way::Pooled(Hearing::Polls)), (pooled.to_owned(), Listen::Off));
        let (address, listen) = read(Way::Pooled(Hearing::Listens));
        assert_eq!((address.as_str(), listen), (pooled, Listen::At(direct.to_owned())));
        assert_eq!(read(Way::USUAL).0, direct);
    }
}
