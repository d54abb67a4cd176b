use std::time::Duration;

use serde::{Deserialize, Serialize};
use underlay_core::{Json, Position, StoredOrder, TenantId, Timestamp};

/// How long it takes until a rate is told.
const RATE_TIME_MIN: Duration = Duration::from_millis(500);

/// What a person orders of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewTask {
    /// To fold it anew beside the rows that are read, and swap that in.
    Rebuild,
    /// To fold it anew and compare every row with those that are read.
    Verify,
    /// The same, and to swap in what was folded where a row differs.
    Repair,
}

impl ViewTask {
    /// What is being done, for messages.
    #[must_use]
    pub fn doing(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuilt",
            Self::Verify => "verified",
            Self::Repair => "verified and repaired",
        }
    }
}

/// How far an order is.
///
/// ```text
///  waiting ──► folding ──► comparing ──► swapping ──► done
///     │           │  (to verify)  │ (to rebuild or repair)
///     └───────────┴───────┬───────┴──► failed, or cancelled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// No process has begun with it.
    Waiting,
    /// The rows are folded.
    Folding,
    /// The rows are compared.
    Comparing,
    /// The rows are swapped in.
    Swapping,
    /// It is carried out.
    Done,
    /// It cannot be carried out.
    Failed,
    /// A person has cancelled it.
    Cancelled,
}

impl OrderState {
    /// Whether nothing more becomes of it.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// What was last ordered of a view, and what has become of it. It is stored with the view, so that every process knows
/// it, and one goes on where another was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewOrder {
    /// What was ordered.
    pub task: ViewTask,
    /// How far it is.
    pub state: OrderState,
    /// Who ordered it.
    pub ordered_by: String,
    /// When.
    pub ordered_at: Timestamp,
    /// Whether any process that keeps the view carries it out; otherwise it is for the one that ordered it.
    pub in_background: bool,
    /// Whether a rebuild begins at the start of the log, also where one could go on.
    pub from_start: bool,
    /// The definition it is for. A process of another one leaves it alone.
    pub definition: String,
    /// The generation that is built for it; of a comparison that has not begun, the one that a comparison before it has
    /// left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How far the process has come that carries it out, or did last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<OrderProgress>,
    /// What came of the comparison, up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed, or who cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ViewOrder {
    /// Reads what a store holds; none where a program that is newer than this one has stored it.
    #[must_use]
    pub fn of(stored: &StoredOrder) -> Option<Self> {
        stored.body.decode().ok()
    }

    /// Whether a generation was folded for this comparison, or for one before that left it.
    pub(crate) fn has_folded_to_compare(&self, generation: u32) -> bool {
        let is_known = match self.generation {
            Some(known) => known == generation,
            // A process begins a generation before it can say so.
            None => self.progress.is_some() && !self.state.is_ended(),
        };
        self.task != ViewTask::Rebuild && is_known
    }

    /// Whether it is the same order as another one, whatever has become of it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let id = |order: &Self| (order.task, order.ordered_at, order.ordered_by.clone());
        id(self) == id(other)
    }
}

/// How far a process has come with an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderProgress {
    /// The process.
    pub by: String,
    /// Since when it is at it.
    pub since: Timestamp,
    /// Where it has begun.
    pub from: Position,
    /// Where it is.
    pub position: Position,
    /// Where it has to come to, as far as that is known.
    pub to: Position,
    /// When it was there.
    pub at: Timestamp,
}

impl OrderProgress {
    /// Positions a second; none where that cannot be told yet.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let passed = Duration::try_from(self.at.duration_since(self.since)).ok()?;
        let done = self.position.number().checked_sub(self.from.number())?;
        (passed >= RATE_TIME_MIN).then(|| (u128::from(done) * 1_000 / passed.as_millis()) as u64)
    }

    /// How long it takes from there on, at that rate.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.to.number().saturating_sub(self.position.number());
        let rate = self.rate().filter(|rate| *rate > 0)?;
        Some(Duration::from_millis((u128::from(left) * 1_000 / u128::from(rate)) as u64))
    }
}

/// What came of comparing the rows of a view with those that are folded anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The generation they are of; none where a program before this field has compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Rows that are read and were compared.
    pub rows: u64,
    /// Rows of them that hold something else.
    pub changed: u64,
    /// Rows that should be there and are not.
    pub missing: u64,
    /// Rows of them that should not be there.
    pub extra: u64,
    /// How the table differs from the one that was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alterations: Vec<String>,
    /// Why the rows cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The first differences.
    pub first: Vec<RowDifference>,
    /// The last row that was compared; the next process goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<(TenantId, String)>,
    /// Whether all was compared.
    pub is_whole: bool,
}

impl Verified {
    /// Whether the rows that are read are not the true ones.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.changed + self.missing + self.extra > 0
            || !self.alterations.is_empty()
            || self.unreadable.is_some()
    }
}

/// How a row that is read differs from the one that is folded anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifference {
    /// Whose row it is.
    pub tenant: TenantId,
    /// Its key.
    pub key: String,
    /// Both reflect every event at or below it.
    pub position: Position,
    /// The column; none where the whole row is missing, or should not be there.
    pub column: Option<String>,
    /// What is read there, as JSON; none where there is no such row.
    pub served: Option<String>,
    /// What should be; none where there should be no such row.
    pub expected: Option<String>,
}

/// An order as people look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderStanding {
    /// The order.
    #[serde(flatten)]
    pub order: ViewOrder,
    /// The process that carries it out now; none where none does, or where nobody knows.
    pub carried_out_by: Option<String>,
    /// Positions a second.
    pub rate: Option<u64>,
    /// Seconds until the rows are folded.
    pub seconds_left: Option<u64>,
}

impl OrderStanding {
    /// An order, and the process that carries it out now.
    #[must_use]
    pub fn new(order: ViewOrder, holder: Option<String>) -> Self {
        let progress = order.progress.as_ref();
        let is_folded = order.state == OrderState::Folding;
        Self {
            rate: progress.and_then(OrderProgress::rate),
            seconds_left: progress
                .filter(|_| is_folded)
                .and_then(OrderProgress::time_left)
                .map(|left| left.as_secs()),
            carried_out_by: holder.filter(|_| !order.state.is_ended()),
            order,
        }
    }
}

/// The body of an order, as it is stored.
pub(crate) fn body_of(order: &ViewOrder) -> Result<Json, underlay_core::Error> {
    Json::encode(order)
}
