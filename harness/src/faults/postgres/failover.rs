//! A standby takes the place of the primary, under load; and the old primary comes back.

use std::fs;
use std::time::{Duration, Instant};

use servers::{LOGIN, Shutdown, connect};
use tokio_postgres::Client as Admin;
use underlay_core::reasons::READS_ONLY;

use super::load::{Load, answers, head, note_resumption};
use super::place::{DATABASE, Place};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::serving::Client;

pub(crate) const PROMISED: &str = "what a synchronous standby has acknowledged is there after its promotion; everything \
                                   goes on there within 5 s; an old primary that only reads is neither read nor \
                                   written, and leaves no trace";

const SETTINGS: &[&str] = &["shared_buffers=64MB"];
/// How long the load runs between two events.
const CALM: Duration = Duration::from_secs(1);
/// How long the standby may take to follow.
const FOLLOW_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, SETTINGS).await?;
    let mut other = tokio::task::block_in_place(|| place.server.start_standby("standby", SETTINGS))?;
    wait_for_standby(&place).await?;
    let address = format!(
        "postgres://{LOGIN}@127.0.0.1:{},127.0.0.1:{}/{DATABASE}?sslmode=disable",
        place.server.port(),
        other.port()
    );
    let load = Load::start(&mut place, &address).await?;
    tokio::time::sleep(CALM).await;

    // The primary is gone at once; the standby takes its place.
    tokio::task::block_in_place(|| place.server.stop(Shutdown::Immediate))?;
    let admin = connect(&other.address_of(DATABASE)).await?;
    admin.query_one("SELECT pg_promote()", &[]).await?;
    let promoted = Instant::now();
    std::mem::swap(&mut place.server, &mut other);
    let mut services = load.services_go_on(&admin, promoted).await?;
    tokio::time::sleep(CALM).await;

    // The old one comes back to its place in the address, and only reads: its log is an older copy.
    fs::write(other.data().join("standby.signal"), "")?;
    tokio::task::block_in_place(|| other.resume())?;
    let old = connect(&other.address_of(DATABASE)).await?;
    let old_head = head(&old).await?;
    end_sessions(&admin).await?;
    let ended = Instant::now();
    services = services.max(load.services_go_on(&admin, ended).await?);
    tokio::time::sleep(CALM).await;

    // For a time there is nobody else.
    drop(admin);
    tokio::task::block_in_place(|| place.server.stop(Shutdown::Fast))?;
    for client in load.clients() {
        let (kind, detail) = not_ready(&client).await?;
        measured.hold(
            kind == "urn:underlay:problem:store-down" && detail == READS_ONLY,
            format!("readyz where a standby alone answers: {detail}"),
        );
    }
    tokio::task::block_in_place(|| place.server.resume())?;
    let answered = place.answers().await?;
    let admin = place.admin().await?;
    services = services.max(load.services_go_on(&admin, answered).await?);
    for client in load.clients() {
        answers(&client, "readyz").await?;
    }
    tokio::time::sleep(CALM).await;

    let (told, findings) = load.finish(&admin).await?;
    measured.hold(head(&old).await? == old_head, format!("the old primary stays at position {old_head}"));
    note_resumption(&mut measured, &told, &[promoted, ended, answered], Some(services));
    measured.compare(&findings);
    Ok(measured)
}

/// Lets commits wait for the standby, once it follows.
async fn wait_for_standby(place: &Place) -> Result<()> {
    let admin = place.admin().await?;
    admin.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'").await?;
    admin.batch_execute("SELECT pg_reload_conf()").await?;
    let follows =
        "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
    let began = Instant::now();
    while admin.query_one(follows, &[]).await?.try_get::<_, i64>(0)? == 0 {
        if began.elapsed() > FOLLOW_MAX {
            return Err("the standby does not follow".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Ends every session of the service: each looks for a server again.
async fn end_sessions(admin: &Admin) -> Result<()> {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    admin.query(end, &[&LOGIN]).await?;
    Ok(())
}

/// What a service says of itself once it is not ready: the type, and the words for a person.
async fn not_ready(client: &Client) -> Result<(String, String)> {
    let began = Instant::now();
    loop {
        let reply = client.get("readyz").await?;
        // While the other one ends, it may be said to be away.
        if reply.status != 200 && (reply.detail() == READS_ONLY || began.elapsed() > CALM * 5) {
            let kind = reply.body["type"].as_str().unwrap_or_default().to_owned();
            return Ok((kind, reply.detail().to_owned()));
        }
        if began.elapsed() > FOLLOW_MAX {
            return Err("a service without a primary stays ready".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
