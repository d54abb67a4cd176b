//! UmaDB: its server, by its client. An account is a tag; an append fails where the tag has newer events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use figures::{Booking, Seen};
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_dcb::{
    DcbAppendCondition, DcbError, DcbEvent, DcbEventStoreAsync, DcbQuery, DcbQueryItem, DcbSequencedEvent,
};
use uuid::Uuid;

use super::{Appended, Follower, Log, Tally};
use crate::Result;
use crate::account::AccountEvent;

/// The connections it was fastest with at 64 callers, of 1, 4, 8, 16, 32 and 64.
pub(crate) const CONNECTIONS: u32 = 8;

pub(crate) struct Umadb {
    clients: Vec<AsyncUmaDbClient>,
    next: AtomicUsize,
    /// Ends with this.
    _server: servers::Umadb,
}

impl Umadb {
    pub(crate) async fn open(server: servers::Umadb, connections: u32) -> Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(UmaDbClient::new(server.address()).connect_async().await?);
        }
        Ok(Self { clients, next: AtomicUsize::new(0), _server: server })
    }

    fn client(&self) -> &AsyncUmaDbClient {
        &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len()]
    }
}

fn of_account(booking: Booking) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().tags([booking.stream()]))
}

/// With an id, which makes a repeat of the append harmless.
fn event(booking: Booking) -> Result<DcbEvent> {
    let event = AccountEvent::of(booking);
    let data = serde_json::to_vec(&event)?;
    let new = DcbEvent::default().event_type(event.type_name()).tags([booking.stream()]);
    Ok(new.data(data).uuid(Uuid::now_v7()))
}

fn decoded(event: &DcbSequencedEvent) -> Result<AccountEvent> {
    Ok(serde_json::from_slice(&event.event.data)?)
}

#[async_trait]
impl Log for Umadb {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        let after = u64::try_from(seen).ok().filter(|position| *position > 0);
        let condition = DcbAppendCondition::new(of_account(booking)).after(after);
        let client = self.client();
        match client.append(vec![event(booking)?], Some(condition), None).await {
            Ok(position) => Ok(Appended::Stored(i64::try_from(position)?)),
            Err(DcbError::IntegrityError(_)) => {
                let (last, _) = client.read_with_head(Some(of_account(booking)), None, true, Some(1)).await?;
                let position = last.first().map_or(0, |event| event.position);
                Ok(Appended::Conflict(i64::try_from(position)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn append_many(&self, bookings: &[Booking], _: u64) -> Result<()> {
        let events = bookings.iter().map(|booking| event(*booking)).collect::<Result<_>>()?;
        self.client().append(events, None, None).await?;
        Ok(())
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.client().head().await?.unwrap_or(0))
    }

    async fn read_whole(&self) -> Result<Option<Seen>> {
        let mut events = self.client().read(None, None, false, None).await?;
        let mut seen = Seen::default();
        loop {
            let batch = events.next_batch().await?;
            if batch.is_empty() {
                return Ok(Some(seen));
            }
            for event in &batch {
                seen.events += 1;
                seen.cents += decoded(event)?.cents();
            }
        }
    }

    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>> {
        let mut events = self.client().subscribe(None, None).await?;
        Ok(Some(Follower::start(|told| async move {
            while let Some(batch) = told.run_until_cancelled(events.next_batch()).await {
                for event in batch? {
                    tally.note(decoded(&event)?.number()?);
                }
            }
            Ok(())
        })))
    }

    async fn fold(&self, _: u64, _: Duration) -> Result<Option<f64>> {
        Ok(None)
    }

    fn events_table(&self) -> Option<&'static str> {
        None
    }

    async fn close(&self) -> Result<()> {
        self.clients.iter().for_each(AsyncUmaDbClient::close);
        Ok(())
    }
}
