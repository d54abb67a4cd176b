//! Builds a view anew beside the rows that are read, and swaps it in.

use underlay_core::{Checkpoint, Error, Position, ViewSchema};

use crate::Engine;
use crate::fold::ViewFolder;
use crate::view_runner::{Progress, Step, StepError};

impl Engine {
    /// Folds the whole log into the view's next generation and makes it the one that is read, in one
    /// step. Until then queries answer from the old one. `progress` is told the position reached.
    /// Returns the generation. Where it is interrupted, nothing has changed; begin again.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view, [`Error::Invalid`] that names the event where
    /// the view cannot take one, [`Error::Unavailable`] where another rebuild was begun meanwhile and
    /// takes the place of this one.
    pub async fn rebuild_view(&self, view: &str, progress: impl FnMut(Position)) -> Result<u32, Error> {
        let folder = self.registry().find_view(view)?;
        self.rebuild_folder(&*folder, progress).await
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
