//! Builds a view anew beside the rows that are read, and swaps it in.

use underlay_core::{Checkpoint, Error, Position, ViewSchema};

use crate::Engine;
use crate::fold::ViewFolder;
use crate::progress::{Progress, Step, StepError};

/// The lease of a rebuild: its own, so that the rows that are read are kept up to date meanwhile. It
/// saves the work of two; that one of them counts is for the number of the generation to say.
pub(crate) fn rebuild_lease(view: &str) -> String {
    format!("rebuild:{view}")
}

impl Engine {
    /// Folds the whole log into the view's next generation and makes it the one that is read, in one
    /// step. Until then queries answer from the old one. `progress` is told the position reached.
    /// Returns the generation. Where it is interrupted, nothing has changed; begin again.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view, [`Error::Invalid`] that names the event where
    /// the view cannot take one, [`Error::Unavailable`] where another process rebuilds it, or begins to
    /// meanwhile and takes the place of this one.
    pub async fn rebuild_view(&self, view: &str, progress: impl FnMut(Position)) -> Result<u32, Error> {
        let folder = self.registry().find_view(view)?;
        let lease = match self.leases() {
            None => None,
            Some(_) => Some(self.acquire_lease(&rebuild_lease(view)).await?.ok_or_else(|| {
                Error::unavailable(format!(
                    "another process is rebuilding view {view}; wait until it is done"
                ))
            })?),
        };
        let built = self.rebuild_folder(&*folder, progress).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        built
    }

    pub(crate) async fn rebuild_folder(
        &self,
        folder: &dyn ViewFolder,
        told: impl FnMut(Position),
    ) -> Result<u32, Error> {
        let schema = folder.schema();
        let replaced = format!("another rebuild of view {} was begun and replaces this one", schema.name);
        match self.build_generation(folder, schema, told).await {
            Err(Error::CheckpointMoved { .. } | Error::NotFound(_)) => Err(Error::unavailable(replaced)),
            built => built,
        }
    }

    async fn build_generation(
        &self,
        folder: &dyn ViewFolder,
        schema: ViewSchema,
        mut told: impl FnMut(Position),
    ) -> Result<u32, Error> {
        let start = Checkpoint::start(self.store().store_id());
        match self.read_models().prepare(&schema, start).await {
            Ok(_) | Err(Error::ViewChanged { .. }) => {}
            Err(error) => return Err(error),
        }
        let table = self.read_models().begin_generation(&schema, start).await?;
        let mut progress = Progress::new(folder, table, start);
        loop {
            match self.step_view(folder, &mut progress).await {
                Ok(Step::Advanced) => told(progress.scanned.position),
                // What is written from now on is for the view's runner: waiting until nobody writes
                // could take for ever.
                Ok(Step::ReachedHead) => {
                    told(progress.scanned.position);
                    break;
                }
                Ok(Step::AtHead) => break,
                Err(StepError::Failed(error)) => return Err(error),
                Err(StepError::Fault(fault)) => {
                    return Err(Error::invalid(format!("view {} cannot take the {fault}", schema.name)));
                }
            }
        }
        self.store_progress(&mut progress).await?;
        self.read_models().activate(&progress.table).await?;
        let generation = progress.table.generation;
        self.tables().insert(schema.name, progress.table);
        Ok(generation)
    }
}
