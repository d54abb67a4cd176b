//! No more connections are to be had: others have taken all the server gives, or all the login may have.

use std::time::{Duration, Instant};

use servers::{LOGIN, connect};
use tokio_postgres::Client as Admin;

use super::load::{Load, note_resumption};
use super::place::Place;
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::serving::Client;

pub(crate) const PROMISED: &str = "commands and reads are answered 503 with Retry-After; it recovers by itself \
                                   when there are connections again";

/// How many connections the server gives.
const CONNECTIONS: usize = 60;
/// How long there are none.
const FULL: Duration = Duration::from_secs(3);

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    measured.add("max_connections", of_the_server(means).await?);
    measured.add("the login's limit", of_the_login(means).await?);
    Ok(measured)
}

/// Others take every connection while those of the service are ended.
async fn of_the_server(means: &Means) -> Result<Measured> {
    let settings = [&*format!("max_connections={CONNECTIONS}"), "superuser_reserved_connections=5"];
    let mut place = Place::new(means, &settings).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let admin = place.admin().await?;
    admin.batch_execute("CREATE ROLE neighbour LOGIN; GRANT ALL ON DATABASE books TO neighbour").await?;
    let neighbour = place.server.address_of("books").replace("postgres@", "neighbour@");
    let mut taken = Vec::new();
    // What the service gives up the neighbour takes, until there is nothing left.
    loop {
        end_sessions(&admin).await?;
        while let Ok(session) = connect(&neighbour).await {
            taken.push(session);
        }
        if sessions(&admin).await? == 0 {
            break;
        }
    }
    let mut measured = full(&load.clients()).await?;
    measured.see(format!("a neighbour has {} connections, the service none", taken.len()));
    drop(taken);
    recovered(measured, place, load, admin).await
}

/// The login may have fewer connections than it wants.
async fn of_the_login(means: &Means) -> Result<Measured> {
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let admin = place.admin().await?;
    admin.batch_execute(&format!("ALTER ROLE {LOGIN} CONNECTION LIMIT 0")).await?;
    while sessions(&admin).await? > 0 {
        end_sessions(&admin).await?;
    }
    let measured = full(&load.clients()).await?;
    admin.batch_execute(&format!("ALTER ROLE {LOGIN} CONNECTION LIMIT -1")).await?;
    recovered(measured, place, load, admin).await
}

/// What services answer while there are no connections.
async fn full(clients: &[Client]) -> Result<Measured> {
    let mut measured = Measured::default();
    let until = Instant::now() + FULL;
    let (mut commands, mut reads, mut others) = (0, 0, Vec::new());
    let mut slowest = Duration::ZERO;
    while Instant::now() < until {
        for client in clients {
            let asked = Instant::now();
            let key = uuid::Uuid::now_v7().to_string();
            let command = client.post("v1/account/nobody/open", &key, "{}".to_owned()).await?;
            let read = client.get("v1/events?limit=1").await?;
            let view = client.get("v1/views/balances?limit=1").await?;
            slowest = slowest.max(asked.elapsed() / 3);
            commands += u64::from(command.is_unavailable());
            reads += u64::from(read.is_unavailable()) + u64::from(view.is_unavailable());
            others.extend([command, read, view].into_iter().filter(|reply| !reply.is_unavailable()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    measured.hold(
        others.is_empty() && commands > 0 && reads > 0,
        format!(
            "{commands} commands and {reads} reads answered 503 with Retry-After, {} otherwise; each in {} ms \
             or less",
            others.len(),
            slowest.as_millis()
        ),
    );
    measured.broken.extend(others.first().map(|reply| format!("{reply:?}")));
    Ok(measured)
}

async fn recovered(mut measured: Measured, place: Place, load: Load, admin: Admin) -> Result<Measured> {
    let free = Instant::now();
    let services = load.services_go_on(&admin, free).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (told, findings) = load.finish(&admin).await?;
    note_resumption(&mut measured, &told, &[free], Some(services));
    measured.compare(&findings);
    drop(place);
    Ok(measured)
}

async fn sessions(admin: &Admin) -> Result<i64> {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
    Ok(admin.query_one(count, &[&LOGIN]).await?.try_get(0)?)
}

async fn end_sessions(admin: &Admin) -> Result<()> {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    admin.query(end, &[&LOGIN]).await?;
    Ok(())
}
