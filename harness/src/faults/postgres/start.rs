//! What is refused at the start, before anything could be lost by it.

use std::fs;

use servers::{LOGIN, Shutdown};

use super::place::{DATABASE, Place};
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "a server or login that would break a guarantee is refused at the start, with \
                                   the reason";

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    for unsafe_setting in ["fsync", "full_page_writes"] {
        let mut place = Place::new(means, &[&format!("{unsafe_setting}=off")]).await?;
        let address = place.address();
        refused(&mut measured, &mut place, &address, unsafe_setting);
    }
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let admin = place.admin().await?;
    for (name, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
    ] {
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} SET {name} = '{value}'")).await?;
        refused(&mut measured, &mut place, &address, name);
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} RESET {name}")).await?;
    }
    let superuser = place.server.address_of(DATABASE);
    refused(&mut measured, &mut place, &superuser, "superuser");
    admin.batch_execute("CREATE DATABASE bare").await?;
    refused(&mut measured, &mut place, &address.replace(DATABASE, "bare"), "migrate");
    drop(admin);
    // A standby: it reads and cannot write.
    tokio::task::block_in_place(|| place.server.stop(Shutdown::Fast))?;
    fs::write(place.server.data().join("standby.signal"), "")?;
    tokio::task::block_in_place(|| place.server.resume())?;
    refused(&mut measured, &mut place, &address, "standby");
    tokio::task::block_in_place(|| place.server.stop(Shutdown::Fast))?;
    refused(&mut measured, &mut place, &address, "refused");
    Ok(measured)
}

/// Notes that the ledger does not serve, and whether it says a word of why.
fn refused(measured: &mut Measured, place: &mut Place, address: &str, word: &str) {
    match tokio::task::block_in_place(|| place.serve_at(address)) {
        Ok(_serving) => measured.hold(false, format!("{word}: it serves")),
        Err(error) => {
            let complaint = error.to_string();
            measured.hold(complaint.to_lowercase().contains(word), format!("{word}: {complaint}"));
        }
    }
}
