//! What writers and readers wrote down, and what the log holds: all that an audit looks at.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use underlay_core::{
    Category, Committed, EventId, EventType, ExpectedVersion, LogFilter, LogScope, Position, RecordedEvent,
    StreamName, StreamVersion, TenantId,
};
use uuid::Uuid;

use crate::Result;
use crate::work::Deliveries;

/// The tenants there are.
pub(crate) const TENANTS: [&str; 3] = ["north", "south", "east"];
/// The categories of streams.
pub(crate) const CATEGORIES: [&str; 2] = ["parcel", "crate"];
/// The types of events.
pub(crate) const EVENT_TYPES: [&str; 3] = ["packed", "moved", "left"];

/// The payload of every event: which part of which commit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) commit: Uuid,
    /// From 0.
    pub(crate) index: u32,
    /// Events in the commit.
    pub(crate) count: u32,
}

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) position: u64,
    pub(crate) tenant: TenantId,
    pub(crate) stream: StreamName,
    pub(crate) event_type: EventType,
    pub(crate) version: u64,
    pub(crate) event: Uuid,
    pub(crate) mark: Mark,
    /// Whether the log says that its commit ends here.
    pub(crate) ends_commit: bool,
}

impl LogEntry {
    pub(crate) fn new(event: &RecordedEvent) -> Result<Self> {
        let mark =
            event.payload.text().decode().map_err(|error| format!("position {}: {error}", event.position))?;
        Ok(Self {
            position: event.position.number(),
            tenant: event.tenant.clone(),
            stream: event.stream.clone(),
            event_type: event.event_type.clone(),
            version: event.version.0,
            event: event.event_id.0,
            mark,
            ends_commit: event.commit_tail == 0,
        })
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen::of(self.position, self.event)
    }
}

/// An event as a reader noted it: its position, and a part of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen(pub(crate) u64, pub(crate) u32);

impl Seen {
    pub(crate) fn new(event: &RecordedEvent) -> Self {
        Self::of(event.position.number(), event.event_id.0)
    }

    pub(crate) fn of(position: u64, event: Uuid) -> Self {
        Self(position, tag(event))
    }
}

/// The last four bytes of an id: random ones.
fn tag(id: Uuid) -> u32 {
    let [.., a, b, c, d] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// What a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Feed {
    /// Every event of every tenant.
    Everything,
    /// Every tenant's events of one type.
    OneType,
    /// Every tenant's events of one category.
    OneCategory,
    /// One tenant's events.
    OneTenant,
    /// One tenant's events of one type.
    OneTenantOneType,
}

impl Feed {
    pub(crate) const ALL: [Self; 5] =
        [Self::Everything, Self::OneType, Self::OneCategory, Self::OneTenant, Self::OneTenantOneType];

    /// As the command line writes it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(|| format!("{self:?}"), |value| value.get_name().to_owned())
    }

    pub(crate) fn scope(self) -> Result<LogScope> {
        Ok(match self {
            Self::OneTenant | Self::OneTenantOneType => LogScope::Tenant(TenantId::new(TENANTS[0])?),
            Self::Everything | Self::OneType | Self::OneCategory => LogScope::EveryTenant,
        })
    }

    pub(crate) fn filter(self) -> Result<LogFilter> {
        let mut filter = LogFilter::default();
        match self {
            Self::OneType | Self::OneTenantOneType => {
                filter.event_types.push(EventType::new(EVENT_TYPES[0])?);
            }
            Self::OneCategory => filter.categories.push(Category::new(CATEGORIES[0])?),
            Self::Everything | Self::OneTenant => {}
        }
        Ok(filter)
    }

    /// Whether an event is for this feed: said once more, without the types the stores use.
    pub(crate) fn takes(self, entry: &LogEntry) -> bool {
        let type_fits = entry.event_type.as_str() == EVENT_TYPES[0];
        let tenant_fits = entry.tenant.as_str() == TENANTS[0];
        match self {
            Self::Everything => true,
            Self::OneType => type_fits,
            Self::OneCategory => entry.stream.category() == CATEGORIES[0],
            Self::OneTenant => tenant_fits,
            Self::OneTenantOneType => tenant_fits && type_fits,
        }
    }
}

/// What a writer means to store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intention {
    pub(crate) commit: Uuid,
    pub(crate) tenant: TenantId,
    /// What it expects of streams, written or only read.
    pub(crate) expected: Vec<(StreamName, ExpectedVersion)>,
}

/// What a writer was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) commit: Uuid,
    /// Of the last event.
    pub(crate) position: u64,
    pub(crate) count: u32,
    pub(crate) versions: Vec<StreamVersion>,
}

impl Acknowledged {
    pub(crate) fn new(committed: &Committed) -> Self {
        Self {
            commit: committed.id.0,
            position: committed.position.number(),
            count: committed.event_count,
            versions: committed.versions.clone(),
        }
    }
}

/// A line of a writer's journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum WriterLine {
    /// Written before the commit is sent, every time it is.
    Intended(Intention),
    /// The answer: it is stored.
    Acknowledged(Acknowledged),
    /// The answer was that nothing is stored.
    Declined {
        commit: Uuid,
        /// Whether another commit was in the way; otherwise the store had no room.
        conflict: bool,
    },
    /// An answer that breaks the store's contract.
    Wrong(String),
}

/// A line of a reader's journal: a page, and the checkpoint behind it. Both in one write, so that a
/// kill takes both or neither.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PageLine {
    pub(crate) after: u64,
    pub(crate) scanned_to: u64,
    pub(crate) scanned_to_id: Option<EventId>,
    pub(crate) seen: Vec<Seen>,
    /// How long the log was ahead while the reader made no progress.
    pub(crate) stall_micros: u64,
    /// Reads before it that the store had no connection or no time for.
    pub(crate) unavailable: u64,
}

impl PageLine {
    pub(crate) fn position(&self) -> Position {
        Position::from_number(self.scanned_to)
    }
}

/// A reader and its journal.
#[derive(Debug)]
pub(crate) struct ReaderEvidence {
    pub(crate) name: String,
    pub(crate) feed: Feed,
    pub(crate) pages: Vec<PageLine>,
}

/// A dump that was taken while everybody was at work, restored beside.
#[derive(Debug)]
pub(crate) struct Backup {
    /// The head of the log just before it was taken.
    pub(crate) at_least: u64,
    /// The log that was restored.
    pub(crate) log: Vec<LogEntry>,
}

/// All there is to look at.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The log as it was read from the start, at the end.
    pub(crate) log: Vec<LogEntry>,
    pub(crate) writers: Vec<WriterLine>,
    pub(crate) readers: Vec<ReaderEvidence>,
    pub(crate) backup: Option<Backup>,
    /// Commits stored for each of many equal tenants, while all of them waited; nothing where there was
    /// no crowd.
    pub(crate) crowd: Vec<u64>,
    /// What was brought to a receiver, of work that was sent.
    pub(crate) deliveries: Deliveries,
}
