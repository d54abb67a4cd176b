//! A reader of the whole log of ours: pages of the default size, the next one read while this one is decoded.

use std::sync::Arc;

use underlay_core::{DecodeError, Error, EventStore, LogFilter, LogPage, LogScope, Position, Recorded};

use crate::{AccountEvent, Result};

/// Events in a page.
const PAGE_EVENTS: usize = 5_000;

/// What a reader of the whole log saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many events.
    pub events: u64,
    /// The sum of what they book.
    pub cents: i64,
}

impl Seen {
    fn take(&mut self, page: LogPage) -> std::result::Result<(), DecodeError> {
        for record in page.events {
            if let Some(recorded) = Recorded::<AccountEvent>::decode(record)? {
                self.events += 1;
                self.cents += recorded.event.cents();
            }
        }
        Ok(())
    }
}

/// The page of every tenant's events after a position.
///
/// # Errors
/// As [`EventStore::read_all`].
pub async fn log_page(store: Arc<dyn EventStore>, after: Position) -> std::result::Result<LogPage, Error> {
    store.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), PAGE_EVENTS).await
}

/// Reads and decodes a log of bookings to its end.
///
/// # Errors
/// Where a page cannot be read, or an event not be decoded.
pub async fn read_whole(store: &Arc<dyn EventStore>) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut page = log_page(store.clone(), Position::START).await?;
    loop {
        let (at_head, to) = (page.at_head, page.scanned_to);
        // Asked for first, in this task: the thread that decodes would keep one it spawned to itself.
        let ahead = async { if at_head { Ok(None) } else { log_page(store.clone(), to).await.map(Some) } };
        let decoding = async { tokio::task::block_in_place(|| seen.take(page)) };
        let (ahead, decoded) = tokio::join!(ahead, decoding);
        decoded?;
        match ahead? {
            Some(next) => page = next,
            None => return Ok(seen),
        }
    }
}
