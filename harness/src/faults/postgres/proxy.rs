//! A place between a store and its server where an answer can be lost.
//!
//! It passes bytes on. Once it is armed, the next group commit that comes along meets its fate; and it
//! can be frozen, so that connections stand and nothing moves on them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, watch};

use crate::Result;
use crate::faults::entrance::Entrance;

/// What is in the text of the statements that write a group commit.
const APPEND: &[u8] = b".store_commit";
/// The first byte of a message of the client that brings a statement, of one that carries it out, and of
/// one that asks for its end.
const PARSE: u8 = b'P';
const EXECUTE: u8 = b'E';
const SYNC: u8 = b'S';
/// The first byte of a message of the server that ends an answer: the transaction has ended too.
const READY: u8 = b'Z';

/// What happens to a group commit on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The connection is cut before the server has got it.
    CutBefore,
    /// The connection is cut as soon as it is on its way to the server.
    CutOnTheWay,
    /// The server gets it and answers; the answer is dropped and the connection cut.
    CutAfter,
    /// The server gets it and answers; the answer is dropped and the connection stands.
    Silence,
    /// The server gets it up to the message that carries it out, and nothing more; the connection stands.
    CutShort,
    /// It is held, and brought to the server when it is let go, long after its caller has given up.
    Held,
}

/// What all connections share.
struct Shared {
    server: SocketAddr,
    armed: Mutex<Option<Fate>>,
    /// A group commit has met its fate.
    met: Notify,
    frozen: watch::Sender<bool>,
    holding: watch::Sender<bool>,
}

pub(crate) struct Proxy {
    entrance: Entrance,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy before a port of this machine.
    pub(crate) async fn start(server: u16) -> Result<Self> {
        let shared = Arc::new(Shared {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, server)),
            armed: Mutex::new(None),
            met: Notify::new(),
            frozen: watch::Sender::new(false),
            holding: watch::Sender::new(true),
        });
        let entrance = Entrance::open({
            let shared = shared.clone();
            move |client| connect(client, shared.clone())
        });
        Ok(Self { entrance: entrance.await?, shared })
    }

    pub(crate) fn port(&self) -> u16 {
        self.entrance.port()
    }

    /// Decides what happens to the next group commit.
    pub(crate) fn arm(&self, fate: Fate) {
        self.shared.holding.send_replace(true);
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fate);
    }

    /// Waits until a group commit has met its fate.
    pub(crate) async fn met(&self) {
        self.shared.met.notified().await;
    }

    /// Brings to the server what is held.
    pub(crate) fn let_go(&self) {
        self.shared.holding.send_replace(false);
    }

    /// Stops every byte, or lets them go on. New connections are taken, and nothing comes of them.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.shared.frozen.send_replace(frozen);
    }
}

/// What becomes of the bytes of one connection that come from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Pass,
    /// They are dropped, and the connection is cut at the end of the answer.
    DropThenCut,
    Drop,
}

async fn connect(client: TcpStream, shared: Arc<Shared>) {
    thaw(&shared).await;
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (answers, answered) = watch::channel(Answers::Pass);
    tokio::select! {
        () = carry_requests(from_client, to_server, &shared, &answers) => {}
        () = carry_answers(from_server, to_client, &shared, answered) => {}
    }
}

async fn thaw(shared: &Shared) {
    // The sender is part of what is shared, so it is there.
    shared.frozen.subscribe().wait_for(|frozen| !frozen).await.ok();
}

/// Ends where the connection is to be cut.
async fn carry_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    answers: &watch::Sender<Answers>,
) {
    let mut messages = Messages::of_client();
    let mut fate = None;
    let mut held = Vec::new();
    while let Some(message) = messages.next(&mut from).await {
        thaw(shared).await;
        let bytes = &message.bytes;
        if message.kind == Some(PARSE) && contains(bytes, APPEND) {
            fate = shared.armed.lock().unwrap_or_else(PoisonError::into_inner).take();
            match fate {
                Some(Fate::CutBefore) => {
                    shared.met.notify_one();
                    return;
                }
                Some(Fate::CutAfter) => {
                    answers.send_replace(Answers::DropThenCut);
                }
                Some(Fate::Silence) => {
                    answers.send_replace(Answers::Drop);
                }
                _ => {}
            }
        }
        if fate == Some(Fate::Held) {
            held.extend_from_slice(bytes);
            if message.kind == Some(SYNC) {
                shared.met.notify_one();
                // Whatever the client does meanwhile.
                shared.holding.subscribe().wait_for(|holding| !holding).await.ok();
                if to.write_all(&held).await.is_err() {
                    return;
                }
                // Until the server has done with it.
                std::future::pending::<()>().await;
            }
            continue;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
        match (fate, message.kind) {
            (Some(Fate::CutShort), Some(EXECUTE)) => {
                shared.met.notify_one();
                std::future::pending::<()>().await;
            }
            (Some(Fate::CutOnTheWay), Some(SYNC)) => {
                shared.met.notify_one();
                return;
            }
            (Some(Fate::CutAfter | Fate::Silence), Some(SYNC)) => shared.met.notify_one(),
            _ => {}
        }
    }
}

async fn carry_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    answers: watch::Receiver<Answers>,
) {
    let mut messages = Messages::of_server();
    while let Some(message) = messages.next(&mut from).await {
        thaw(shared).await;
        let fate = *answers.borrow();
        match fate {
            // A client that is gone is noticed where it is read from.
            Answers::Pass => drop(to.write_all(&message.bytes).await),
            Answers::DropThenCut if message.kind == Some(READY) => return,
            Answers::DropThenCut | Answers::Drop => {}
        }
    }
}

/// A message of the protocol. The first of a client has no kind.
struct Message {
    kind: Option<u8>,
    bytes: Vec<u8>,
}

/// Cuts bytes into messages.
struct Messages {
    bytes: Vec<u8>,
    /// Whether the next message is the first of a client.
    opening: bool,
}

impl Messages {
    fn of_client() -> Self {
        Self { bytes: Vec::new(), opening: true }
    }

    fn of_server() -> Self {
        Self { bytes: Vec::new(), opening: false }
    }

    /// The next message; none where the connection has ended.
    async fn next(&mut self, from: &mut OwnedReadHalf) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if from.read_buf(&mut self.bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Message> {
        let head = usize::from(!self.opening);
        let length = self.bytes.get(head..head + 4)?;
        let length = u32::from_be_bytes(length.try_into().ok()?);
        let whole = head + usize::try_from(length).ok()?;
        if self.bytes.len() < whole {
            return None;
        }
        let rest = self.bytes.split_off(whole);
        let bytes = std::mem::replace(&mut self.bytes, rest);
        let kind = if self.opening { None } else { bytes.first().copied() };
        self.opening = false;
        Some(Message { kind, bytes })
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_into_messages() {
        let mut messages = Messages::of_client();
        messages.bytes = [&[0, 0, 0, 8, 0, 3, 0, 0][..], &[PARSE, 0, 0, 0, 5, 7], &[SYNC, 0, 0, 0]].concat();
        let opening = messages.take().unwrap();
        assert_eq!((opening.kind, opening.bytes.len()), (None, 8));
        let parse = messages.take().unwrap();
        assert_eq!((parse.kind, parse.bytes.as_slice()), (Some(PARSE), &[PARSE, 0, 0, 0, 5, 7][..]));
        assert!(messages.take().is_none(), "its length is not there yet");
        messages.bytes.push(4);
        assert_eq!(messages.take().unwrap().kind, Some(SYNC));
    }

    #[test]
    fn the_statement_of_a_group_commit_is_known() {
        assert!(contains(b"P....CALL underlay.store_commits(\n $1", APPEND));
        assert!(!contains(b"P....CALL underlay.raise_fence(", APPEND));
    }
}
