//! pgbouncer in transaction mode stands between: every transaction may get another connection.

use std::time::{Duration, Instant};

use servers::{Pgbouncer, Shutdown};
use tokio_postgres::Client as Admin;

use super::load::{Load, answers, head, note_resumption, view_at};
use super::place::{Place, address_at};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::ms;

pub(crate) const PROMISED: &str = "commits, reads and views work, with LISTEN by a direct connection or polling \
                                   alone; pooler or server restarted, it goes on within 5 s";

/// What pgbouncer has where nothing is said.
const POOL_SIZE: usize = 20;

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let direct = |place: &Place| place.address().replace(':', "%3A").replace('/', "%2F").replace('?', "%3F");
    measured.add("LISTEN direct", part(means, direct).await?);
    measured.add("polling alone", part(means, |_| "off".to_owned()).await?);
    Ok(measured)
}

async fn part(means: &Means, listen: impl Fn(&Place) -> String) -> Result<Measured> {
    const CALM: Duration = Duration::from_secs(1);
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let mut pooler = tokio::task::block_in_place(|| Pgbouncer::start_with(&place.server, POOL_SIZE))?;
    let at = format!("{}&underlay_listen={}", address_at(pooler.port()), listen(&place).replace('&', "%26"));
    let load = Load::start(&mut place, &at).await?;
    tokio::time::sleep(CALM).await;
    let admin = place.admin().await?;
    measured
        .see(format!("a commit is in the views of every process within {}", ms(seen(&load, &admin).await?)));

    tokio::task::block_in_place(|| pooler.stop())?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::block_in_place(|| pooler.resume())?;
    let pooled = Instant::now();
    let services = load.services_go_on(&admin, pooled).await?;
    tokio::time::sleep(CALM).await;

    let answered = place.restart(Shutdown::Fast, Duration::from_millis(500)).await?;
    let services = services.max(load.services_go_on(&place.admin().await?, answered).await?);
    tokio::time::sleep(CALM).await;

    let (told, findings) = load.finish(&place.admin().await?).await?;
    measured.see(format!("{}; pooler and server were restarted", pooler.version()?));
    note_resumption(&mut measured, &told, &[pooled, answered], Some(services));
    measured.compare(&findings);
    Ok(measured)
}

/// How long it takes until what is stored now is in the view of every process.
async fn seen(load: &Load, admin: &Admin) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let (position, stored) = (head(admin).await?, Instant::now());
        for client in load.clients() {
            longest = longest.max(answers(&client, &view_at(position)).await?.duration_since(stored));
        }
    }
    Ok(longest)
}
