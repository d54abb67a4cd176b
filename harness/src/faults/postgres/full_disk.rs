//! The disk of the server is full for a time, under load.

use std::time::{Duration, Instant};

use servers::{Postgres, Shutdown};

use super::load::{Load, note_resumption};
use super::place::Place;
use crate::Result;
use crate::faults::disk::Disk;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "what cannot be stored is declined and nothing else is lost; it goes on within \
                                   5 s after the server has room and answers";

const SETTINGS: [&str; 4] =
    ["shared_buffers=32MB", "min_wal_size=32MB", "max_wal_size=48MB", "wal_recycle=off"];
/// How long the disk is full.
const FULL: Duration = Duration::from_secs(4);

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let disk = match Disk::mount(means.directory.join("disk")) {
        Ok(disk) => disk,
        Err(error) => return Ok(Measured::skipped(format!("a small disk cannot be mounted here: {error}"))),
    };
    let server = tokio::task::block_in_place(|| Postgres::start_in(disk.path(), &SETTINGS))?;
    let measured = fill_and_clear(Place::on(means, server), &disk).await;
    drop(disk);
    measured
}

async fn fill_and_clear(mut place: Place, disk: &Disk) -> Result<Measured> {
    let mut measured = Measured::default();
    place.create().await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let filler = tokio::task::block_in_place(|| disk.fill())?;
    let full = Instant::now();
    while full.elapsed() < FULL {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(filler)?;
    // Without room for its own log the server gives up; whoever watches it starts it again.
    let alone = place.admin().await.is_ok();
    if !alone {
        tokio::task::block_in_place(|| {
            place.server.stop(Shutdown::Immediate).ok();
            place.server.resume()
        })?;
    }
    let answered = place.answers().await?;
    let services = load.services_go_on(&place.admin().await?, answered).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (told, findings) = load.finish(&place.admin().await?).await?;
    measured.see(if alone { "the server stayed" } else { "the server had given up and was started again" });
    measured.hold(findings.declined > 0, format!("{} commits were declined", findings.declined));
    note_resumption(&mut measured, &told, &[answered], Some(services));
    measured.compare(&findings);
    Ok(measured)
}
