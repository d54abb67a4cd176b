//! A backlog: messages that wait before anybody begins them.

use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinSet;
use underlay_core::{Commit, CommitId, EventStore};

use super::courier::{TENANTS, message};
use crate::Result;

/// Messages in a commit.
pub(super) const BATCH: usize = 500;

/// Stores the messages of these numbers, those of each tenant in order.
pub(super) async fn store(store: &Arc<dyn EventStore>, numbers: Range<u64>) -> Result<()> {
    let mut tenants = JoinSet::new();
    for tenant in 0..TENANTS {
        let (store, numbers) = (store.clone(), numbers.clone());
        tenants.spawn(async move {
            let own: Vec<u64> = numbers.filter(|number| number % TENANTS == tenant).collect();
            for batch in own.chunks(BATCH) {
                let mut commit = Commit::new(CommitId::draw());
                let mut owner = super::courier::tenant(tenant)?;
                for number in batch {
                    let (of, work) = message(*number)?;
                    (owner, commit) = (of, commit.send(work));
                }
                store.commit(&owner, commit).await?;
            }
            Result::Ok(())
        });
    }
    while let Some(stored) = tenants.join_next().await {
        stored??;
    }
    Ok(())
}
