use std::fmt;
use std::sync::Arc;

use redis::FromRedisValue;
use underlay_core::Error;
use underlay_core::options::Options;

use crate::RedisConfig;
use crate::cache::CacheState;
use crate::connections::{Asked, Connections, Failure};
use crate::entities::Definitions;
use crate::error::{self, Effect};
use crate::keys::Keys;

/// Entities, rows of views, leases and a cache on one Redis. A clone is another handle to the same connections.
#[derive(Clone)]
pub struct RedisStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: RedisConfig,
    pub(crate) keys: Keys,
    /// For everything but queries and the cache: a long answer does not hold up a change.
    changes: Connections,
    queries: Connections,
    pub(crate) cached: Connections,
    pub(crate) definitions: Definitions,
    pub(crate) cache: CacheState,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects to a server: `redis://USER:PASSWORD@HOST:PORT/NUMBER`, or `rediss://` with TLS. Options may follow a
    /// question mark.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address or an option is wrong, or the server is too old; otherwise what the server
    /// says.
    pub async fn connect(address: &str, config: RedisConfig) -> Result<Self, Error> {
        let store = Self::new(address, config)?;
        store.check().await?;
        Ok(store)
    }

    /// The same, without asking the server: it is connected to once something is asked of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address or an option is wrong.
    pub fn new(address: &str, config: RedisConfig) -> Result<Self, Error> {
        let (place, config) = config.with_options_of(address)?;
        config.check_bounds()?;
        let client = config.client(&place)?;
        let connections =
            || Connections::new(client.clone(), config.connect_timeout, config.response_timeout);
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(&config.prefix),
            changes: connections(),
            queries: connections(),
            cached: Connections::new(client.clone(), config.cache_timeout, config.cache_timeout),
            definitions: Definitions::default(),
            cache: CacheState::default(),
            config,
        })))
    }

    /// Gives the connections back once what was asked is answered, for every handle. Later calls are
    /// [`Error::Unavailable`], and the cache finds nothing. Doing it again changes nothing.
    ///
    /// # Errors
    /// None so far.
    pub async fn close(&self) -> Result<(), Error> {
        for connections in [&self.0.changes, &self.0.queries, &self.0.cached] {
            connections.close().await;
        }
        Ok(())
    }

    /// Asks the server.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        doing: &str,
        effect: Effect,
        asked: Asked<'_>,
    ) -> Result<T, Error> {
        let answer = match effect {
            Effect::Repeatable => self.0.changes.ask_again(asked).await,
            Effect::Unit | Effect::Change => self.0.changes.ask(asked).await,
        };
        answer.map_err(|failure| error::told(doing, effect, &failure))
    }

    /// Asks the server once, and leaves it to the caller what a failure means.
    pub(crate) async fn ask_once<T: FromRedisValue>(&self, asked: Asked<'_>) -> Result<T, Failure> {
        self.0.changes.ask(asked).await
    }

    /// Asks the server for a part of what a query looks at.
    pub(crate) async fn ask_for_query<T: FromRedisValue>(&self, asked: Asked<'_>) -> Result<T, Error> {
        let answer = self.0.queries.ask_again(asked).await;
        answer.map_err(|failure| error::told("querying Redis", Effect::Repeatable, &failure))
    }
}
