//! The catalogue of views as its rows tell it, and whether a generation was built by the definition that
//! asks for it.

use crate::domain::ViewSchema;
use crate::ports::{Generation, StoredOrder, ViewInfo, ViewStop};
use crate::words::{Error, Fingerprint, Timestamp};

/// Refuses a generation whose rows were built by another definition than this one.
///
/// # Errors
/// [`Error::ViewChanged`] with what differs.
pub fn check_definition(schema: &ViewSchema, built_by: Fingerprint, definition: &str) -> Result<(), Error> {
    if built_by == schema.fingerprint() {
        return Ok(());
    }
    let reason = schema.difference_from(definition);
    Err(Error::ViewChanged { view: schema.name.clone(), reason })
}

/// A generation of a view, as a row of the catalogue tells it.
#[derive(Debug)]
pub struct ListedGeneration {
    /// How far it has come.
    pub generation: Generation,
    /// Whether it is the one that is read.
    pub is_read: bool,
    /// When it stopped being that.
    pub replaced_at: Option<Timestamp>,
    /// Generations of the view that are gone and have left their tables.
    pub discarded: u64,
    /// Why the generation that is read does not go on.
    pub stop: Option<ViewStop>,
    /// What was last ordered of the view.
    pub order: Option<StoredOrder>,
}

/// Views in the order of their rows. The generation that is read comes first of each.
#[derive(Debug, Default)]
pub struct ViewList(Vec<ViewInfo>);

impl ViewList {
    /// Adds a generation of a view.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the one that is read is missing.
    pub fn push(&mut self, view: String, row: ListedGeneration) -> Result<(), Error> {
        match (self.0.last_mut().filter(|last| last.name == view), row.replaced_at) {
            (Some(known), Some(at)) => known.replaced = Some((row.generation, at)),
            (Some(known), None) => known.building = Some(row.generation),
            (None, _) if row.is_read => self.0.push(ViewInfo {
                name: view,
                active: row.generation,
                building: None,
                replaced: None,
                discarded: row.discarded,
                stop: row.stop,
                order: row.order,
            }),
            (None, _) => {
                return Err(Error::Damaged(format!("view {view}: the generation that is read is missing")));
            }
        }
        Ok(())
    }

    /// The views.
    #[must_use]
    pub fn into_views(self) -> Vec<ViewInfo> {
        self.0
    }
}
