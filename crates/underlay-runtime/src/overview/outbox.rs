//! Work in lists, with what is to become of it.

use underlay_core::{Error, WorkFilter, WorkId, WorkInfo, WorkPlace, WorkStanding};

use crate::Engine;
use crate::work::Holders;

/// A piece of work in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedWork {
    /// The piece, and where it is.
    pub info: WorkInfo,
    /// Of a command that waits for its moment: whether nothing comes of it, since it was cancelled or executed directly.
    pub has_ended: bool,
    /// The dead letter that it stands behind: of the same tenant, receiver and key.
    pub held_by: Option<WorkId>,
}

/// A page of work, in the order of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedWorkPage {
    /// The pieces.
    pub work: Vec<ListedWork>,
    /// The place that the next page is listed after; none where this is the last.
    pub next: Option<WorkPlace>,
}

impl Engine {
    /// A page of what a filter finds, after a place: what waits, or dead letters.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the store keeps no work; [`Error::Invalid`] where `limit` exceeds its limit; what the
    /// store says.
    pub async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<ListedWorkPage, Error> {
        let queue = self.queue()?;
        let page = queue.list_work(filter, after, limit).await?;
        let next = page.next();
        let (mut holders, mut work) = (Holders::default(), Vec::with_capacity(page.work.len()));
        for info in page.work {
            let has_ended = info.standing == WorkStanding::Later && self.has_ended(&info.work).await?;
            let held_by = holders.of(&**queue, &info).await?;
            work.push(ListedWork { info, has_ended, held_by });
        }
        Ok(ListedWorkPage { work, next })
    }
}
