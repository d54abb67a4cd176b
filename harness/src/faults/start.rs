//! What is refused at the start, before anything could be lost by it.

use std::fs;

use services::Shutdown;

use super::report::Measured;
use super::site::{DATABASE, Setting, Site};
use crate::Result;
use crate::database::LOGIN;

pub(crate) const PROMISED: &str = "a server or login that would break a guarantee is refused at the start, with \
                                   the reason";

pub(crate) async fn run(setting: &Setting) -> Result<Measured> {
    let mut measured = Measured::default();
    for unsafe_setting in ["fsync", "full_page_writes"] {
        let site = Site::new(setting, &[&format!("{unsafe_setting}=off")]).await?;
        refused(&mut measured, &site, &site.address(), unsafe_setting)?;
    }
    let mut site = Site::new(setting, &[]).await?;
    let admin = site.admin().await?;
    for (name, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
    ] {
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} SET {name} = '{value}'")).await?;
        refused(&mut measured, &site, &site.address(), name)?;
        admin.batch_execute(&format!("ALTER ROLE {LOGIN} RESET {name}")).await?;
    }
    refused(&mut measured, &site, &site.server.address_of(DATABASE), "superuser")?;
    admin.batch_execute("CREATE DATABASE bare").await?;
    let bare = site.address().replace(DATABASE, "bare");
    refused(&mut measured, &site, &bare, "migrate")?;
    drop(admin);
    // A standby: it reads and cannot write.
    tokio::task::block_in_place(|| site.server.stop(Shutdown::Fast))?;
    fs::write(site.server.data().join("standby.signal"), "")?;
    tokio::task::block_in_place(|| site.server.resume())?;
    refused(&mut measured, &site, &site.address(), "standby")?;
    tokio::task::block_in_place(|| site.server.stop(Shutdown::Fast))?;
    refused(&mut measured, &site, &site.address(), "refused")?;
    Ok(measured)
}

/// Notes that the ledger does not serve, and whether it says a word of why.
fn refused(measured: &mut Measured, site: &Site, address: &str, word: &str) -> Result<()> {
    let output =
        tokio::task::block_in_place(|| site.ledger().run(address, &["serve", "--listen", "127.0.0.1:0"]))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint.trim().lines().last().unwrap_or_default();
    let told = !output.status.success() && complaint.to_lowercase().contains(word);
    let code = output.status.code().unwrap_or(-1);
    measured.hold(told, format!("{word}: exit {code}, {complaint}"));
    Ok(())
}
