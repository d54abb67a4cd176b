use std::time::Duration;

use tokio::sync::Mutex;
use underlay_core::{Clock, Error, Timestamp};

use crate::subscription::has_passed;

/// How long what the store said is told again before it is asked anew.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What the store last said of something, and when. However many ask, and however often, the store is asked once in
/// that time, and by one of them.
pub(crate) struct Known<T>(Mutex<Option<(Timestamp, T)>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Known<T> {
    /// What is known, and asked anew where it is too old.
    pub(crate) async fn or_ask(
        &self,
        clock: &dyn Clock,
        ask: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut known = self.0.lock().await;
        let now = clock.now();
        match &*known {
            // A clock that was set back makes nothing fresh.
            Some((at, told)) if *at <= now && !has_passed(AGE_MAX, *at, now) => Ok(told.clone()),
            _ => {
                let told = ask.await?;
                *known = Some((now, told.clone()));
                Ok(told)
            }
        }
    }

    /// Asks now, whatever is known.
    pub(crate) async fn ask(
        &self,
        clock: &dyn Clock,
        ask: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let now = clock.now();
        let told = ask.await?;
        *self.0.lock().await = Some((now, told.clone()));
        Ok(told)
    }
}
