//! The schema: numbered migrations, each applied once, remembered with its checksum.
//!
//! All that is missing is applied in one transaction under one lock, so of two programs that migrate
//! at the same time one applies and the other finds it done. Roles belong to the whole server; they are
//! made where they are missing and kept where they are there.
//!
//! The administrator need not be a superuser: `prepare_installation.sql` makes what is missing by the
//! rights there are, and says which statement is to be run by whom where one is lacking. All else is done
//! as the owner of the schema. A migration waits for a lock no longer than [`LOCK_TIMEOUT`], since
//! everybody who comes later waits behind it; then nothing has changed.

use std::fmt::Write as _;

use underlay_core::Error;
use underlay_core::adapter::{Migration, count_applied};

use crate::config::PostgresConfig;
use crate::connections::address::Address;
use crate::connections::link::Link;
use crate::error::Failure;
use crate::migrations::MIGRATIONS;

/// How long a migration waits for a lock that others hold.
const LOCK_TIMEOUT: &str = "30s";

/// Brings the schema up to date and returns the names of the migrations it applied; none where it was.
/// `login` is granted the use of the store, where one is given.
///
/// The address is an administrator's: a superuser's, or that of a login with CREATEROLE that may make
/// schemas in the database. Later another may do it who is granted the role of the owner.
///
/// # Errors
/// [`Error::Invalid`] where the schema was written by a newer program, or a migration was applied with
/// other content; [`Error::Denied`] where the login may not do what is needed, with the statement that
/// allows it; [`Error::Unavailable`] where others held a lock for too long.
pub async fn migrate(
    address: &str,
    config: &PostgresConfig,
    login: Option<&str>,
) -> Result<Vec<&'static str>, Error> {
    migrate_up_to(address, config, login, MIGRATIONS.len()).await
}

/// For tests: [`migrate`] of a program that knew so many migrations.
#[doc(hidden)]
pub async fn migrate_up_to(
    address: &str,
    config: &PostgresConfig,
    login: Option<&str>,
    known: usize,
) -> Result<Vec<&'static str>, Error> {
    let link = connect(address, config).await?;
    let run = async {
        link.client.batch_execute("BEGIN").await?;
        link.client.batch_execute(&filled(include_str!("sql/lock_migrations.sql"), config)).await?;
        let missing = missing_to_administrator(&link, config).await?;
        let later = MIGRATIONS.len().saturating_sub(known);
        let missing = missing.get(..missing.len().saturating_sub(later)).unwrap_or_default();
        link.client.batch_execute(&script(missing, config, login)).await?;
        link.client.batch_execute("COMMIT").await?;
        Ok::<_, Failure>(missing.iter().map(|migration| migration.name).collect())
    };
    // A connection that is closed rolls back, unless its answer was lost at the very end.
    Ok(run.await.map_err(|failure| match failure {
        failure if failure.is_lost() => Failure::Lost(format!(
            "the end of the migration was lost ({failure}); run it again: what was done is found done"
        )),
        failure => failure,
    })?)
}

/// The SQL that [`migrate`] would run now, for an administrator to read and run; empty where there is
/// nothing to do.
///
/// # Errors
/// As [`migrate`].
pub async fn migration_script(
    address: &str,
    config: &PostgresConfig,
    login: Option<&str>,
) -> Result<String, Error> {
    let link = connect(address, config).await?;
    // What it takes to read what is applied is undone when the connection is closed.
    link.client.batch_execute("BEGIN").await.map_err(Failure::from)?;
    let sql = script(missing_to_administrator(&link, config).await?, config, login);
    if sql.is_empty() {
        return Ok(sql);
    }
    let lock = filled(include_str!("sql/lock_migrations.sql"), config);
    Ok(format!("BEGIN;\n\n{};\n\n{sql}COMMIT;\n", lock.trim_end()))
}

/// Refuses a schema that is not the one this program knows.
pub(crate) async fn verify_complete(link: &Link, config: &PostgresConfig) -> Result<(), Failure> {
    let missing = missing(link, config).await?;
    match missing.first() {
        None => Ok(()),
        Some(_) if missing.len() == MIGRATIONS.len() => Err(Failure::refused(format!(
            "the database has no schema {:?}; make it with `migrate`",
            config.schema
        ))),
        Some(first) => Err(Failure::refused(format!(
            "the schema {:?} is older than this program: migration {} ({}) is missing; run `migrate`",
            config.schema, first.number, first.name
        ))),
    }
}

/// A text with the names of the installation in the place of their braces.
pub(crate) fn filled(sql: &str, config: &PostgresConfig) -> String {
    let mut sql = sql
        .replace("{schema}", &format!("\"{}\"", config.schema))
        .replace("{views}", &format!("\"{}\"", config.views_schema()))
        .replace("{entities}", &format!("\"{}\"", config.entities_schema()));
    for role in ["owner", "append", "writer", "reader", "worker", "app", "switch"] {
        sql = sql.replace(&format!("{{{role}}}"), &config.role(role));
    }
    sql
}

async fn connect(address: &str, config: &PostgresConfig) -> Result<Link, Failure> {
    config.validate()?;
    let place = Address::parse(address, config)?;
    Link::connect(&place, |_| {}).await.map_err(Failure::at_the_start)
}

/// As [`missing`], where it takes becoming the owner to read what is applied: who may make roles need not
/// be one of them. It leaves the transaction it is called in with what that took.
async fn missing_to_administrator(
    link: &Link,
    config: &PostgresConfig,
) -> Result<&'static [Migration], Failure> {
    let exists = filled(include_str!("sql/exists_migrations.sql"), config);
    let row = link.client.query_typed_one(&exists, &[]).await?;
    let (exists, readable): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !exists || readable {
        return missing(link, config).await;
    }
    link.client.batch_execute(&filled(include_str!("sql/prepare_installation.sql"), config)).await?;
    link.client.batch_execute(&filled("SET LOCAL ROLE {owner}", config)).await?;
    let missing = missing(link, config).await?;
    link.client.batch_execute("RESET ROLE").await?;
    Ok(missing)
}

/// The migrations that are not applied; those that are must be as this program knows them.
async fn missing(link: &Link, config: &PostgresConfig) -> Result<&'static [Migration], Failure> {
    static KNOWN: [Migration; MIGRATIONS.len()] = MIGRATIONS;
    let exists = filled(include_str!("sql/exists_migrations.sql"), config);
    let row = link.client.query_typed_one(&exists, &[]).await?;
    let (exists, readable): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !exists {
        return Ok(&KNOWN);
    }
    if !readable {
        let (login, app): (&str, _) = (row.try_get(2)?, config.role("app"));
        return Err(Failure::Answer(Error::Denied(format!(
            "{login} may not use the store, or does not inherit that it may; an administrator grants it: \
             GRANT {app} TO \"{login}\""
        ))));
    }
    let rows =
        link.client.query_typed(&filled(include_str!("sql/select_migrations.sql"), config), &[]).await?;
    let mut applied = Vec::with_capacity(rows.len());
    for row in &rows {
        applied.push((row.try_get(0)?, row.try_get::<_, &str>(1)?, row.try_get(2)?));
    }
    let schema = &config.schema;
    let counted = count_applied(&KNOWN, format_args!("schema {schema:?}"), applied);
    let count = counted.map_err(|error| match error {
        Error::Damaged(text) => Failure::damaged(format!("schema {schema:?}: {text}")),
        error => error.into(),
    })?;
    Ok(&KNOWN[count..])
}

/// What applies migrations and grants the use of the store; it runs inside a transaction.
fn script(missing: &[Migration], config: &PostgresConfig, login: Option<&str>) -> String {
    let mut sql = String::new();
    let mut add = |text: &str| {
        // Writing to a String does not fail.
        write!(sql, "{};\n\n", filled(text, config).trim_end().trim_end_matches(';')).ok();
    };
    if !missing.is_empty() {
        add(include_str!("sql/prepare_installation.sql"));
        add(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"));
        add("SET LOCAL ROLE {owner}");
        for migration in missing {
            migration.parts.iter().for_each(|part| add(part));
            let insert = include_str!("sql/insert_migration.sql")
                .replace("{number}", &migration.number.to_string())
                .replace("{name}", migration.name)
                .replace("{checksum}", &hexadecimal(&migration.checksum()));
            add(&insert);
        }
        add("RESET ROLE");
    }
    if let Some(login) = login {
        add(&format!("SELECT set_config('underlay.login', '{}', true)", login.replace('\'', "''")));
        add(include_str!("sql/grant_use.sql"));
    }
    sql
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
