//! A network between a store and its server that can be slow, silent, or cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::entrance::Entrance;
use crate::Result;

/// Bytes that are carried at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// Each piece takes so long.
    Slow(Duration),
    /// Connections stand, and nothing moves on them.
    Silent,
    /// The server gets everything, and its answers are lost. The connection is cut before the next ones come through.
    AnswersLost,
    /// Every connection ends, and new ones end at once.
    Cut,
}

pub(crate) struct Wire {
    entrance: Entrance,
    passage: watch::Sender<Passage>,
}

impl Wire {
    /// A wire to a port of this machine.
    pub(crate) async fn to(server: u16) -> Result<Self> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server));
        let (passage, seen) = watch::channel(Passage::Open);
        let entrance = Entrance::open(move |client| connect(client, server, seen.clone())).await?;
        Ok(Self { entrance, passage })
    }

    pub(crate) fn port(&self) -> u16 {
        self.entrance.port()
    }

    pub(crate) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, mut passage: watch::Receiver<Passage>) {
    if passage.wait_for(|passage| *passage != Passage::Silent).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = passage.clone();
    tokio::select! {
        () = carry(from_client, to_server, passage.clone(), false) => {}
        () = carry(from_server, to_client, passage, true) => {}
        _ = cut.wait_for(|passage| *passage == Passage::Cut) => {}
    }
}

/// Carries bytes one way, until the connection ends or is to be cut.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
    are_answers: bool,
) {
    let mut bytes = vec![0; CHUNK_BYTES];
    let mut lost = false;
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let Ok(passage) = passage.wait_for(|passage| *passage != Passage::Silent).await.map(|now| *now)
        else {
            return;
        };
        if are_answers && passage == Passage::AnswersLost {
            lost = true;
            continue;
        }
        // What comes now would be taken for the answer to something else.
        if lost {
            return;
        }
        if let Passage::Slow(time) = passage {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers each byte with the same, and a connection to it over a wire.
    async fn echo() -> (Wire, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let wire = Wire::to(listener.local_addr().unwrap().port()).await.unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut from, mut to) = client.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await.ok() });
            }
        });
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, wire.port())).await.unwrap();
        (wire, client)
    }

    async fn answer(client: &mut TcpStream, byte: u8) -> Option<u8> {
        client.write_all(&[byte]).await.ok()?;
        let mut answer = [0];
        let read = tokio::time::timeout(Duration::from_millis(200), client.read_exact(&mut answer));
        read.await.ok()?.ok().map(|_| answer[0])
    }

    #[tokio::test]
    async fn a_silent_wire_goes_on_where_it_was() {
        let (wire, mut client) = echo().await;
        assert_eq!(answer(&mut client, 1).await, Some(1));
        wire.set(Passage::Silent);
        assert_eq!(answer(&mut client, 2).await, None);
        wire.set(Passage::Open);
        assert_eq!(answer(&mut client, 3).await, Some(2));
    }

    #[tokio::test]
    async fn no_answer_is_taken_for_another_and_a_cut_connection_ends() {
        let (wire, mut client) = echo().await;
        wire.set(Passage::AnswersLost);
        assert_eq!(answer(&mut client, 1).await, None);
        wire.set(Passage::Open);
        assert_eq!(answer(&mut client, 2).await, None, "the connection is cut");

        let (wire, mut client) = echo().await;
        wire.set(Passage::Cut);
        assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0);
    }
}
