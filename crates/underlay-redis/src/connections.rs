//! One connection that many callers share, and its successor where it is lost.
//!
//! The driver's own manager of connections is not used, for three reasons. It does not tell whether a request was sent
//! before it failed, which is what a caller must know who changes something. It keeps a connection that has fallen
//! silent. And it never tries again where the server refused the password once.
//!
//! A connection is given up when it ends, when an answer does not come in time, and when the server says that it is
//! another one than before: a replica, or one that wants to know again who asks. The next caller makes a new one, and
//! those who wait meanwhile get it, or the same error.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind,
};
use tokio::sync::Mutex;

/// What the server is asked.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

/// What asking the server came to.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody could be asked.
    NotSent(RedisError),
    /// The server refused it, or the answer was lost.
    Sent(RedisError),
}

impl Failure {
    pub(crate) fn error(&self) -> &RedisError {
        match self {
            Self::NotSent(error) | Self::Sent(error) => error,
        }
    }

    /// Whether it may have been carried out all the same.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self, Self::Sent(error) if error.is_io_error() || error.kind() == ErrorKind::Parse)
    }

    /// Whether the connection had ended, by the time or before it was used.
    fn is_end(&self) -> bool {
        matches!(self, Self::Sent(error) if error.is_connection_dropped())
    }
}

/// Makes connections to a server, one at a time.
pub(crate) struct Connections {
    client: Client,
    connect_timeout: Duration,
    response_timeout: Duration,
    state: Mutex<State>,
    /// Counts the attempts to connect that failed.
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Why making a connection failed last.
    failed: Option<RedisError>,
    /// Counts connections.
    count: u64,
    /// No other is made.
    is_closed: bool,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    number: u64,
    /// Set once the server has ended it.
    ended: Arc<AtomicBool>,
}

impl Connections {
    pub(crate) fn new(client: Client, connect_timeout: Duration, response_timeout: Duration) -> Self {
        Self {
            client,
            connect_timeout,
            response_timeout,
            state: Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// Asks the server once.
    pub(crate) async fn ask<T: FromRedisValue>(&self, asked: Asked<'_>) -> Result<T, Failure> {
        let Live { mut connection, number, .. } = self.live().await.map_err(Failure::NotSent)?;
        let answer: RedisResult<T> = match asked {
            Asked::Command(command) => command.query_async(&mut connection).await,
            Asked::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
            Asked::Script(script) => script.invoke_async(&mut connection).await,
        };
        if let Err(error) = &answer
            && ends_connection(error)
        {
            self.give_up(number).await;
        }
        answer.map_err(Failure::Sent)
    }

    /// Asks the server, and once more where the connection turns out to be gone: for what may be carried out twice.
    pub(crate) async fn ask_again<T: FromRedisValue>(&self, asked: Asked<'_>) -> Result<T, Failure> {
        match self.ask(asked).await {
            Err(failure) if failure.is_end() => self.ask(asked).await,
            answer => answer,
        }
    }

    /// The connection there is, or a new one.
    async fn live(&self) -> RedisResult<Live> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if state.is_closed {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the store was closed").into());
        }
        if let Some(live) = state.live.as_ref().filter(|live| !live.ended.load(Ordering::Acquire)) {
            return Ok(live.clone());
        }
        // Whoever waited while it failed has waited long enough.
        if self.failures.load(Ordering::Acquire) != failures
            && let Some(error) = &state.failed
        {
            return Err(error.clone());
        }
        state.count += 1;
        match self.connect(state.count).await {
            Ok(live) => {
                state.live = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                state.live = None;
                state.failed = Some(error.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    async fn connect(&self, number: u64) -> RedisResult<Live> {
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        let heard = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_push_sender(heard);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Live { connection, number, ended })
    }

    /// Makes no connection any more, and gives up the one there is once what was asked is answered.
    pub(crate) async fn close(&self) {
        let mut state = self.state.lock().await;
        state.is_closed = true;
        state.live = None;
    }

    /// Gives up a connection, where it is still the one in use.
    async fn give_up(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.live.as_ref().is_some_and(|live| live.number == number) {
            state.live = None;
        }
    }
}

/// Whether a connection is of no use after an error.
fn ends_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => true,
        _ => error.code() == Some("NOAUTH"),
    }
}
