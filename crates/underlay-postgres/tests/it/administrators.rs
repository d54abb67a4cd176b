//! The schema, made and changed by administrators who are no superusers: all that a managed service gives.

use servers::tidy_up;
use underlay_core::{Checkpoint, Entities, Error, EventStore, ExpectedVersion, ReadModels};
use underlay_postgres::{PostgresConfig, PostgresStore, migrate, migrate_up_to, migration_script};

use crate::place::{Place, connect, with_empty_place};
use crate::sample::{accounts, acme, append, enter, members};

/// The roles of an installation of the test's own, and logins beside them. Dropped, they are removed;
/// what is in a database must be gone by then.
struct Roles {
    prefix: String,
    server: String,
}

impl Roles {
    fn new(place: &Place) -> Self {
        // The end of an id is drawn, its beginning is the time.
        let run = uuid::Uuid::now_v7().simple().to_string();
        Self { prefix: format!("underlay_test_{}", &run[20..]), server: place.server().to_owned() }
    }

    fn config(&self) -> PostgresConfig {
        PostgresConfig::default().with_role_prefix(&self.prefix)
    }

    fn name(&self, role: &str) -> String {
        format!("{}_{role}", self.prefix)
    }

    /// Makes a login; its address in the database.
    async fn login(&self, place: &Place, name: &str, attributes: &str) -> String {
        let name = self.name(name);
        let create = format!("CREATE ROLE {name} LOGIN {attributes} PASSWORD 'p'");
        place.admin().await.batch_execute(&create).await.unwrap();
        place.address_of(&name, Some("p"))
    }

    /// Makes a login as a managed service gives one to its customer.
    async fn administrator(&self, place: &Place, name: &str) -> String {
        let address = self.login(place, name, "CREATEROLE CREATEDB").await;
        let grant = format!("GRANT CREATE ON DATABASE {} TO {}", place.database(), self.name(name));
        place.admin().await.batch_execute(&grant).await.unwrap();
        address
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let drop = format!(
            "DO $$ DECLARE names text := (SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE \
             starts_with(rolname, '{}_')); BEGIN IF names IS NOT NULL THEN EXECUTE 'DROP ROLE ' || names; \
             END IF; END $$",
            self.prefix
        );
        tidy_up(&self.server, vec![drop]);
    }
}

/// Runs a test on an empty database with roles of its own.
fn with_roles(test: impl AsyncFnOnce(&Place, &Roles)) {
    with_empty_place(async |place| {
        let roles = Roles::new(&place);
        test(&place, &roles).await;
        // The database goes first: the roles own what is in it.
        drop(place);
        drop(roles);
    });
}

/// That the store can be used by a login: it writes, reads, makes a view, and keeps entities.
async fn assert_usable(address: &str, config: PostgresConfig) {
    let store = PostgresStore::connect(address, config).await.unwrap();
    store.commit(&acme(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
    ReadModels::prepare(&store, &accounts(), Checkpoint::start(store.store_id())).await.unwrap();
    Entities::prepare(&store, &members()).await.unwrap();
    Entities::apply(&store, &acme(), vec![enter("a", 1)]).await.unwrap();
    assert_eq!(store.head().await.unwrap().number(), 1);
    store.close().await.unwrap();
}

fn assert_denied<T: std::fmt::Debug>(answer: &Result<T, Error>, statement: &str) {
    assert!(
        matches!(answer, Err(Error::Denied(text)) if text.contains(statement)),
        "{answer:?} does not name: {statement}"
    );
}

#[test]
fn an_administrator_migrates_and_grants_the_use() {
    with_roles(async |place, roles| {
        let administrator = roles.administrator(place, "boss").await;
        let login = roles.login(place, "program", "").await;
        let applied = migrate(&administrator, &roles.config(), Some(&roles.name("program"))).await.unwrap();
        assert!(!applied.is_empty());
        assert_usable(&login, roles.config()).await;
        for grant in [None, Some(roles.name("program"))] {
            let again = migrate(&administrator, &roles.config(), grant.as_deref()).await.unwrap();
            assert_eq!(again, [""; 0], "again without effect");
        }
        // Who migrates becomes the owner when it must, and is none otherwise.
        let boss = connect(&administrator).await;
        let uses =
            "SELECT rolname::text FROM pg_roles WHERE pg_has_role(oid, 'USAGE') AND starts_with(rolname, $1)";
        let rows = boss.query(uses, &[&format!("{}_", roles.prefix)]).await.unwrap();
        let version: String = boss.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        if version.parse::<u32>().unwrap() >= 160_000 {
            assert_eq!(rows.len(), 1, "itself alone");
        }
    });
}

#[test]
fn who_inherits_nothing_and_owns_the_database_migrates() {
    with_roles(async |place, roles| {
        let administrator = roles.login(place, "boss", "CREATEROLE NOINHERIT").await;
        let own = format!("ALTER DATABASE {} OWNER TO {}", place.database(), roles.name("boss"));
        place.admin().await.batch_execute(&own).await.unwrap();
        let login = roles.login(place, "program", "").await;
        migrate_up_to(&administrator, &roles.config(), None, 4).await.unwrap();
        let later = migrate(&administrator, &roles.config(), Some(&roles.name("program"))).await.unwrap();
        assert_eq!(later.first(), Some(&"reads"));
        assert_usable(&login, roles.config()).await;
    });
}

#[test]
fn an_administrator_runs_the_printed_script() {
    with_roles(async |place, roles| {
        let administrator = roles.administrator(place, "boss").await;
        let login = roles.login(place, "program", "").await;
        let name = roles.name("program");
        let script = migration_script(&administrator, &roles.config(), Some(&name)).await.unwrap();
        let boss = connect(&administrator).await;
        boss.batch_execute(&script).await.unwrap();
        assert_usable(&login, roles.config()).await;
        let again = migration_script(&administrator, &roles.config(), None).await.unwrap();
        assert_eq!(again, "", "nothing is left to do");
    });
}

#[test]
fn another_administrator_is_told_which_grant_is_missing() {
    with_roles(async |place, roles| {
        let first = roles.administrator(place, "boss").await;
        let second = roles.login(place, "other", "").await;
        let login = roles.login(place, "program", "").await;
        roles.login(place, "later", "").await;
        let (config, program) = (roles.config(), roles.name("program"));
        migrate_up_to(&first, &config, Some(&program), 4).await.unwrap();

        let grant = format!("GRANT {} TO {}", roles.name("owner"), roles.name("other"));
        assert_denied(&migrate(&second, &config, None).await, &grant);
        assert_denied(&migration_script(&second, &config, None).await, &grant);
        // The first one runs what it was told to.
        connect(&first).await.batch_execute(&grant).await.unwrap();
        let script = migration_script(&second, &config, None).await.unwrap();
        assert!(!script.contains("CREATE TABLE \"underlay\".events"), "it reads what is applied: {script}");
        assert!(!migrate(&second, &config, Some(&program)).await.unwrap().is_empty());
        assert_usable(&login, roles.config()).await;
        let grant = format!("GRANT {} TO {}", roles.name("app"), roles.name("later"));
        assert_denied(&migrate(&second, &config, Some(&roles.name("later"))).await, &grant);
        assert_eq!(migrate(&second, &config, Some(&program)).await.unwrap(), [""; 0]);
    });
}

#[test]
fn of_two_administrators_of_a_kind_the_second_needs_the_first_where_the_server_says_so() {
    with_roles(async |place, roles| {
        let first = roles.administrator(place, "boss").await;
        let second = roles.administrator(place, "other").await;
        let config = roles.config();
        migrate_up_to(&first, &config, None, 4).await.unwrap();
        let admin = place.admin().await;
        let version: String = admin.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        // Before 16, who may make roles may grant every role, to itself too.
        if version.parse::<u32>().unwrap() >= 160_000 {
            let grant = format!("GRANT {} TO {}", roles.name("owner"), roles.name("other"));
            assert_denied(&migrate(&second, &config, None).await, &grant);
            connect(&first).await.batch_execute(&grant).await.unwrap();
        }
        assert_eq!(migrate(&second, &config, None).await.unwrap().first(), Some(&"reads"));
    });
}

#[test]
fn what_an_administrator_lacks_is_named_and_nothing_is_left_behind() {
    with_roles(async |place, roles| {
        let config = roles.config();
        let nobody = roles.login(place, "nobody", "").await;
        let denied = format!("ALTER ROLE {} CREATEROLE", roles.name("nobody"));
        assert_denied(&migrate(&nobody, &config, None).await, &denied);
        let stranger = roles.login(place, "stranger", "CREATEROLE").await;
        let denied = format!("GRANT CREATE ON DATABASE {} TO {}", place.database(), roles.name("stranger"));
        assert_denied(&migrate(&stranger, &config, None).await, &denied);
        let admin = place.admin().await;
        let left = "SELECT (SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'underlay')) \
                    + (SELECT count(*) FROM pg_roles WHERE rolname = $1)";
        let left: i64 = admin.query_one(left, &[&roles.name("owner")]).await.unwrap().get(0);
        assert_eq!(left, 0);
    });
}
