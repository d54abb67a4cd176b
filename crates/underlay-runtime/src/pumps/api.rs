use std::sync::Arc;

use underlay_core::{BusSubscription, Error, EventBus, Position, Subscriber};

use super::{RewindTo, RunningPumps, RunningSubscribers, Subscribed};
use crate::{Engine, FollowerState};

impl Engine {
    /// Starts every pump. They work until the answer is stopped or dropped; of several processes one keeps each of
    /// them at a time.
    #[must_use]
    pub fn start_pumps(&self) -> RunningPumps {
        self.pumps().start()
    }

    /// Subscribes the subscribers of the service to the bus of this process, and follows the log for its cache.
    ///
    /// # Errors
    /// As [`Engine::subscribe`].
    pub async fn start_subscribers(&self) -> Result<RunningSubscribers, Error> {
        let subscribed = self.pumps().start_subscribers().await?;
        Ok(RunningSubscribers { subscribed, cache: self.start_cache() })
    }

    /// Gives a subscriber every event that is committed after this call has returned, by whatever process, for as
    /// long as the answer is held. What was committed before is left out: a view or a pump remembers that. An event
    /// comes in the order of the log, and again where the subscriber failed.
    ///
    /// It reads the log by itself. Where its queue is full it reads no further until there is room, so it slows
    /// nobody down but itself, and [`WhenFull::Refuse`](underlay_core::WhenFull::Refuse) makes no difference.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a bound makes no sense; what the store says.
    pub async fn subscribe(
        &self,
        wanted: BusSubscription,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<Subscribed, Error> {
        self.pumps().subscribe(wanted, subscriber).await
    }

    /// The event bus of this process: where its subscribers stand, and their dead letters.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn EventBus> {
        self.pumps().bus()
    }

    /// What the pumps in this process are doing, by name.
    #[must_use]
    pub fn pump_states(&self) -> Vec<FollowerState> {
        self.pumps().states()
    }

    /// Takes away what stopped a pump, in whatever process, so that it tries again; false where nothing had.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such pump; [`Error::CheckpointMoved`] where it has gone on.
    pub async fn retry_pump(&self, pump: &str) -> Result<bool, Error> {
        self.pumps().retry(pump).await
    }

    /// Moves the place of a pump: what follows is brought again, or is left out. A process that keeps it goes on
    /// from there within a poll, once its batch is done. Returns the position.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such pump; [`Error::Invalid`] where the log does not reach that far;
    /// [`Error::CheckpointMoved`] where the pump moves it again and again meanwhile.
    pub async fn rewind_pump(&self, pump: &str, to: RewindTo) -> Result<Position, Error> {
        self.pumps().rewind(pump, to).await
    }
}
