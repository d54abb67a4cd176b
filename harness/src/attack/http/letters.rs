//! Work of tenants that was given up.

use std::time::Duration;

use underlay_core::{
    Commit, CommitId, EventStore, Json, NewWork, Settled, Settlement, WorkFilter, WorkInfo, WorkKind,
    WorkPlace, Worker,
};
use underlay_runtime::Ports;

use super::super::marks::Marked;
use crate::Result;

/// How long the shards are held for it.
const HELD: Duration = Duration::from_secs(60);

/// Sends a message of a tenant and gives it up; its id and its place. Where the store keeps no work, an id that nobody
/// has.
pub(super) async fn give_up(ports: &Ports, marked: &Marked) -> Result<(String, u64)> {
    let Some(work) = &ports.work else { return Ok((CommitId::draw().to_string(), 0)) };
    let secret = format!("secret-{}", marked.mark());
    let message = NewWork::new(WorkKind::Message, "mailer", key(marked), "note", Json::encode(&secret)?);
    ports.store.commit(&marked.id, Commit::new(CommitId::draw()).send(message)).await?;
    let worker = Worker::embedded("the attack");
    let share = work.queue.share(&worker, HELD, &[]).await?;
    let sent =
        WorkFilter { tenant: Some(marked.id.clone()), key: Some(key(marked)), ..WorkFilter::default() };
    let found = work.queue.list_work(&sent, WorkPlace::START, 1).await?;
    let WorkInfo { work: sent, .. } = found.work.first().ok_or("what was sent is not there")?;
    let held =
        share.held.iter().find(|held| held.term.shard == sent.shard).ok_or("the shard is another's")?;
    let settled = Settled::Dead { error: format!("{secret} was refused"), is_final: true, holds: true };
    work.queue.settle(&[Settlement { term: held.term, place: sent.place, settled }]).await?;
    work.queue.leave(&worker).await?;
    Ok((sent.id.to_string(), sent.place.number()))
}

/// The key of a tenant's message.
pub(super) fn key(marked: &Marked) -> String {
    format!("letter-{}", marked.mark())
}
