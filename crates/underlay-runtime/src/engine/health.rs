//! How the stores beside that of the log are.

use std::collections::BTreeMap;

use super::Engine;
use crate::health::{RunningHealth, StorePart};

impl Engine {
    /// Asks the stores beside that of the log now and then whether they can be used, until the answer is stopped or
    /// dropped. [`Engine::store_parts`] tells what they say.
    #[must_use]
    pub fn start_health(&self) -> RunningHealth {
        self.0.store_health.start()
    }

    /// Whether the stores beside that of the log could be used when this process asked them last, by what they are there
    /// for. Of several the worst counts. What was not asked yet is left out.
    #[must_use]
    pub fn store_parts(&self) -> BTreeMap<StorePart, bool> {
        self.0.store_health.parts()
    }
}
