use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryMail, MemoryReadModels, MemorySnapshots, SentMail};
use underlay_core::{Archive, Clock, EventStore, Mail, MailError, Mailbox, ReadModels, Retention, Snapshots};

use crate::{
    ArchiveFixture, ArrivedMail, EventStoreFixture, Fixture, MailAnswer, MailFixture, ReadModelsFixture,
    RetentionFixture, Skip, SnapshotsFixture,
};

/// Opens the adapters in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFixture {
    /// The log.
    pub events: MemoryEventStore,
    /// The tables of views.
    pub views: MemoryReadModels,
    /// The stored states.
    pub snapshots: MemorySnapshots,
}

impl MemoryFixture {
    /// Empty stores whose log stamps events by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { events: MemoryEventStore::new(clock), ..Self::default() }
    }
}

impl Fixture for MemoryFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::default())
    }

    async fn reopen(self) -> Self {
        self.clone()
    }
}

impl EventStoreFixture for MemoryFixture {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.events.clone())
    }
}

impl ReadModelsFixture for MemoryFixture {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.views.clone())
    }
}

impl SnapshotsFixture for MemoryFixture {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.snapshots.clone())
    }
}

impl ArchiveFixture for MemoryFixture {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.events.clone())
    }
}

impl RetentionFixture for MemoryFixture {
    fn retention(&self) -> Arc<dyn Retention> {
        Arc::new(self.events.clone())
    }
}

/// Opens the mail in memory.
#[derive(Clone, Debug)]
pub struct MemoryMailFixture(pub MemoryMail);

impl Fixture for MemoryMailFixture {
    async fn create() -> Result<Self, Skip> {
        let sender = Mailbox::parse("The Tests <tests@example.com>").expect("an address");
        Ok(Self(MemoryMail::new(sender)))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl MailFixture for MemoryMailFixture {
    fn mail(&self) -> Arc<dyn Mail> {
        Arc::new(self.0.clone())
    }

    fn sender(&self) -> Mailbox {
        self.0.sender().clone()
    }

    async fn arrived(&self) -> Vec<ArrivedMail> {
        self.0.sent().into_iter().map(|SentMail { key, mail }| ArrivedMail { id: key, mail }).collect()
    }

    fn answer(&self, address: &Mailbox, answer: MailAnswer) -> bool {
        let error = match answer {
            MailAnswer::Taken => None,
            MailAnswer::RefusedForGood => Some(MailError::Refused("nobody of this name".to_owned())),
            MailAnswer::RefusedForNow => Some(MailError::Deferred("come back later".to_owned())),
        };
        self.0.refuse(address.address(), error);
        true
    }

    async fn set_away(&mut self, away: bool) {
        self.0.refuse_all(away.then(|| MailError::Unavailable("nobody is there".to_owned())));
    }
}
