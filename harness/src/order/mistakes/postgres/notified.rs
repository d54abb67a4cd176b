//! A reader that is told everything by notifications and never looks. Its session is ended once, and
//! it listens again soon after.

use std::time::Duration;

use servers::Database;
use tokio::sync::{mpsc, watch};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use crate::Result;
use crate::order::evidence::{PageLine, Seen};

/// How many pages it has heard when its session ends.
const PAGES_BEFORE_THE_END: usize = 60;
/// How long it takes to listen again.
const AWAY: Duration = Duration::from_millis(30);
/// How long nothing is heard before it goes.
const QUIET: Duration = Duration::from_millis(300);

pub(super) async fn read(database: Database, all_done: watch::Receiver<bool>) -> Result<Vec<PageLine>> {
    let mut pages: Vec<PageLine> = Vec::new();
    let (client, mut heard) = listen(&database).await?;
    while let Some(payload) = heard.recv().await {
        pages.push(page(&payload)?);
        if pages.len() == PAGES_BEFORE_THE_END {
            let admin = database.admin().await?;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND query = 'LISTEN events'";
            admin.execute(end, &[]).await?;
        }
    }
    drop(client);
    tokio::time::sleep(AWAY).await;
    let (_client, mut heard) = listen(&database).await?;
    loop {
        match tokio::time::timeout(QUIET, heard.recv()).await {
            Ok(Some(payload)) => pages.push(page(&payload)?),
            Err(_quiet) if *all_done.borrow() => return Ok(pages),
            Err(_quiet) => {}
            Ok(None) => return Err("the second session has ended too".into()),
        }
    }
}

fn page(payload: &str) -> Result<PageLine> {
    let seen: Vec<Seen> = serde_json::from_str(payload)?;
    let scanned_to = seen.iter().map(|seen| seen.0).max().unwrap_or_default();
    Ok(PageLine { after: 0, scanned_to, scanned_to_id: None, seen, stall_micros: 0, unavailable: 0 })
}

async fn listen(database: &Database) -> Result<(Client, mpsc::UnboundedReceiver<String>)> {
    let config: Config = database.admin_address().parse()?;
    let (client, mut connection) = config.connect(NoTls).await?;
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                // Nobody may listen any more.
                tell.send(notification.payload().to_owned()).ok();
            }
        }
    });
    client.batch_execute("LISTEN events").await?;
    Ok((client, heard))
}
