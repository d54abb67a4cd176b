use std::collections::HashMap;

use underlay_core::{Error, Work, WorkFilter, WorkId, WorkInfo, WorkPlace, WorkQueue, WorkStanding};

use super::lines::LineName;

/// Which dead letters hold lines, for a list of work: each line is looked up once.
#[derive(Debug, Default)]
pub(crate) struct Holders(HashMap<LineName, Option<WorkId>>);

impl Holders {
    /// The dead letter that holds the line in which a piece of work stands behind others; none where the piece does not
    /// stand behind any, or what is before it goes on by itself.
    pub(crate) async fn of(
        &mut self,
        queue: &dyn WorkQueue,
        info: &WorkInfo,
    ) -> Result<Option<WorkId>, Error> {
        if info.standing != WorkStanding::Behind {
            return Ok(None);
        }
        let line = LineName::of(&info.work);
        if let Some(known) = self.0.get(&line) {
            return Ok(*known);
        }
        let holder = find(queue, &info.work).await?;
        Ok(*self.0.entry(line).or_insert(holder))
    }
}

/// The first dead letter that holds the line of a piece.
async fn find(queue: &dyn WorkQueue, work: &Work) -> Result<Option<WorkId>, Error> {
    let filter = WorkFilter {
        tenant: Some(work.tenant.clone()),
        dead: true,
        holds: true,
        kind: None,
        receiver: Some(work.sent.receiver.clone()),
        key: Some(work.sent.key.clone()),
    };
    let found = queue.list_work(&filter, WorkPlace::START, 1).await?;
    Ok(found.work.first().map(|letter| letter.work.id))
}
