//! Connections to one service, and one request over one of them.
//!
//! A connection carries one request at a time, and is kept once its answer was read to the end. What matters most is
//! whether a request may have arrived: one that was not sent can be sent again, whatever it asks for.

use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use underlay_core::{Error, Timestamp};

use super::HttpConfig;
use super::address::Address;
use super::tls::Tls;

/// How long a connection that nobody uses is kept. Services close theirs after a time, and a request that meets that
/// moment may be lost.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody was asked.
    NotSent(String),
    /// The service may have been asked, and may have done it.
    Lost(String),
    /// The answer is there and larger than `answer_bytes_max`.
    TooLarge,
    /// So many requests are under way that nobody was asked.
    Full,
}

pub(super) struct Connections {
    address: Address,
    tls: Option<Tls>,
    config: HttpConfig,
    idle: Mutex<Vec<Idle>>,
}

/// A connection that nobody uses.
struct Idle {
    sender: Sender,
    since: Timestamp,
}

type Sender = SendRequest<Full<Bytes>>;

impl Connections {
    /// # Errors
    /// As [`Tls::new`].
    pub(super) fn new(address: Address, config: HttpConfig) -> Result<Self, Error> {
        let tls = if address.is_tls { Some(Tls::new(&address, &config)?) } else { None };
        Ok(Self { address, tls, config, idle: Mutex::default() })
    }

    /// Sends one request, and reads its answer within this time. Redirects are answers like others: nobody follows one.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Answer, Failure> {
        // The service may have ended any of those that were kept.
        while let Some(sender) = self.take_idle() {
            match self.exchange_over(sender, request, within).await {
                Ok(answered) => return answered,
                Err(unsent) => request = *unsent,
            }
        }
        let sender = self.connect(within).await?;
        match self.exchange_over(sender, request, within).await {
            Ok(answered) => answered,
            Err(_unsent) => Err(Failure::NotSent("it ended the connection before it was asked".to_owned())),
        }
    }

    /// Gives the request back where it was not sent.
    async fn exchange_over(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Result<Answer, Failure>, Box<Request<Full<Bytes>>>> {
        if sender.ready().await.is_err() {
            return Err(Box::new(request));
        }
        let answered = async {
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => {
                    return match error.take_message() {
                        Some(unsent) => Err(Box::new(unsent)),
                        None => Ok(Err(Failure::Lost(chain(&error.into_error())))),
                    };
                }
            };
            let answer = self.read(response).await;
            if answer.is_ok() {
                self.keep(sender);
            }
            Ok(answer)
        };
        match timeout(within, answered).await {
            Ok(answered) => answered,
            Err(_) => Ok(Err(Failure::Lost(format!("it did not answer within {within:?}")))),
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        match Limited::new(body, self.config.answer_bytes_max).collect().await {
            Ok(body) => Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
            Err(error) => Err(Failure::Lost(format!("its answer broke off: {}", chain(&*error)))),
        }
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.config.clock.now();
        let is_fresh =
            |since: Timestamp| Duration::try_from(now.duration_since(since)).is_ok_and(|age| age < IDLE_MAX);
        idle.retain(|idle| is_fresh(idle.since) && !idle.sender.is_closed());
        idle.pop().map(|idle| idle.sender)
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // No more are made than requests are under way.
        if idle.len() < self.config.requests_max {
            idle.push(Idle { sender, since: self.config.clock.now() });
        }
    }

    async fn connect(&self, within: Duration) -> Result<Sender, Failure> {
        let within = within.min(self.config.connect_timeout);
        let connected = async {
            let socket = TcpStream::connect((self.address.host(), self.address.port()));
            let socket = socket.await.map_err(|error| error.to_string())?;
            // A request is written at once, and waits for its answer.
            socket.set_nodelay(true).map_err(|error| error.to_string())?;
            match &self.tls {
                Some(tls) => handshake(tls.connect(socket).await?).await,
                None => handshake(socket).await,
            }
        };
        match timeout(within, connected).await {
            Ok(connected) => connected.map_err(Failure::NotSent),
            Err(_) => Err(Failure::NotSent(format!("there was no connection within {within:?}"))),
        }
    }
}

async fn handshake(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, String> {
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(|error| chain(&error))?;
    // It ends with its sender. Whoever sends hears what is wrong with it.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = chain(&error), "a connection to a service with entities ended");
        }
    });
    Ok(sender)
}

/// An error and everything behind it, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
