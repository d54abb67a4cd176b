//! What is refused at the start, before anything could be lost by it.

use std::fs;

use servers::Shutdown;

use super::report::Measured;
use super::site::{DATABASE, Setting, Site};
use crate::Result;
use crate::database::LOGIN;

pub(crate) const PROMISED: &str = "a server or login that would break a guarantee is refused at the start, with \
                                   the reason";

pub(crate) async fn run(setting: &Setting) -> Result<Measured> {
    let mut measured = Measured::default();
    for unsafe_setting in ["fsync", "full_page_writes"] {
        let mut site = Site::new(setting, &[&format!("{unsafe_setting}=off")]).await?;
        let address = site.address();
        refused(&mut measured, &mut site, &address, unsafe_setting);
    }
    let mut site = Site::new(setting, &[]).await?;
    let address = site.address();
    let admin = site.admin().await?;
    for (name, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
    ] {
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} SET {name} = '{value}'")).await?;
        refused(&mut measured, &mut site, &address, name);
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} RESET {name}")).await?;
    }
    let superuser = site.server.address_of(DATABASE);
    refused(&mut measured, &mut site, &superuser, "superuser");
    admin.batch_execute("CREATE DATABASE bare").await?;
    refused(&mut measured, &mut site, &address.replace(DATABASE, "bare"), "migrate");
    drop(admin);
    // A standby: it reads and cannot write.
    tokio::task::block_in_place(|| site.server.stop(Shutdown::Fast))?;
    fs::write(site.server.data().join("standby.signal"), "")?;
    tokio::task::block_in_place(|| site.server.resume())?;
    refused(&mut measured, &mut site, &address, "standby");
    tokio::task::block_in_place(|| site.server.stop(Shutdown::Fast))?;
    refused(&mut measured, &mut site, &address, "refused");
    Ok(measured)
}

/// Notes that the ledger does not serve, and whether it says a word of why.
fn refused(measured: &mut Measured, site: &mut Site, address: &str, word: &str) {
    match tokio::task::block_in_place(|| site.serve_at(address)) {
        Ok(_serving) => measured.hold(false, format!("{word}: it serves")),
        Err(error) => {
            let complaint = error.to_string();
            measured.hold(complaint.to_lowercase().contains(word), format!("{word}: {complaint}"));
        }
    }
}
