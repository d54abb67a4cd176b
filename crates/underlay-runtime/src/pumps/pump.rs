//! Brings the log to a sink.
//!
//! What happens when something fails: a failure of the sink that may pass is tried again after a pause that
//! doubles, and the pump stays where it is. A final one pauses the pump, as the
//! [subscription](crate::subscription) says. It tries by itself every [`AGAIN`], since what was wrong is most often
//! mended at the other end.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Clock, Error, LogFilter, ParkedEvent, ProcessStart, RecordedEvent, Sink};

use super::call::bring;
use crate::subscription::{Consumer, FollowerKind, Halt, Stuck};

/// Bytes of one batch, about: it ends with the commit that reaches them.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Bytes of an event beside its payload and metadata, about.
const EVENT_BYTES: usize = 512;
/// How long a pump that was paused by a final failure waits before it tries by itself.
const AGAIN: Duration = Duration::from_secs(60);

/// Brings batches to a sink.
pub(crate) struct Pump {
    pub(super) name: &'static str,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) batch_events_max: usize,
}

impl Consumer for Pump {
    const KIND: FollowerKind = FollowerKind::Pump;
    const TRIES_AGAIN: Option<Duration> = Some(AGAIN);

    type Definition = super::Undefined;

    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self) -> ProcessStart {
        self.sink.start()
    }

    fn filter(&self) -> LogFilter {
        self.sink.filter()
    }

    fn page_events_max(&self) -> usize {
        self.batch_events_max
    }

    fn definition(&self) -> Self::Definition {
        super::Undefined {}
    }

    async fn check_definition(&self, _: &Self::Definition) -> Result<(), Error> {
        Ok(())
    }

    fn batches(&self, page: Vec<RecordedEvent>) -> Vec<Arc<[RecordedEvent]>> {
        let (mut batches, mut batch, mut held) = (Vec::new(), Vec::<RecordedEvent>::new(), 0);
        for event in page {
            let begins_commit = batch.last().is_some_and(|last| event.position > last.commit_end());
            if held >= BATCH_BYTES_MAX && begins_commit {
                batches.push(std::mem::take(&mut batch).into());
                held = 0;
            }
            held += EVENT_BYTES + event.payload.bytes() + event.metadata.as_str().len();
            batch.push(event);
        }
        if !batch.is_empty() {
            batches.push(batch.into());
        }
        batches
    }

    async fn take(&self, batch: &Arc<[RecordedEvent]>) -> Result<u64, Halt<Stuck>> {
        let brought = bring(&self.sink, batch.clone(), &*self.clock).await;
        match (brought, batch.first()) {
            (Ok(()), _) => Ok(batch.len() as u64),
            (Err(failed), Some(first)) if failed.is_final => {
                Err(Halt::Stuck(Stuck::of::<Self>(ParkedEvent::new(first, &failed.whole()), false)))
            }
            (Err(failed), _) => {
                Err(Error::unavailable(format!("the sink of pump {}: {}", self.name, failed.whole())).into())
            }
        }
    }

    fn told(first: &ParkedEvent) -> String {
        format!("the sink cannot take the batch that begins at position {}: {}", first.position, first.reason)
    }

    fn advice(&self, _: &str) -> String {
        String::new()
    }

    fn repair(&self, program: &str) -> String {
        format!("{program} pump rewind {} --to start|end|POSITION", self.name)
    }
}
