//! Generations begin, are swapped, come back and go.

use std::sync::LazyLock;

use redis::Script;
use underlay_core::adapter::check_definition;
use underlay_core::{
    Checkpoint, Error, Fingerprint, Json, Swap, Swept, Timestamp, ViewSchema, ViewTable, no_generation,
    none_replaced, order_moved, still_read,
};

use super::batch::refused;
use super::catalogue::{DOING, damaged, definition, no_table, no_view, stored_checkpoint, stored_position};
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/discard.lua"),
        include_str!("../scripts/begin_generation.lua")
    ))
});
static ACTIVATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/reindex.lua"),
        include_str!("../scripts/hold.lua"),
        include_str!("../scripts/store_batch.lua"),
        include_str!("../scripts/discard.lua"),
        include_str!("../scripts/activate_generation.lua"),
    ))
});
static REVERT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/revert_generation.lua")));
static GIVE_UP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../scripts/discard.lua"),
        include_str!("../scripts/give_up_generation.lua")
    ))
});
static SWEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/sweep.lua")));
static PUT_ORDER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/put_order.lua")));

/// Rows that are removed at once.
const SWEPT_MAX: usize = 500;

/// Which generation is begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The first of a view, where it has none.
    First,
    /// The next, beside the one that is read.
    Next,
}

impl RedisStore {
    /// Begins a generation. Begun once more where an answer is lost, it has taken one more number.
    pub(crate) async fn begin(
        &self,
        schema: &ViewSchema,
        start: &Checkpoint,
        which: Begun,
    ) -> Result<ViewTable, Error> {
        let (keys, name) = (&self.0.keys, &schema.name);
        let mut script = BEGIN.prepare_invoke();
        script.key(keys.view(name)).key(keys.views()).key(keys.discarded());
        script.arg(if which == Begun::First { "first" } else { "next" }).arg(name);
        script.arg(schema.fingerprint().to_string()).arg(definition(schema)?);
        script.arg(indexed(schema).join(",")).arg(stored_checkpoint(start));
        let answer: Vec<String> = self.ask(DOING, Effect::Repeatable, Asked::Script(&script)).await?;
        let number = |number: &str| number.parse().map_err(|_| damaged(name, "the number of a generation"));
        match words(&answer)[..] {
            ["begun", begun] => Ok(ViewTable { schema: schema.clone(), generation: number(begun)? }),
            ["there", active, fingerprint, definition] => {
                let built_by = read_fingerprint(fingerprint).ok_or_else(|| damaged(name, "a fingerprint"))?;
                check_definition(schema, built_by, definition)?;
                Ok(ViewTable { schema: schema.clone(), generation: number(active)? })
            }
            ["none"] => Err(no_view(name)),
            _ => Err(strange(&answer)),
        }
    }

    /// Makes a generation the one that is read; false where that one is beyond what the swap allows.
    pub(crate) async fn swap_in(&self, table: &ViewTable, swap: &Swap) -> Result<bool, Error> {
        let mut script = ACTIVATE.prepare_invoke();
        self.ask_for_batch(&mut script, table, swap.last.as_ref())?;
        script.key(self.0.keys.discarded());
        script.arg(swap.order.map(|number| number.to_string()).unwrap_or_default());
        script.arg(swap.unless_beyond.map(stored_position).unwrap_or_default());
        script.arg(swap.at.as_microsecond().to_string());
        let answer: Vec<String> = self.ask(DOING, Effect::Change, Asked::Script(&script)).await?;
        match (words(&answer).first(), &swap.last) {
            (Some(&"ok"), _) => Ok(true),
            (Some(&"beyond"), _) => Ok(false),
            (Some(&"order"), _) => Err(order_moved(&table.schema.name)),
            (Some(&"gone"), _) => Err(no_table(table)),
            (_, Some(last)) => Err(refused(&answer, table, last)),
            _ => Err(strange(&answer)),
        }
    }

    /// Makes the generation that was replaced the one that is read again.
    pub(crate) async fn bring_back(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        let mut script = REVERT.prepare_invoke();
        script.key(self.0.keys.view(&schema.name)).arg(schema.fingerprint().to_string());
        script.arg(at.as_microsecond().to_string());
        let answer: Vec<String> = self.ask(DOING, Effect::Change, Asked::Script(&script)).await?;
        match words(&answer)[..] {
            ["ok", number] => {
                let number = number.parse().map_err(|_| damaged(&schema.name, "the number of a generation"));
                Ok(ViewTable { schema: schema.clone(), generation: number? })
            }
            ["none"] => Err(no_view(&schema.name)),
            ["unkept"] => Err(none_replaced(schema)),
            ["changed", definition] => {
                let reason = schema.difference_from(definition);
                Err(Error::ViewChanged { view: schema.name.clone(), reason })
            }
            _ => Err(strange(&answer)),
        }
    }

    /// Gives up a generation that is not read.
    pub(crate) async fn give_up(&self, view: &str, generation: u32) -> Result<(), Error> {
        let mut script = GIVE_UP.prepare_invoke();
        script.key(self.0.keys.view(view)).key(self.0.keys.discarded()).arg(generation);
        let answer: Vec<String> = self.ask(DOING, Effect::Change, Asked::Script(&script)).await?;
        match words(&answer)[..] {
            ["ok"] => Ok(()),
            ["none"] => Err(no_view(view)),
            ["read"] => Err(still_read(view, generation)),
            ["gone"] => Err(no_generation(view, generation)),
            _ => Err(strange(&answer)),
        }
    }

    /// Removes a piece of what discarded generations have left.
    pub(crate) async fn sweep_piece(&self) -> Result<Swept, Error> {
        let keys = &self.0.keys;
        let mut script = SWEEP.prepare_invoke();
        script.key(keys.discarded()).arg(SWEPT_MAX);
        script.arg(keys.all_rows()).arg(keys.all_tenants()).arg(keys.all_parked());
        let answer: Vec<String> = self.ask(DOING, Effect::Repeatable, Asked::Script(&script)).await?;
        match words(&answer)[..] {
            ["all"] => Ok(Swept::All),
            ["piece"] => Ok(Swept::Piece),
            _ => Err(strange(&answer)),
        }
    }

    /// Stores what is ordered of a view in place of the order with the number that is known.
    pub(crate) async fn store_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        let next = known.saturating_add(1);
        let mut script = PUT_ORDER.prepare_invoke();
        script.key(self.0.keys.view(view)).arg(known.to_string()).arg(next.to_string()).arg(body.as_str());
        let answer: Vec<String> = self.ask(DOING, Effect::Change, Asked::Script(&script)).await?;
        match words(&answer)[..] {
            ["ok"] => Ok(next),
            ["none"] => Err(no_view(view)),
            ["order"] => Err(order_moved(view)),
            _ => Err(strange(&answer)),
        }
    }
}

/// The names of the columns that are indexed.
pub(super) fn indexed(schema: &ViewSchema) -> Vec<&str> {
    schema.columns.iter().filter(|column| column.indexed).map(|column| column.name.as_str()).collect()
}

/// A fingerprint that was stored as text.
pub(super) fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(Fingerprint(number.to_be_bytes()))
}

fn words(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

fn strange(answer: &[String]) -> Error {
    Error::backend(DOING, format!("the script answered {answer:?}"))
}
