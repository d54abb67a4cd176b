use underlay_core::{Category, CommitId, Direction, LogFilter, Metadata, RecordedEvent, StreamName};
use uuid::Uuid;

/// Which events of a tenant are meant; the default means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Their categories and types.
    pub log: LogFilter,
    /// Only of this stream.
    pub stream: Option<StreamName>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only what followed from this request.
    pub correlation_id: Option<Uuid>,
    /// Only of this command.
    pub command_id: Option<CommitId>,
}

impl EventFilter {
    /// Whether it means all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it means this event.
    #[must_use]
    pub fn allows(&self, event: &RecordedEvent) -> bool {
        self.log.allows(event)
            && self.stream.as_ref().is_none_or(|stream| event.stream == *stream)
            && (!self.asks_who() || self.allows_who(event))
    }

    /// What the log itself can leave out.
    #[must_use]
    pub fn of_log(&self) -> LogFilter {
        let mut filter = self.log.clone();
        if filter.categories.is_empty()
            && let Some(stream) = &self.stream
        {
            // The category of a stream's name is well formed.
            filter.categories.extend(Category::new(stream.category()));
        }
        filter
    }

    /// Whether events that are read may be none that are meant: only the log, in ascending order, leaves out others by
    /// category and type.
    pub(super) fn sifts(&self, order: Direction, of_log: bool) -> bool {
        let by_store = of_log && order == Direction::Ascending;
        self.asks_who() || !(by_store || self.log.is_open())
    }

    fn asks_who(&self) -> bool {
        self.actor.is_some() || self.correlation_id.is_some() || self.command_id.is_some()
    }

    fn allows_who(&self, event: &RecordedEvent) -> bool {
        // What is no metadata of ours says nobody.
        let Ok(metadata) = event.metadata.decode::<Metadata>() else { return false };
        (self.actor.is_none() || metadata.actor == self.actor)
            && (self.correlation_id.is_none() || metadata.correlation_id == self.correlation_id)
            && (self.command_id.is_none() || metadata.command_id == self.command_id)
    }
}
