//! Databases with the product in them, and logins and roles of this run's own: an attack changes what
//! others on the server must not feel.

use servers::{Database, LOGIN as POOLED_LOGIN, Server};
use underlay_core::adapter::{Adapter, OptionValues};
use underlay_postgres::{PostgresAdapter, PostgresConfig, migrate};
use uuid::Uuid;

use super::session::{Session, identifier};
use crate::Result;
use crate::subject::OpenStore;

/// What every role of an installation is, and who may log in.
pub(super) const ROLES: [&str; 7] = ["owner", "append", "writer", "reader", "worker", "app", "switch"];
/// The program's login.
pub(super) const LOGIN: &str = "login";
/// A login that was granted nothing.
pub(super) const STRANGER: &str = "stranger";
/// All of them.
pub(super) const EVERYBODY: [&str; 9] =
    ["owner", "append", "writer", "reader", "worker", "app", "switch", LOGIN, STRANGER];
/// The schema of the log, of the rows of views, and of entities.
pub(super) const SCHEMA: &str = "underlay";
pub(super) const VIEWS: &str = "underlay_views";
pub(super) const ENTITIES: &str = "underlay_entities";
/// What the names of the databases begin with.
const KIND: &str = "underlay_attack";
/// A password is asked for on some servers, and says nothing on the others.
const PASSWORD: &str = "attack";

/// The roles of this run, and the places in which they mean something.
pub(super) struct Installation<'s> {
    server: &'s Server,
    prefix: String,
}

/// One database of a run. It is removed with the last handle to it.
#[derive(Clone)]
pub(super) struct Place {
    database: Database,
    prefix: String,
}

impl<'s> Installation<'s> {
    /// Makes the logins.
    pub(super) async fn create(server: &'s Server) -> Result<Self> {
        // The end of an id is drawn, its beginning is the time.
        let run = Uuid::now_v7().simple().to_string();
        let installation = Self { server, prefix: format!("underlay_attack_{}", &run[24..]) };
        let admin = Session::open(server.address()).await?;
        for login in [LOGIN, STRANGER] {
            let role = installation.role(login);
            admin.run(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await?;
        }
        Ok(installation)
    }

    /// The name of a role or login.
    pub(super) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.prefix)
    }

    /// Makes a database with the schema in it.
    pub(super) async fn migrated(&self) -> Result<Place> {
        let place = self.place_of(self.server.create(KIND).await?);
        let database = &place.database;
        migrate(&database.admin_address(), &place.config(), Some(&self.role(LOGIN))).await?;
        if self.server.pooler().is_some() {
            // The only login a pooler of the tests knows.
            drop(database.prepare_login().await?);
            let grant = format!("GRANT {} TO {POOLED_LOGIN}", self.role("app"));
            Session::open(self.server.address()).await?.run(&grant).await?;
        }
        Ok(place)
    }

    /// Makes a copy of a place. Nobody may be connected to that.
    pub(super) async fn copy(&self, place: &Place) -> Result<Place> {
        Ok(self.place_of(self.server.create_from(KIND, place.database.name()).await?))
    }

    fn place_of(&self, database: Database) -> Place {
        Place { database, prefix: self.prefix.clone() }
    }

    /// Removes the roles, where the places are gone that they own something in. Those of a private server go away with
    /// it, as the places do.
    pub(super) async fn remove(self) -> Result<()> {
        if self.server.is_private() {
            return Ok(());
        }
        let admin = Session::open(self.server.address()).await?;
        for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
            admin.run(&format!("DROP ROLE IF EXISTS {}", self.role(role))).await?;
        }
        Ok(())
    }
}

impl Place {
    /// The name of a role or login.
    pub(super) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.prefix)
    }

    /// The name of the database.
    pub(super) fn name(&self) -> &str {
        self.database.name()
    }

    pub(super) fn config(&self) -> PostgresConfig {
        PostgresConfig::default().with_role_prefix(&self.prefix).with_connections_max(2)
    }

    /// The address of the server's administrator in it.
    pub(super) fn admin_address(&self) -> String {
        self.database.admin_address()
    }

    /// The address of a login in it.
    pub(super) fn address(&self, login: &str) -> String {
        self.database.address_of(&self.role(login), Some(PASSWORD))
    }

    /// The address through the pooler; none where there is no pooler.
    pub(super) fn pooled_address(&self) -> Option<String> {
        self.database.pooled_login_address()
    }

    /// Ends every connection to it, so that it can be copied.
    pub(super) async fn empty_of_sessions(&self) -> Result<()> {
        let end = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name()
        );
        Session::open(self.database.server()).await?.run(&end).await.map(drop)
    }

    /// A connection of the administrator.
    pub(super) async fn admin(&self) -> Result<Session> {
        Session::open(&self.admin_address()).await
    }

    /// A connection of a login.
    pub(super) async fn session(&self, login: &str) -> Result<Session> {
        Session::open(&self.address(login)).await
    }

    /// The product, connected as a program is.
    pub(super) async fn store(&self) -> Result<OpenStore> {
        let adapter = PostgresAdapter::new(self.config());
        OpenStore::of(adapter.open(&self.address(LOGIN), &OptionValues::new()).await?)
    }

    /// The tables of all schemas that are there, with whatever else holds rows, quoted.
    pub(super) async fn relations(&self, admin: &Session) -> Result<Vec<Relation>> {
        let sql = format!(
            "SELECT n.nspname || '|' || c.relname || '|' || c.relkind::text || '|' || \
             EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant') \
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname IN ('{SCHEMA}', '{VIEWS}', '{ENTITIES}') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
             ORDER BY 1"
        );
        let mut relations = Vec::new();
        for line in admin.lines(&sql).await? {
            let parts: Vec<&str> = line.split('|').collect();
            let [schema, name, kind, tenant] = parts.as_slice() else {
                return Err(format!("a name holds a bar: {line}").into());
            };
            relations.push(Relation {
                schema: (*schema).to_owned(),
                name: (*name).to_owned(),
                kind: (*kind).to_owned(),
                of_tenants: *tenant == "true",
            });
        }
        Ok(relations)
    }
}

/// Something of a schema that holds rows.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    /// As the catalogue says it: `r` is a table.
    pub(super) kind: String,
    /// Whether its rows name a tenant.
    pub(super) of_tenants: bool,
}

impl Relation {
    /// Its name in SQL.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.schema, identifier(&self.name))
    }
}
