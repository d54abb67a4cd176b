//! The database is dumped and restored into a fresh cluster, by each of the ways operators take.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use servers::{LOGIN, Postgres, connect};
use tokio_postgres::Client as Admin;
use underlay_core::Leases;
use underlay_postgres::PostgresConfig;

use super::load::{Load, answers, head, view_at};
use super::place::{DATABASE, Place};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "positions, checkpoints, leases and views are there, repeats are answered as \
                                   before, and the next commit follows";

const LEASE: &str = "a piece of work";
const LEASE_TIME: Duration = Duration::from_secs(3_600);
const KEY: &str = "repeated";

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let store = place.open(PostgresConfig::default()).await?;
    let lease = store.acquire(LEASE, "before", LEASE_TIME).await?.ok_or("a free lease is not to be had")?;
    store.close().await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    let client = load.clients().remove(0);
    let opened = client.post("v1/account/kept/open", KEY, "{}".to_owned()).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let admin = place.admin().await?;
    let (_, findings) = load.finish(&admin).await?;
    measured.compare(&findings);
    // The views come to the end of the log.
    let serving = place.serve()?;
    answers(&serving.client(), &view_at(head(&admin).await?)).await?;
    drop(serving);
    let before = Contents::of(&admin).await?;

    for way in [Way::WholeCluster, Way::RolesThenDatabase, Way::MigratedThenDatabase] {
        let fresh = tokio::task::block_in_place(|| Postgres::start(&[]))?;
        way.restore(&place, &fresh).await?;
        let mut fresh = Place::on(means, fresh);
        let admin = fresh.admin().await?;
        measured.hold(Contents::of(&admin).await? == before, format!("{way:?}: everything is as it was"));
        let store = fresh.open(PostgresConfig::default()).await?;
        let renewed = store.renew(&lease, LEASE_TIME).await.is_ok();
        let taken = store.acquire(LEASE, "after", LEASE_TIME).await?.is_some();
        measured.hold(renewed && !taken, format!("{way:?}: the lease is its holder's"));
        store.close().await?;
        measured.hold(
            is_guarded(&fresh).await?,
            format!("{way:?}: nobody may change an event, tenants are apart"),
        );
        let serving = fresh.serve()?;
        let client = serving.client();
        answers(&client, &view_at(before.head)).await?;
        measured.hold(
            Contents::of(&admin).await?.view == before.view,
            format!("{way:?}: no view was folded anew"),
        );
        let again = client.post("v1/account/kept/open", KEY, "{}".to_owned()).await?;
        let same = again.status == 200 && again.body == opened.body;
        measured.hold(same, format!("{way:?}: a repeat is answered as before"));
        let next = client.post("v1/account/next/open", "next", "{}".to_owned()).await?;
        let follows = next.position() == Some(before.head + 1);
        measured.hold(
            follows,
            format!("{way:?}: the next commit follows {}: {:?}", before.head, next.position()),
        );
    }
    Ok(measured)
}

/// How a database comes into a fresh cluster.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `pg_dumpall`, read by `psql`.
    WholeCluster,
    /// The roles by `pg_dumpall --roles-only`, the database by `pg_dump` and `pg_restore`.
    RolesThenDatabase,
    /// The roles made by `migrate` in another database, the database by `pg_dump` and `pg_restore`.
    MigratedThenDatabase,
}

impl Way {
    async fn restore(self, from: &Place, to: &Postgres) -> Result<()> {
        let file = from.directory().join("dump");
        let roles = from.directory().join("roles.sql");
        match self {
            Self::WholeCluster => {
                client(&from.server, "pg_dumpall", &[], Some(&file))?;
                return psql(to, &file);
            }
            Self::RolesThenDatabase => {
                client(&from.server, "pg_dumpall", &["--roles-only"], Some(&roles))?;
                psql(to, &roles)?;
            }
            Self::MigratedThenDatabase => {
                connect(&to.address()).await?.batch_execute(&format!("CREATE ROLE {LOGIN} LOGIN")).await?;
                from.ledger().done(&to.address(), &["migrate", "--grant", LOGIN])?;
            }
        }
        dump_database(&from.server, &file)?;
        connect(&to.address()).await?.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        restore_database(to, &file)
    }
}

/// Dumps the database into a file.
pub(crate) fn dump_database(server: &Postgres, file: &Path) -> Result<()> {
    client(server, "pg_dump", &["--format=custom", DATABASE], Some(file))
}

/// Restores a dump into the database, which is there and empty.
pub(crate) fn restore_database(server: &Postgres, file: &Path) -> Result<()> {
    let file = file.display().to_string();
    client(server, "pg_restore", &["--exit-on-error", "--dbname", DATABASE, &file], None)
}

/// Runs a program of the server's version as its administrator.
pub(crate) fn client(server: &Postgres, name: &str, arguments: &[&str], file: Option<&Path>) -> Result<()> {
    let mut command = server.program(name);
    at(&mut command, server).args(arguments);
    if let Some(file) = file {
        command.arg("--file").arg(file);
    }
    tokio::task::block_in_place(|| servers::output(&mut command)).map(drop)
}

fn at<'c>(command: &'c mut Command, server: &Postgres) -> &'c mut Command {
    command.args(["--host=127.0.0.1", "--username=postgres", &format!("--port={}", server.port())])
}

/// Runs a script. It makes the administrator too, who is there; that alone may fail.
fn psql(server: &Postgres, file: &Path) -> Result<()> {
    let mut command = server.program("psql");
    at(&mut command, server).args(["--no-psqlrc", "--quiet", "--dbname=postgres", "--file"]).arg(file);
    let output = tokio::task::block_in_place(|| command.output())?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut errors = complaints.lines().filter(|line| line.contains("ERROR"));
    match errors.find(|line| !line.contains("role \"postgres\" already exists")) {
        Some(error) => Err(error.to_owned().into()),
        None => Ok(()),
    }
}

/// What is in a database, as short texts that are equal where it is equal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    head: u64,
    log: String,
    commits: String,
    view: String,
    catalogue: String,
}

impl Contents {
    async fn of(admin: &Admin) -> Result<Self> {
        let digest = async |table: &str, order: &str| -> Result<String> {
            let select = format!(
                "SELECT coalesce(md5(string_agg(t::text, E'\\n' ORDER BY {order})), '') FROM {table} AS t"
            );
            Ok(admin.query_one(&select, &[]).await?.try_get(0)?)
        };
        let rows = "SELECT format('underlay_views.%I', relname) FROM pg_class JOIN pg_namespace AS n \
                    ON n.oid = relnamespace WHERE nspname = 'underlay_views' AND relkind = 'r' \
                    ORDER BY relname DESC LIMIT 1";
        let table: String = admin.query_one(rows, &[]).await?.try_get(0)?;
        Ok(Self {
            head: head(admin).await?,
            log: digest("underlay.events", "position").await?,
            commits: digest("underlay.commits", "sequence").await?,
            view: digest(&table, "tenant, t::text").await?,
            catalogue: digest("underlay.view_checkpoints", "name, generation, move").await?
                + &digest("underlay.store", "id").await?,
        })
    }
}

/// Whether a login still may not change an event, and sees no tenant it has not named.
async fn is_guarded(place: &Place) -> Result<bool> {
    let login = connect(&place.address()).await?;
    let reader = "SET ROLE underlay_reader; SET underlay.tenant = 'nobody'";
    login.batch_execute(reader).await?;
    let seen: i64 = login.query_one("SELECT count(*) FROM underlay.events", &[]).await?.try_get(0)?;
    login.batch_execute("RESET ROLE").await?;
    let changed =
        login.batch_execute("SET ROLE underlay_worker; UPDATE underlay.events SET version = 1").await;
    Ok(seen == 0 && changed.is_err())
}
