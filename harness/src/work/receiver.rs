//! Where parcels arrive: outside every process that is killed, so that its count is what the world saw.
//!
//! One line in, one line out. Most parcels are taken; some are wanted again later, some get no answer although they
//! have arrived, and those that the domain says are refused for good.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use underlay_core::Fingerprint;
use uuid::Uuid;

use super::domain::is_refused;
use crate::Result;

/// Of a hundred parcels at their first attempts, those that are wanted later, and those that get no answer.
const WANTED_LATER: u8 = 10;
const NOT_ANSWERED: u8 = 2;
/// Attempts from which on every parcel gets its answer.
const ANSWERED_FROM: u32 = 3;
/// How long a handler waits for an answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a handler brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// The process it comes from.
    pub(crate) worker: Uuid,
    pub(crate) tenant: String,
    pub(crate) handler: String,
    pub(crate) key: String,
    /// Its place among those of its tenant, handler and key.
    pub(crate) number: u64,
    pub(crate) idempotency_key: String,
    pub(crate) attempt: u32,
}

/// What the receiver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Taken,
    /// It is refused for good.
    Refused,
    /// It is to come again.
    Again,
    /// Nothing: whoever brought it cannot know that it has arrived.
    Silence,
}

impl Answer {
    /// Whether the parcel need not come again.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Taken | Self::Refused)
    }
}

/// A parcel that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) parcel: Parcel,
    pub(crate) answer: Answer,
    /// When, in microseconds.
    pub(crate) at: u64,
}

/// This moment, in microseconds, as every process of this machine tells it.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The receiver. Dropped, it takes nothing more.
pub(crate) struct Receiver {
    port: u16,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    takes_everything: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let arrivals = Arc::default();
        let takes_everything = Arc::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&arrivals), Arc::clone(&takes_everything)));
        Ok(Self { port, arrivals, takes_everything, accepting })
    }

    /// From now on wants nothing again, and gives every answer.
    pub(crate) fn take_everything(&self) {
        self.takes_everything.store(true, Ordering::Relaxed);
    }

    /// Where it listens, on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many have arrived.
    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All that have arrived, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    takes_everything: Arc<AtomicBool>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&arrivals), Arc::clone(&takes_everything)));
        while connections.try_join_next().is_some() {}
    }
}

/// Ends where whoever brought a parcel is gone, in the middle of a line or not.
async fn serve(
    stream: TcpStream,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    takes_everything: Arc<AtomicBool>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        let parcel: Parcel = serde_json::from_str(&line)?;
        let answer = answer(&parcel, takes_everything.load(Ordering::Relaxed));
        // Noted before it is answered, and in one order for all.
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Arrival { parcel, answer, at: now() });
        if answer != Answer::Silence {
            let mut reply = serde_json::to_vec(&answer)?;
            reply.push(b'\n');
            stream.write_all(&reply).await?;
        }
    }
}

fn answer(parcel: &Parcel, takes_everything: bool) -> Answer {
    if parcel.attempt < ANSWERED_FROM && !takes_everything {
        let attempt = parcel.attempt.to_le_bytes();
        let drawn = Fingerprint::of([parcel.idempotency_key.as_bytes(), &attempt]).0[0] % 100;
        if drawn < NOT_ANSWERED {
            return Answer::Silence;
        }
        if drawn < NOT_ANSWERED + WANTED_LATER {
            return Answer::Again;
        }
    }
    if is_refused(&parcel.handler, parcel.number) { Answer::Refused } else { Answer::Taken }
}

/// The way to the receiver, from a process.
pub(crate) struct Post {
    worker: Uuid,
    port: u16,
    /// Connections on which nothing is awaited.
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Post {
    pub(crate) fn new(worker: Uuid, port: u16) -> Self {
        Self { worker, port, idle: Mutex::default() }
    }

    pub(super) fn worker(&self) -> Uuid {
        self.worker
    }

    /// Brings a parcel. Where no answer comes the connection is given up.
    pub(super) async fn bring(&self, parcel: &Parcel) -> io::Result<Answer> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?),
        };
        let mut line = serde_json::to_vec(parcel)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut reply = String::new();
        let answered = tokio::time::timeout(PATIENCE, stream.read_line(&mut reply)).await;
        if answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = serde_json::from_str(&reply)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        Ok(answer)
    }
}
