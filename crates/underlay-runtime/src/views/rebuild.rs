//! Builds a view anew beside the rows that are read, and swaps it in.
//!
//! ```text
//!  begun, or gone on with ──► folding ──► at the head ──► swapped in, with the last changes
//!                              │   ▲          │
//!                              │   │          └── the rows that are read have come further ──► folding
//!                              │   └── a failure that may pass ──► a pause, from the stored checkpoint
//!                              └── an event it cannot take, or failures for too long ──► left as it is
//! ```
//!
//! The swap never takes back what somebody has seen: it is refused while the generation that is read is
//! beyond the one that is built, and carries the last changes of that one, so that between reading the
//! head of the log and the swap there is no more than folding a page. Only where the checkpoint of the
//! generation that is read does not fit the log does its place count for nothing: that is what a rebuild
//! repairs.
//!
//! What was built is kept when a rebuild breaks off. The next one of the same definition goes on with it.

use async_trait::async_trait;
use underlay_core::{Checkpoint, Error, Position, Swap, ViewInfo, ViewSchema, ViewTable};

use super::Views;
use super::fold::{ViewFault, ViewFolder};
use super::progress::{Place, Progress, ViewHalt, check_complete};
use crate::subscription::{Advance, HeldLease};

/// How often in a row a rebuild is tried again after a failure that may pass.
const RETRIES_MAX: u32 = 60;
/// How often a swap is tried while the rows that are read come on faster.
const SWAPS_MAX: u32 = 1_000;

/// The lease of a rebuild: its own, so that the rows that are read are kept up to date meanwhile. It
/// saves the work of two; that one of them counts is for the checkpoint of the generation to say.
pub(crate) fn rebuild_lease(view: &str) -> String {
    format!("rebuild:{view}")
}

/// What has become of a generation that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Built {
    /// It is read.
    IsRead(u32),
    /// It is there, and not read.
    IsLeft(u32),
}

impl Built {
    pub(super) fn generation(self) -> u32 {
        let (Self::IsRead(generation) | Self::IsLeft(generation)) = self;
        generation
    }
}

/// Where a rebuild begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebuildFrom {
    /// Where one of the same definition was broken off, if any was; otherwise at the start of the log.
    #[default]
    WhereItWas,
    /// At the start of the log: what was built so far is discarded.
    Start,
}

/// Whoever is told how far a generation has come that is built. An error ends the work.
#[async_trait]
pub(crate) trait Watcher: Send {
    /// A generation was begun.
    async fn begun(&mut self, _generation: u32) -> Result<(), Error> {
        Ok(())
    }

    /// It has come to a position.
    async fn came_to(&mut self, position: Position) -> Result<(), Error>;

    /// What comes before it is folded to the head of the log: whether it is to be swapped in at all.
    async fn inspect(&mut self, _folder: &dyn ViewFolder, _built: &mut Progress) -> Result<bool, ViewHalt> {
        Ok(true)
    }

    /// It is about to be swapped in: the number of the order that must stand then, where it is for one.
    async fn swaps(&mut self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// It was not swapped in, since the rows that are read have come further.
    async fn folds_on(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Is told the position, and nothing else.
pub(crate) struct Told<F>(pub(crate) F);

#[async_trait]
impl<F: FnMut(Position) + Send> Watcher for Told<F> {
    async fn came_to(&mut self, position: Position) -> Result<(), Error> {
        (self.0)(position);
        Ok(())
    }
}

impl Views {
    /// As [`Engine::rebuild_view`](crate::Engine::rebuild_view).
    pub(crate) async fn rebuild_view(
        &self,
        view: &str,
        from: RebuildFrom,
        progress: impl FnMut(Position) + Send,
    ) -> Result<u32, Error> {
        let folder = self.registry.find_view(view)?;
        let lease = self.acquire_rebuild(view).await?;
        let built = self.rebuild_folder(&*folder, from, &mut Told(progress)).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        built
    }

    /// The lease of who builds a generation, where the store has leases.
    pub(super) async fn acquire_rebuild(&self, view: &str) -> Result<Option<HeldLease>, Error> {
        if self.leases(view).is_none() {
            return Ok(None);
        }
        let lease = self.acquire_lease(view, &rebuild_lease(view)).await?.ok_or_else(|| {
            Error::unavailable(format!("another process is rebuilding view {view}; wait until it is done"))
        })?;
        Ok(Some(lease))
    }

    /// As [`Engine::revert_view`](crate::Engine::revert_view).
    pub(crate) async fn revert_view(&self, view: &str) -> Result<u32, Error> {
        let folder = self.registry.find_view(view)?;
        let schema = folder.schema();
        if let Some((replaced, _)) = self.info(view).await?.and_then(|info| info.replaced)
            && replaced.fingerprint == schema.fingerprint()
        {
            // What the runner could not follow is better refused than brought back.
            self.check_checkpoint(view, &replaced.checkpoint).await?;
            check_complete(&*folder, &replaced)?;
        }
        let table = self.rows(view).revert(&schema, self.clock.now()).await?;
        Ok(self.is_read_now(table))
    }

    pub(crate) async fn rebuild_folder(
        &self,
        folder: &dyn ViewFolder,
        from: RebuildFrom,
        watcher: &mut dyn Watcher,
    ) -> Result<u32, Error> {
        let table = match from {
            RebuildFrom::Start => None,
            RebuildFrom::WhereItWas => self.begun(folder, &folder.schema()).await?,
        };
        Ok(self.build(folder, table, watcher).await?.generation())
    }

    /// Builds a generation, from where it is; begins one where there is none. Failures that may pass are tried again.
    pub(super) async fn build(
        &self,
        folder: &dyn ViewFolder,
        mut table: Option<ViewTable>,
        watcher: &mut dyn Watcher,
    ) -> Result<Built, Error> {
        let schema = folder.schema();
        let (mut failures, mut stored) = (0, Position::START);
        loop {
            match self.build_generation(folder, &schema, &mut table, watcher).await {
                // Another rebuild goes on with the same generation, and so does this one from where that is; or
                // it begins again. Or the order is another one now: the next store of it says which.
                Err(ViewHalt::Failed(Error::CheckpointMoved { .. })) => {}
                Err(ViewHalt::Failed(error)) if error.is_retryable() && failures < RETRIES_MAX => {
                    // Only what was stored meanwhile is progress: reads may go well where no write does.
                    let now = self.stored_position(table.as_ref()).await;
                    failures = if now > stored { 1 } else { failures + 1 };
                    stored = stored.max(now);
                    tracing::warn!(view = schema.name, %error, "the rebuild goes on after a pause");
                    self.clock.sleep(self.config.backoff().delay(failures)).await;
                }
                Err(ViewHalt::Failed(Error::NotFound(_))) if table.is_some() => {
                    let read = self.info(&schema.name).await?.map(|info| info.active.number);
                    if let Some(table) = table.take_if(|table| Some(table.generation) == read) {
                        // Its swap was carried out, and the answer was lost or went to another rebuild.
                        return Ok(Built::IsRead(self.is_read_now(table)));
                    }
                    return Err(Error::unavailable(format!(
                        "what this rebuild of view {} has built is gone: another rebuild was begun at the start of \
                         the log, or it was discarded",
                        schema.name
                    )));
                }
                Err(ViewHalt::Failed(error)) => return Err(error),
                Err(ViewHalt::Stuck(fault)) => {
                    return Err(self.stuck(&schema.name, table.as_ref(), fault).await);
                }
                Ok(built) => return Ok(built),
            }
        }
    }

    /// Leaves word at which event what is built is stopped, so that a person can skip it, and says so.
    async fn stuck(&self, view: &str, table: Option<&ViewTable>, fault: ViewFault) -> Error {
        let told = format!("view {view} cannot take the {fault}");
        let (position, is_of_event) = (fault.position(), fault.is_of_event);
        let left = async {
            let (Some(table), Some(stop)) = (table, self.stop_of(&ViewHalt::Stuck(fault))) else {
                return Ok(());
            };
            let checkpoint = self.rows(view).checkpoint(table).await?;
            self.set_stop(&Place { table: table.clone(), checkpoint, lease: None }, Some(stop)).await
        };
        match left.await {
            Ok(()) if is_of_event => Error::invalid(format!(
                "{told}; bring a program that can take it, or pass over it by `{} view skip {view} {position} --why \
                 TEXT`, and rebuild again",
                self.config.program
            )),
            Ok(()) => Error::invalid(told),
            Err(error) => {
                tracing::debug!(view, %error, "saying where what is built is stopped");
                Error::invalid(told)
            }
        }
    }

    /// How far a generation is stored, as far as that can be told now.
    pub(super) async fn stored_position(&self, table: Option<&ViewTable>) -> Position {
        let Some(table) = table else { return Position::START };
        let stored = self.rows(&table.schema.name).checkpoint(table).await;
        stored.map_or(Position::START, |checkpoint| checkpoint.position)
    }

    /// The generation of this definition that a rebuild has begun, where its rows lack nothing they may not.
    pub(super) async fn begun(
        &self,
        folder: &dyn ViewFolder,
        schema: &ViewSchema,
    ) -> Result<Option<ViewTable>, Error> {
        let building = self.info(&schema.name).await?.and_then(|info| info.building);
        let ours = building.filter(|building| {
            building.fingerprint == schema.fingerprint() && check_complete(folder, building).is_ok()
        });
        let Some(building) = ours else { return Ok(None) };
        let table = ViewTable { schema: schema.clone(), generation: building.number };
        match self.check_unaltered(&table).await {
            Ok(()) => Ok(Some(table)),
            // It is begun anew.
            Err(Error::Damaged(_) | Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Folds a generation up to the head and swaps it in, from where it is; begins one where there is none.
    async fn build_generation(
        &self,
        folder: &dyn ViewFolder,
        schema: &ViewSchema,
        table: &mut Option<ViewTable>,
        watcher: &mut dyn Watcher,
    ) -> Result<Built, ViewHalt> {
        let built = match table {
            Some(table) => table.clone(),
            None => {
                let start = Checkpoint::start(self.store.store_id());
                match self.rows(&schema.name).prepare(schema, start).await {
                    Ok(_) | Err(Error::ViewChanged { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                let begun = self.rows(&schema.name).begin_generation(schema, start).await?;
                watcher.begun(begun.generation).await?;
                table.insert(begun).clone()
            }
        };
        let stored = self.rows(&schema.name).checkpoint(&built).await?;
        match self.check_checkpoint(&schema.name, &stored).await {
            Ok(()) => {}
            Err(Error::CheckpointRefused(_)) => {
                // The log went back under the rebuild: what was built is of no use, and another is begun.
                self.rows(&schema.name).discard(&schema.name, built.generation).await?;
                *table = None;
                return Err(Error::CheckpointMoved { owner: format!("view {}", schema.name) }.into());
            }
            Err(error) => return Err(error.into()),
        }
        let parked = self.info(&schema.name).await?.and_then(|info| info.building);
        let parked = parked.map_or(0, |building| building.parked);
        let mut progress = self.progress_of(folder, built, stored, parked).await?.beside();
        if !watcher.inspect(folder, &mut progress).await? {
            return Ok(Built::IsLeft(progress.table.generation));
        }
        for _ in 0..SWAPS_MAX {
            while self.fold_page(folder, &mut progress).await? == Advance::Advanced {
                watcher.came_to(progress.scanned.position).await?;
                self.store_where_due(&mut progress, false).await?;
            }
            watcher.came_to(progress.scanned.position).await?;
            let order = watcher.swaps().await?;
            if self.swap_in(schema, &mut progress, order).await? {
                return Ok(Built::IsRead(self.is_read_now(progress.table)));
            }
            watcher.folds_on().await?;
        }
        let reason =
            format!("view {} is folded faster than its rebuild; try again with fewer writers", schema.name);
        Err(Error::unavailable(reason).into())
    }

    /// Swaps a generation in, with what it has folded and not stored. False where the rows that are read
    /// have come further.
    async fn swap_in(
        &self,
        schema: &ViewSchema,
        progress: &mut Progress,
        order: Option<u64>,
    ) -> Result<bool, Error> {
        let unless_beyond = match self.info(&schema.name).await? {
            Some(info) if self.fits_log(schema, &info).await? => Some(progress.scanned.position),
            _ => None,
        };
        let last = progress.take_batch();
        let swap = Swap { last: last.clone(), unless_beyond, order, at: self.clock.now() };
        let swapped = self.rows(&progress.table.schema.name).activate(&progress.table, swap).await?;
        if !swapped && let Some(last) = last {
            self.rows(&progress.table.schema.name).apply(&progress.table, last).await?;
        }
        progress.mark_stored(self.clock.now());
        Ok(swapped)
    }

    /// Whether the generation that is read stands in this log.
    async fn fits_log(&self, schema: &ViewSchema, info: &ViewInfo) -> Result<bool, Error> {
        match self.check_checkpoint(&schema.name, &info.active.checkpoint).await {
            Ok(()) => Ok(true),
            Err(Error::CheckpointRefused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells queries and the runner of this process which generation is read now.
    pub(super) fn is_read_now(&self, table: ViewTable) -> u32 {
        let generation = table.generation;
        self.running.look_again(&table.schema.name);
        self.tables().insert(table.schema.name.clone(), table);
        generation
    }
}
