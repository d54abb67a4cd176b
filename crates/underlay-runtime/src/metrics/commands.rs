use std::collections::BTreeMap;

use underlay_core::{Error, Timestamp};

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::registry::NotExecuted;
use crate::{Executed, Registry};

static COMMANDS: Family = Family::new(
    "underlay_commands_total",
    Kind::Counter,
    &["category", "command", "outcome"],
    "Commands and operations that ended in this process; an operation has the category operations.",
);
static DURATION: Family = Family::new(
    "underlay_command_duration_seconds",
    Kind::Histogram,
    &["category", "command"],
    "How long a command took, from its first look at a state to its outcome.",
);
static CONFLICTS: Family = Family::new(
    "underlay_command_conflicts_total",
    Kind::Counter,
    &[],
    "Conflicts after which a command was decided again, or given up as conflict.",
);
static STATE_READS: Family = Family::new(
    "underlay_state_cache_reads_total",
    Kind::Counter,
    &["result"],
    "States that commands looked for in the cache of this process: hit or miss.",
);

/// What operations have in place of a category, as in their addresses.
const OPERATIONS: &str = "operations";

/// What became of a command.
#[derive(Clone, Copy)]
enum Ending {
    Accepted,
    Repeated,
    Refused,
    Conflict,
    Invalid,
    Failed,
}

impl Ending {
    const WORDS: [&str; 6] = ["accepted", "repeated", "refused", "conflict", "invalid", "failed"];

    fn of<R>(ended: &Result<Executed, NotExecuted<R>>) -> Self {
        match ended {
            Ok(executed) if executed.repeated => Self::Repeated,
            Ok(_) => Self::Accepted,
            Err(NotExecuted::Refused(_)) => Self::Refused,
            Err(NotExecuted::RefusedBefore { .. }) => Self::Repeated,
            Err(NotExecuted::Failed(Error::Conflict(_) | Error::EntityConflict(_))) => Self::Conflict,
            Err(NotExecuted::Failed(
                Error::Invalid(_) | Error::NotFound(_) | Error::IdReused(_) | Error::Denied(_),
            )) => Self::Invalid,
            Err(NotExecuted::Failed(_)) => Self::Failed,
        }
    }
}

#[derive(Default)]
struct Measured {
    /// By [`Ending`].
    endings: [Counter; Ending::WORDS.len()],
    duration: Histogram,
}

/// What is counted of commands.
pub(crate) struct CommandMetrics {
    /// By category and name.
    commands: BTreeMap<(&'static str, &'static str), Measured>,
    pub(crate) conflicts: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
}

impl CommandMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let named = |category: &'static str, name: &'static str| ((category, name), Measured::default());
        let of_aggregates = registry.aggregates().into_iter().flat_map(|aggregate| {
            aggregate.commands.into_iter().map(move |command| (aggregate.category, command.name))
        });
        let operations = registry.operations().into_iter().map(|operation| (OPERATIONS, operation.name));
        Self {
            commands: of_aggregates.chain(operations).map(|(category, name)| named(category, name)).collect(),
            conflicts: Counter::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
        }
    }

    /// A command of a category has ended; of none, it is an operation.
    pub(crate) fn ended<R>(
        &self,
        category: Option<&str>,
        name: &str,
        ended: &Result<Executed, NotExecuted<R>>,
        [begun, now]: [Timestamp; 2],
    ) {
        if let Some(measured) = self.commands.get(&(category.unwrap_or(OPERATIONS), name)) {
            measured.endings[Ending::of(ended) as usize].increment();
            measured.duration.observe_between(begun, now);
        }
    }

    /// How many have ended, however they did.
    pub(crate) fn ended_count(&self) -> u64 {
        self.commands.values().flat_map(|measured| &measured.endings).map(Counter::get).sum()
    }

    pub(crate) fn write(&self, out: &mut Exposition) {
        let mut counts = out.begin(&COMMANDS);
        for ((category, name), measured) in &self.commands {
            for (word, count) in Ending::WORDS.iter().zip(&measured.endings) {
                counts.add(&[category, name, word], count.get());
            }
        }
        let mut durations = out.begin(&DURATION);
        for ((category, name), measured) in &self.commands {
            durations.add_histogram(&[category, name], &measured.duration);
        }
        out.begin(&CONFLICTS).add(&[], self.conflicts.get());
        out.begin(&STATE_READS).add(&["hit"], self.cache_hits.get()).add(&["miss"], self.cache_misses.get());
    }
}
