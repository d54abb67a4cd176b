//! The disk of the server does not flush, under load: the server gives up and recovers, with what it wrote.

use std::time::{Duration, Instant};

use servers::Postgres;

use super::load::{Load, Resumed, note_resumption};
use super::place::Place;
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "what was written and not flushed is told as it is found after the recovery; it \
                                   goes on within 5 s after the server answers";

/// How long the load runs before a fault.
const BEFORE: Duration = Duration::from_secs(1);
/// How long it may take until a flush has failed.
const FAULT_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let server = match tokio::task::block_in_place(|| Postgres::start_on_a_bad_disk(&[])) {
        Ok(server) => server,
        Err(error) => return Ok(Measured::skipped(format!("a bad disk cannot be made here: {error}"))),
    };
    let mut measured = Measured::default();
    let mut place = Place::on(means, server);
    place.create().await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    let mut moments = Vec::new();
    let mut services = Resumed::default();
    for _ in 0..if means.quick { 2 } else { 6 } {
        tokio::time::sleep(BEFORE).await;
        let admin = place.admin().await?;
        let armed = Instant::now();
        place.server.fail_a_flush()?;
        // The server ends every session before it recovers.
        while !admin.is_closed() {
            if armed.elapsed() > FAULT_MAX {
                return Err("the server did not give up".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answered = place.answers().await?;
        services = services.max(load.services_go_on(&place.admin().await?, answered).await?);
        moments.push(answered);
    }
    tokio::time::sleep(BEFORE).await;
    let (told, findings) = load.finish(&place.admin().await?).await?;
    measured.see(format!("{} recoveries after a flush that failed", moments.len()));
    note_resumption(&mut measured, &told, &moments, Some(services));
    measured.compare(&findings);
    Ok(measured)
}
