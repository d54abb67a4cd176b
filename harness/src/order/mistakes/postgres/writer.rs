//! A writer: one commit after the other, each a transaction that is open for a moment.

use std::fmt::Write as _;
use std::time::Duration;

use servers::Database;
use underlay_core::{ExpectedVersion, StreamVersion, TenantId, Version};

use super::{Reads, stream_of};
use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{Acknowledged, Intention, Seen, TENANTS, WriterLine};

/// Commits of each writer.
const COMMITS: usize = 60;
/// The longest time between an insert and its commit, and between two commits.
const PAUSE_MAX: Duration = Duration::from_millis(6);

pub(super) async fn write(
    database: Database,
    number: u64,
    ordered: bool,
    reads: Reads,
    mut dice: Dice,
) -> Result<Vec<WriterLine>> {
    let client = database.admin().await?;
    let (tenant, stream) = (TenantId::new(TENANTS[0])?, stream_of(number)?);
    let mut version = 0;
    let mut lines = Vec::new();
    for _ in 0..COMMITS {
        let commit = dice.uuid();
        // Two events at least: half of one is nothing.
        let count = 2 + u32::try_from(dice.below(3))?;
        let expected = vec![(stream.clone(), ExpectedVersion::Any)];
        lines.push(WriterLine::Intended(Intention { commit, tenant: tenant.clone(), expected }));
        client.batch_execute("BEGIN").await?;
        if ordered {
            client.batch_execute("SELECT pg_advisory_xact_lock(1)").await?;
        }
        let mut values = String::new();
        let mut events = Vec::new();
        for index in 0..count {
            let event = dice.uuid();
            let comma = if index == 0 { "" } else { ", " };
            let at = version + u64::from(index) + 1;
            write!(values, "{comma}('{stream}', {at}, '{event}', '{commit}', {index}, {count})")?;
            events.push(event);
        }
        let insert = format!(
            "INSERT INTO events (stream, version, event, commit_id, commit_index, commit_count)
             VALUES {values} RETURNING position"
        );
        let rows = client.query(&insert, &[]).await?;
        let positions: Vec<u64> = rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect();
        if reads == Reads::Notified {
            let seen: Vec<Seen> =
                positions.iter().zip(&events).map(|(position, event)| Seen::of(*position, *event)).collect();
            client.execute("SELECT pg_notify('events', $1)", &[&serde_json::to_string(&seen)?]).await?;
        }
        tokio::time::sleep(dice.time_below(PAUSE_MAX)).await;
        client.batch_execute("COMMIT").await?;
        version += u64::from(count);
        lines.push(WriterLine::Acknowledged(Acknowledged {
            commit,
            position: positions.last().copied().unwrap_or_default(),
            count,
            versions: vec![StreamVersion { stream: stream.clone(), version: Version(version) }],
        }));
        tokio::time::sleep(dice.time_below(PAUSE_MAX)).await;
    }
    Ok(lines)
}
