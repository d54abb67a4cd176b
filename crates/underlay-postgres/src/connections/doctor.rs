//! What is looked at before a store is used: whether the server keeps what the store promises, whether
//! the login is the one it must be, whether the schema is the one this program knows and its walls stand.
//!
//! A login that could take the walls down is as bad as one that passes over them. So one is refused that is,
//! by whatever chain of memberships, an owner of the tables, a superuser, or a role that could make itself
//! one of these.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::{Error, StoreId};
use uuid::Uuid;

use crate::config::PostgresConfig;
use crate::connections::link::Link;
use crate::connections::session::Parameter;
use crate::error::Failure;
use crate::migrate;

/// The oldest server that has what is used.
const VERSION_MIN: i32 = 140_000;

/// Examines a database, and returns the identity of its log.
pub(crate) async fn examine(link: &Link, config: &PostgresConfig) -> Result<StoreId, Failure> {
    let worker = config.role("worker");
    let needed = ["writer", "reader", "worker"].map(|role| config.role(role));
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    let parameters: [Parameter<'_>; 2] = [(&worker, Type::TEXT), (&needed, Type::TEXT_ARRAY)];
    let row = link.client.query_typed_one(include_str!("../sql/select_server.sql"), &parameters).await?;
    check_settings(&row)?;
    migrate::verify_complete(link, config).await?;
    check_login(&row, config)?;
    check_walls(link, &row, config).await?;
    let select = migrate::filled(include_str!("../sql/select_store_id.sql"), config);
    let row = link.client.query_typed_opt(&select, &[]).await?;
    let row = row.ok_or_else(|| Failure::damaged("the table `store` is empty"))?;
    Ok(StoreId(row.try_get::<_, Uuid>(0)?))
}

fn check_settings(row: &Row) -> Result<(), Failure> {
    let version: i32 = row.try_get(0)?;
    if version < VERSION_MIN {
        return Err(Failure::refused(format!(
            "PostgreSQL {} is too old: 14 is the oldest that is supported",
            version / 10_000
        )));
    }
    if row.try_get(1)? {
        return Err(Failure::Answer(Error::unavailable(
            "this server is a standby and only reads; connect to the primary",
        )));
    }
    let settings = [
        (2, "fsync", "on", "a power cut would lose commits that were acknowledged"),
        (3, "full_page_writes", "on", "a power cut could leave torn pages"),
        (5, "default_transaction_isolation", "read committed", "an append would read what is past"),
        (6, "default_transaction_read_only", "off", "nothing could be written"),
    ];
    for (at, name, wanted, reason) in settings {
        let actual: &str = row.try_get(at)?;
        if actual != wanted {
            return Err(Failure::refused(format!("{name} is {actual:?} and must be {wanted:?}: {reason}")));
        }
    }
    if row.try_get::<_, &str>(4)? == "off" {
        return Err(Failure::refused(
            "synchronous_commit is \"off\": a crash would lose commits that were acknowledged; set it to \
             \"on\" for the role or the database",
        ));
    }
    Ok(())
}

/// Refuses tables without their policies, and a login that could take those away.
async fn check_walls(link: &Link, row: &Row, config: &PostgresConfig) -> Result<(), Failure> {
    let select = migrate::filled(include_str!("../sql/select_open_wall.sql"), config);
    if let Some(wall) = link.client.query_typed_opt(&select, &[]).await? {
        let (name, mended_by): (&str, &str) = (wall.try_get(0)?, wall.try_get(1)?);
        return Err(Failure::refused(format!(
            "{name} does not keep tenants apart as it should; an administrator mends it: {mended_by}"
        )));
    }
    // One that was allowed for development.
    if row.try_get(8)? {
        return Ok(());
    }
    let select = migrate::filled(include_str!("../sql/select_strong_role.sql"), config);
    let Some(strong) = link.client.query_typed_opt(&select, &[]).await? else { return Ok(()) };
    let login: &str = row.try_get(7)?;
    let (role, reason): (&str, &str) = (strong.try_get(0)?, strong.try_get(1)?);
    Err(Failure::refused(match strong.try_get::<_, Option<&str>>(2)? {
        Some(through) => {
            let through_another = if through == role { "" } else { &format!(" through {through}") };
            format!(
                "{login} is a member of {role}{through_another}, who {reason}, so it could take the walls between \
                 tenants down; an administrator takes that from it: REVOKE \"{through}\" FROM \"{login}\""
            )
        }
        None => format!(
            "{login} {reason}, so it could take the walls between tenants down; use a login that is granted {} \
             and nothing else",
            config.role("app")
        ),
    }))
}

fn check_login(row: &Row, config: &PostgresConfig) -> Result<(), Failure> {
    let login: &str = row.try_get(7)?;
    let app = config.role("app");
    if row.try_get(8)? {
        if config.superuser_allowed {
            tracing::warn!(login, "this login passes over row-level security: for development alone");
            return Ok(());
        }
        return Err(Failure::refused(format!(
            "{login} is a superuser or has BYPASSRLS, so the database would not keep tenants apart; use a \
             login that is granted {app}, or allow it for development (--postgres-superuser-allowed, or underlay_superuser=allow in the address)"
        )));
    }
    if !row.try_get::<_, bool>(10)? {
        return Err(Failure::Answer(Error::Denied(format!(
            "{login} may not use the store; an administrator grants it: GRANT {app} TO \"{login}\""
        ))));
    }
    if row.try_get(9)? {
        return Err(Failure::refused(format!(
            "{login} sees every tenant without asking for it; grant it {app} and not {}",
            config.role("worker")
        )));
    }
    Ok(())
}
