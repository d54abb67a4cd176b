//! The toolkit of adapters: what whoever writes a store needs, in this repository or elsewhere, and no
//! service does.
//!
//! - **Writing**: a [`CommitIntake`] takes commits in, a [`BatchQueue`] chooses which of them share a flush,
//!   a [`Flight`] is such a batch on its way, and [`Unanswered`] knows what has no answer yet.
//!   [`check_unit`] and [`safe_order`] are for changes of entities.
//! - **Reading**: [`ReadTurns`] says whose turn it is, and a [`Walk`] which rows a query looks at;
//!   [`sql_comparisons`] and its neighbours write that down for a database that speaks SQL. [`stream_range`] says
//!   between which names a list of streams lies.
//! - **Rows**: [`event_column`], [`StoredNames`], [`stored_time`] and [`stored_outcome`] read back what was
//!   stored, and name damage by its place. A [`ViewList`] reads the catalogue of views.
//! - **Schema**: a [`Migration`] is applied once.
//! - **Tests**: a [`FaultHook`] makes a step fail.

mod backend;
mod batch;
mod commit_intake;
mod description;
mod entity_unit;
mod fault_hook;
mod flight;
mod migration;
mod options;
mod read_turns;
mod reply;
mod sql_text;
mod stored_names;
mod stored_values;
mod stream_range;
mod unanswered;
mod view_list;
mod wakeup_hub;
mod walk;

pub use backend::{Backend, Close};
pub use batch::{BatchLimits, BatchQueue, Queued};
pub use commit_intake::{CommitIntake, Outage};
pub use description::{Adapter, Migrations, OptionValues, percent_decoded, split_options, without_password};
pub use entity_unit::{check_unit, safe_order};
pub use fault_hook::{FaultHook, Injected};
pub use flight::Flight;
pub use migration::{Migration, count_applied};
pub use read_turns::{ReadLimits, ReadTurn, ReadTurns};
pub use reply::{Answer, Answered, Reply, Request, answer_again, answer_for_other};
pub use sql_text::{sql_beyond, sql_comparisons, sql_condition, sql_direction, sql_name};
pub use stored_names::{At, KnownNames, StoredName, StoredNames, stored_name};
pub use stored_values::{
    PAGE_BYTES_MAX, event_bytes, event_column, moment_after, payload_columns, recorded_time, refusal_columns,
    stored_number, stored_outcome, stored_payload, stored_time, work_bytes,
};
pub use stream_range::stream_range;
pub use unanswered::{Ticket, Unanswered};
pub use view_list::{ListedGeneration, ViewList, check_definition};
pub use wakeup_hub::WakeupHub;
pub use walk::Walk;
