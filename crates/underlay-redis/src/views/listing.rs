//! Every view with its generations.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{Script, cmd};
use underlay_core::adapter::{ListedGeneration, ViewList, stored_time};
use underlay_core::{
    Checkpoint, Error, Generation, Json, SkippedEvent, StoredOrder, Timestamp, ViewInfo, ViewStop,
};

use super::catalogue::{checkpoint, damaged};
use super::changes::read_fingerprint;
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;
use crate::rows::taken;

static LIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/list_view.lua")));

const DOING: &str = "listing views in Redis";

/// What is stored of a view, at one moment.
pub(super) struct StoredView {
    name: String,
    fields: HashMap<String, String>,
    /// The events that were skipped, in the order of the log.
    pub(super) skipped: Vec<SkippedEvent>,
    discarded: u64,
    /// Of each generation how many events it has passed over, and how many of these were skipped.
    parked: HashMap<String, (u64, u64)>,
}

impl StoredView {
    fn read(name: String, answer: Vec<redis::Value>) -> Result<Self, Error> {
        let mut answer = answer.into_iter();
        let mut next = || answer.next().unwrap_or_default();
        let (fields, skipped, discarded) = (taken(next())?, taken::<Vec<String>>(next())?, taken(next())?);
        let event = |text: &String| {
            let read = Json::from_stored(text.as_str()).decode();
            read.map_err(|error| damaged(&name, format!("an event that was skipped ({error})")))
        };
        let mut skipped: Vec<SkippedEvent> = skipped.iter().map(event).collect::<Result<_, _>>()?;
        skipped.sort_by_key(|skipped| skipped.event.position);
        let counted = |counts| {
            let (number, parked, skipped) = taken(counts)?;
            Ok::<_, Error>((number, (parked, skipped)))
        };
        let parked = answer.map(counted).collect::<Result<_, _>>()?;
        Ok(Self { name, fields, skipped, discarded, parked })
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The generation in a state.
    pub(super) fn generation(&self, state: &str) -> Option<&str> {
        self.field(state)
    }

    fn of(&self, number: &str, what: &str) -> Result<&str, Error> {
        let found = self.field(&format!("{number}.{what}"));
        found.ok_or_else(|| damaged(&self.name, format!("the {what} of generation {number}")))
    }

    /// How far a generation has come.
    pub(super) fn checkpoint(&self, number: &str) -> Result<Checkpoint, Error> {
        checkpoint(&self.name, self.of(number, "checkpoint")?)
    }

    /// Why a generation does not go on, as it is stored.
    pub(super) fn stop_text(&self, number: &str) -> &str {
        self.field(&format!("{number}.stop")).unwrap_or_default()
    }

    /// The same, read.
    pub(super) fn stop(&self, number: &str) -> Result<Option<ViewStop>, Error> {
        let text = Some(self.stop_text(number)).filter(|text| !text.is_empty());
        let read = |text: &str| ViewStop::from_stored(&Json::from_stored(text));
        text.map(read).transpose().map_err(|error| damaged(&self.name, format!("why it stopped ({error})")))
    }

    fn listed(&self, number: &str) -> Result<Generation, Error> {
        let fingerprint = read_fingerprint(self.of(number, "fingerprint")?);
        let (parked, skipped) = self.parked.get(number).copied().unwrap_or_default();
        Ok(Generation {
            number: number.parse().map_err(|_| damaged(&self.name, "the number of a generation"))?,
            fingerprint: fingerprint.ok_or_else(|| damaged(&self.name, "a fingerprint"))?,
            checkpoint: self.checkpoint(number)?,
            parked,
            skipped,
        })
    }

    fn replaced_at(&self) -> Result<Timestamp, Error> {
        let read = || stored_time(self.field("replaced_at")?.parse().ok()?);
        read().ok_or_else(|| damaged(&self.name, "when its generation was replaced"))
    }

    fn order(&self) -> Result<Option<StoredOrder>, Error> {
        let Some(number) = self.field("order") else { return Ok(None) };
        let number = number.parse().map_err(|_| damaged(&self.name, "the number of its order"))?;
        let body = Json::from_stored(self.field("order_body").unwrap_or_default());
        Ok(Some(StoredOrder { number, body }))
    }

    /// Adds its generations to a list.
    fn list(&self, views: &mut ViewList) -> Result<(), Error> {
        for state in ["active", "building", "replaced"] {
            let Some(number) = self.generation(state) else { continue };
            let is_read = state == "active";
            let listed = ListedGeneration {
                generation: self.listed(number)?,
                is_read,
                replaced_at: (state == "replaced").then(|| self.replaced_at()).transpose()?,
                discarded: self.discarded,
                stop: self.stop(number)?,
                order: if is_read { self.order()? } else { None },
            };
            views.push(self.name.clone(), listed)?;
        }
        Ok(())
    }
}

impl RedisStore {
    /// What is stored of a view; of one that is not there nothing is.
    pub(super) async fn stored_view(&self, name: &str) -> Result<StoredView, Error> {
        let keys = &self.0.keys;
        let mut script = LIST.prepare_invoke();
        script.key(keys.view(name)).key(keys.skipped(name)).key(keys.discarded());
        script.arg(name).arg(keys.all_parked());
        let answer = self.ask(DOING, Effect::Repeatable, Asked::Script(&script)).await?;
        StoredView::read(name.to_owned(), answer)
    }

    /// Every view, by name.
    pub(crate) async fn list_views(&self) -> Result<Vec<ViewInfo>, Error> {
        let mut read = cmd("SMEMBERS");
        read.arg(self.0.keys.views());
        let mut names: Vec<String> = self.ask(DOING, Effect::Repeatable, Asked::Command(&read)).await?;
        names.sort_unstable();
        let mut views = ViewList::default();
        for name in names {
            self.stored_view(&name).await?.list(&mut views)?;
        }
        Ok(views.into_views())
    }
}
