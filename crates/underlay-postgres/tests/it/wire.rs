//! A wire between a store and its server that can be broken in the middle of a call, or led to another
//! server.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::place::Place;

/// What is in the text of the statements that write the log.
const WRITES: [&[u8]; 2] = [b".store_commit", b".append"];
const PARSE: u8 = b'P';
const EXECUTE: u8 = b'E';
const SYNC: u8 = b'S';

/// What becomes of the next group commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server gets it up to the message that carries it out, and nothing more. The connection stands.
    SilentAfterExecute,
    /// The server gets it when it is let go.
    Held,
}

struct Shared {
    armed: Mutex<Option<Fate>>,
    met: Notify,
    /// Where connections lead; none takes no new ones.
    server: watch::Sender<Option<(String, u16)>>,
    /// Connections begun before the last change end.
    cuts: watch::Sender<u64>,
    let_go: watch::Sender<bool>,
}

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Wire {
    pub(crate) async fn to(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            armed: Mutex::default(),
            met: Notify::new(),
            server: watch::Sender::new(Some(server)),
            cuts: watch::Sender::new(0),
            let_go: watch::Sender::new(false),
        });
        tokio::spawn(accept(listener, shared.clone()));
        Self { port, shared }
    }

    /// The address of the login of a place, by this wire.
    pub(crate) fn address(&self, place: &Place) -> String {
        place.login_address_by(self.port)
    }

    pub(crate) fn arm(&self, fate: Fate) {
        *self.shared.armed.lock().unwrap() = Some(fate);
    }

    /// Waits until a group commit has met its fate.
    pub(crate) async fn met(&self) {
        self.shared.met.notified().await;
    }

    /// Brings to the server what is held.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.send_replace(true);
    }

    /// Leads new connections to another server; none refuses them. Those there are stand.
    pub(crate) fn lead_to(&self, server: Option<(String, u16)>) {
        self.shared.server.send_replace(server);
    }

    /// Ends the connections there are.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Some(server) = shared.server.borrow().clone() else { continue };
        let shared = shared.clone();
        let mut cuts = shared.cuts.subscribe();
        connections.spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = carry_requests(from_client, to_server, &shared) => {}
                () = carry_answers(from_server, to_client) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Ends with the server's end of the connection.
async fn carry_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // How it ends is of no interest here.
    copy(&mut from, &mut to).await.ok();
}

async fn carry_requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let (mut bytes, mut opening, mut fate, mut held) = (Vec::new(), true, None, Vec::new());
    loop {
        while let Some(message) = take(&mut bytes, opening) {
            let kind = if opening { None } else { message.first().copied() };
            opening = false;
            if kind == Some(PARSE) && WRITES.iter().any(|text| contains(&message, text)) {
                fate = shared.armed.lock().unwrap().take();
            }
            if fate == Some(Fate::Held) {
                held.extend_from_slice(&message);
                if kind == Some(SYNC) {
                    shared.met.notify_one();
                    shared.let_go.subscribe().wait_for(|go| *go).await.unwrap();
                    to.write_all(&held).await.unwrap();
                    // Until the server has done with it, whatever the client does.
                    std::future::pending::<()>().await;
                }
                continue;
            }
            if to.write_all(&message).await.is_err() {
                return;
            }
            if fate == Some(Fate::SilentAfterExecute) && kind == Some(EXECUTE) {
                shared.met.notify_one();
                std::future::pending::<()>().await;
            }
        }
        if from.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// The next message that is there whole. The first of a client has no kind.
fn take(bytes: &mut Vec<u8>, opening: bool) -> Option<Vec<u8>> {
    let head = usize::from(!opening);
    let length = u32::from_be_bytes(bytes.get(head..head + 4)?.try_into().ok()?);
    let whole = head + usize::try_from(length).ok()?;
    if bytes.len() < whole {
        return None;
    }
    let rest = bytes.split_off(whole);
    Some(std::mem::replace(bytes, rest))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
