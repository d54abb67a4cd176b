//! What is read from files, and looked at again while it is used.
//!
//! Who comes some time after the last look has somebody look again, and waits for it. Who comes while somebody looks
//! goes on with what is known, as long as that is recent enough; then they wait too. So a service that nobody calls looks
//! at nothing. Files that are damaged or gone change nothing: what was last read is used, and [`Watched::is_stale`] says
//! so.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinError;
use underlay_core::{Clock, Error, Timestamp};

/// Files, and what is in them.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is read.
    type Content: Send + Sync + 'static;

    /// Between two looks.
    const LOOK_INTERVAL: Duration;

    /// How old what is known may be for those who come while somebody looks.
    const AGE_MAX: Duration;

    /// What is told where the files cannot be used as they are now.
    const STALE: &'static str;

    /// Reads the files. Those that hold what is `known` need not be read again.
    ///
    /// # Errors
    /// Why they cannot be used.
    fn read_where_changed(
        &self,
        known: Option<&Known<Self::Content>>,
    ) -> Result<Option<Self::Content>, Error>;

    /// Something else was read.
    fn has_changed(&self, content: &Self::Content);
}

/// What is known of files.
pub(crate) struct Known<T> {
    /// What was last read.
    pub(crate) content: Arc<T>,
    /// When somebody began to read it.
    pub(crate) read_at: Timestamp,
    looked_at: Timestamp,
    /// Whether the files cannot be used as they are now.
    pub(crate) is_stale: bool,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { content: self.content.clone(), ..*self }
    }
}

/// What is read from files, as it is now.
pub(crate) struct Watched<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    clock: Arc<dyn Clock>,
    known: RwLock<Known<S::Content>>,
    /// Held by who looks.
    looking: Arc<Mutex<()>>,
}

impl<S: Source> Watched<S> {
    /// Reads the files. They are looked at again while they are used, by this clock.
    ///
    /// # Errors
    /// As [`Source::read_where_changed`].
    pub(crate) fn open(source: S, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // Before they are read: what is changed while they are read shows as young.
        let now = clock.now();
        let content = source.read_where_changed(None)?;
        let content = content.ok_or_else(|| Error::backend("reading files", "they were not read"))?;
        let known = Known { content: Arc::new(content), read_at: now, looked_at: now, is_stale: false };
        Ok(Self(Arc::new(Inner { source, clock, known: RwLock::new(known), looking: Arc::default() })))
    }

    /// The files.
    pub(crate) fn source(&self) -> &S {
        &self.0.source
    }

    /// The time by its clock.
    #[cfg(feature = "tls")]
    pub(crate) fn time(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// What was last read. Nobody looks.
    pub(crate) fn last(&self) -> Arc<S::Content> {
        self.0.known().content
    }

    /// Whether the files could not be used when somebody last looked.
    pub(crate) fn is_stale(&self) -> bool {
        self.0.known().is_stale
    }

    /// What is in the files now, within the bounds of the source.
    ///
    /// # Errors
    /// Where whoever looked panicked.
    pub(crate) async fn now(&self) -> Result<Arc<S::Content>, JoinError> {
        let inner = &self.0;
        let age = inner.age();
        if age >= S::LOOK_INTERVAL {
            match inner.looking.clone().try_lock_owned() {
                Ok(turn) => {
                    let looker = inner.clone();
                    // A task of its own: whoever asked may go away.
                    let look = move || {
                        let _turn = turn;
                        looker.look();
                    };
                    tokio::task::spawn_blocking(look).await?;
                }
                Err(_) if age < S::AGE_MAX => {}
                Err(_) => drop(inner.looking.lock().await),
            }
        }
        Ok(self.last())
    }

    /// Keeps others from looking.
    #[cfg(test)]
    pub(crate) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.0.looking.clone().lock_owned().await
    }

    #[cfg(test)]
    pub(crate) fn look(&self) {
        self.0.look();
    }
}

impl<S: Source> Inner<S> {
    fn known(&self) -> Known<S::Content> {
        // Nothing below the lock can panic half way.
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago somebody looked.
    fn age(&self) -> Duration {
        let age = self.clock.now().duration_since(self.known().looked_at);
        // A clock that was set back says nothing: look.
        Duration::try_from(age).unwrap_or(Duration::MAX)
    }

    fn look(&self) {
        let mut known = self.known();
        let now = self.clock.now();
        match self.source.read_where_changed(Some(&known)) {
            Ok(changed) => {
                if let Some(content) = changed {
                    self.source.has_changed(&content);
                    (known.content, known.read_at) = (Arc::new(content), now);
                }
                known.is_stale = false;
            }
            Err(error) => {
                if !known.is_stale {
                    tracing::error!(%error, "{}", S::STALE);
                }
                known.is_stale = true;
            }
        }
        known.looked_at = now;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }
}
