//! A database with the product in it, and logins and roles of this run's own: an attack changes what
//! others on the server must not feel.

use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
use uuid::Uuid;

use super::session::{Session, identifier};
use crate::Result;
use crate::database::{LOGIN as POOLED_LOGIN, Server, address_in};

/// What every role of an installation is, and who may log in.
pub(super) const ROLES: [&str; 7] = ["owner", "append", "writer", "reader", "worker", "app", "switch"];
/// The program's login.
pub(super) const LOGIN: &str = "login";
/// A login that was granted nothing.
pub(super) const STRANGER: &str = "stranger";
/// All of them.
pub(super) const EVERYBODY: [&str; 9] =
    ["owner", "append", "writer", "reader", "worker", "app", "switch", LOGIN, STRANGER];
/// The schema of the log, and of the rows of views.
pub(super) const SCHEMA: &str = "underlay";
pub(super) const VIEWS: &str = "underlay_views";
/// A password is asked for on some servers, and says nothing on the others.
const PASSWORD: &str = "attack";

/// The roles of this run, and the databases in which they mean something.
pub(super) struct Place<'s> {
    server: &'s Server,
    prefix: String,
    databases: Vec<String>,
}

/// One database of a run.
pub(super) struct Database<'p> {
    place: &'p Place<'p>,
    pub(super) name: String,
}

impl<'s> Place<'s> {
    /// Makes the logins.
    pub(super) async fn create(server: &'s Server) -> Result<Self> {
        // The end of an id is drawn, its beginning is the time.
        let run = Uuid::now_v7().simple().to_string();
        let place = Self { server, prefix: format!("underlay_attack_{}", &run[24..]), databases: Vec::new() };
        let admin = Session::open(server.address()).await?;
        for login in [LOGIN, STRANGER] {
            let role = place.role(login);
            admin.run(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await?;
        }
        Ok(place)
    }

    /// The name of a role or login.
    pub(super) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.prefix)
    }

    pub(super) fn config(&self) -> PostgresConfig {
        PostgresConfig::default().with_role_prefix(&self.prefix).with_connections_max(2)
    }

    /// Makes an empty database with the schema in it.
    pub(super) async fn migrated(&mut self) -> Result<String> {
        let name = self.new_database("template0").await?;
        let address = address_in(self.server.address(), &name, None);
        migrate(&address, &self.config(), Some(&self.role(LOGIN))).await?;
        let admin = Session::open(self.server.address()).await?;
        if self.server.pooler().is_some() {
            // The only login a pooler of the tests knows.
            admin
                .run(&format!(
                    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{POOLED_LOGIN}') THEN \
                     CREATE ROLE {POOLED_LOGIN} LOGIN PASSWORD 'only for tests'; END IF; END $$"
                ))
                .await?;
            admin.run(&format!("GRANT {} TO {POOLED_LOGIN}", self.role("app"))).await?;
        }
        Ok(name)
    }

    /// Makes a database that is another's copy. Nobody may be connected to that.
    pub(super) async fn new_database(&mut self, template: &str) -> Result<String> {
        let name = format!("underlay_attack_{}", Uuid::now_v7().simple());
        let admin = Session::open(self.server.address()).await?;
        admin.run(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        self.databases.push(name.clone());
        Ok(name)
    }

    pub(super) fn database(&self, name: &str) -> Database<'_> {
        Database { place: self, name: name.to_owned() }
    }

    /// Ends every connection to a database, so that it can be copied.
    pub(super) async fn empty_of_sessions(&self, name: &str) -> Result<()> {
        let admin = Session::open(self.server.address()).await?;
        let end =
            format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'");
        admin.run(&end).await.map(drop)
    }

    /// Removes a database.
    pub(super) async fn drop_database(&mut self, name: &str) -> Result<()> {
        let admin = Session::open(self.server.address()).await?;
        admin.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        self.databases.retain(|database| database != name);
        Ok(())
    }

    /// Removes the databases and the roles.
    pub(super) async fn remove(mut self) -> Result<()> {
        for name in std::mem::take(&mut self.databases) {
            self.drop_database(&name).await?;
        }
        let admin = Session::open(self.server.address()).await?;
        for role in ROLES.into_iter().chain([LOGIN, STRANGER]) {
            admin.run(&format!("DROP ROLE IF EXISTS {}", self.role(role))).await?;
        }
        Ok(())
    }
}

impl Database<'_> {
    /// The name of a role or login.
    pub(super) fn role(&self, role: &str) -> String {
        self.place.role(role)
    }

    pub(super) fn config(&self) -> PostgresConfig {
        self.place.config()
    }

    /// The address of the server's administrator in it.
    pub(super) fn admin_address(&self) -> String {
        address_in(self.place.server.address(), &self.name, None)
    }

    /// The address of a login in it.
    pub(super) fn address(&self, login: &str) -> String {
        let user = format!("{}:{PASSWORD}", self.role(login));
        address_in(self.place.server.address(), &self.name, Some(&user))
    }

    /// The address through the pooler; none where there is no pooler.
    pub(super) fn pooled_address(&self) -> Option<String> {
        let user = format!("{POOLED_LOGIN}:only%20for%20tests");
        Some(address_in(self.place.server.pooler()?, &self.name, Some(&user)))
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
    pub(super) async fn store(&self) -> Result<PostgresStore> {
        Ok(PostgresStore::connect(&self.address(LOGIN), self.config()).await?)
    }

    /// The tables of both schemas that are there, with whatever else holds rows, quoted.
    pub(super) async fn relations(&self, admin: &Session) -> Result<Vec<Relation>> {
        let sql = format!(
            "SELECT n.nspname || '|' || c.relname || '|' || c.relkind::text || '|' || \
             EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant') \
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname IN ('{SCHEMA}', '{VIEWS}') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
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
