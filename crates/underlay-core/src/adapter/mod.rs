//! The toolkit of adapters: what whoever writes a store needs, in this repository or elsewhere, and no
//! service does.

mod backend;
mod batch;
mod description;
mod read_turns;
mod unanswered;
mod wakeup_hub;
mod walk;

pub use backend::{Backend, Close};
pub use batch::{BatchLimits, BatchQueue, Queued};
pub use description::{Adapter, Migrations, OptionValues, without_password};
pub use read_turns::{ReadLimits, ReadTurn, ReadTurns};
pub use unanswered::{Ticket, Unanswered};
pub use wakeup_hub::WakeupHub;
pub use walk::Walk;
