//! A client of a feed: what it is told, one block after the other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::Place;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// What a feed said in one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<Value>,
    pub retry: Option<String>,
    pub is_comment: bool,
}

/// Blocks as they come in.
#[derive(Debug, Default)]
pub struct Blocks {
    text: String,
    said: VecDeque<Said>,
    /// As a browser keeps it.
    pub last_id: Option<String>,
}

impl Blocks {
    fn take(&mut self, bytes: &[u8]) {
        self.text.push_str(std::str::from_utf8(bytes).unwrap());
        while let Some((block, rest)) = self.text.split_once("\n\n") {
            let mut said = Said::default();
            for line in block.lines() {
                let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
                match field {
                    "id" => said.id = Some(value.to_owned()),
                    "event" => said.event = Some(value.to_owned()),
                    "data" => said.data = Some(serde_json::from_str(value).unwrap()),
                    "retry" => said.retry = Some(value.to_owned()),
                    "" => said.is_comment = true,
                    other => panic!("no field of a feed: {other}"),
                }
            }
            if said.id.is_some() {
                self.last_id.clone_from(&said.id);
            }
            self.said.push_back(said);
            self.text = rest.to_owned();
        }
    }
}

/// A client in this process.
pub struct Listener {
    body: Body,
    pub blocks: Blocks,
}

impl Listener {
    pub async fn ask(place: &Place, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let request = Request::get(path).header("accept", "text/event-stream");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        place.answer_untaken(request.body(Body::empty()).unwrap()).await
    }

    /// Follows what was answered.
    pub fn of(response: Response<Body>) -> Self {
        Self { body: response.into_body(), blocks: Blocks::default() }
    }

    /// Follows, and has heard the opening.
    pub async fn follow(place: &Place, path: &str, headers: &[(&str, &str)]) -> Self {
        let response = Self::ask(place, path, headers).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut listener = Self::of(response);
        let opening = listener.next().await;
        assert!(opening.id.is_some() && opening.retry.is_some() && opening.data.is_none(), "{opening:?}");
        listener
    }

    /// The next block; none where the feed has ended.
    pub async fn block(&mut self) -> Option<Said> {
        while self.blocks.said.is_empty() {
            let frame = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await?;
            self.blocks.take(&frame.unwrap().into_data().unwrap());
        }
        self.blocks.said.pop_front()
    }

    /// The next block, which must come.
    pub async fn next(&mut self) -> Said {
        tokio::time::timeout(LONG, self.block()).await.expect("nothing comes").expect("the feed has ended")
    }

    /// The data of so many events.
    pub async fn data(&mut self, count: usize) -> Vec<Value> {
        let mut data = Vec::new();
        while data.len() < count {
            data.extend(self.next().await.data);
        }
        data
    }

    /// What comes next while time passes.
    pub async fn next_in_time(&mut self, place: &Place) -> Option<Said> {
        let time = async {
            loop {
                place.clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            said = self.block() => said,
            () = time => unreachable!("time goes on for ever"),
        }
    }

    /// Whether nothing is there to be taken.
    pub async fn is_quiet(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        match tokio::time::timeout(Duration::ZERO, self.block()).await {
            Ok(said) => {
                self.blocks.said.extend(said);
                false
            }
            Err(_) => true,
        }
    }

    /// The reason of the last event.
    pub async fn end(&mut self, place: &Place) -> String {
        loop {
            let said = self.next_in_time(place).await.expect("it ends without a word");
            if said.event.as_deref() == Some("underlay:end") {
                assert_eq!(said.id, None, "the client keeps the id it has");
                let told = said.data.unwrap();
                assert!(
                    told["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.contains("begin again") || detail.contains("come back"))
                );
                assert_eq!(self.block().await, None, "nothing follows the end");
                return told["reason"].as_str().unwrap().to_owned();
            }
        }
    }
}

/// A client on a socket.
pub struct SocketListener {
    connection: TcpStream,
    unread: Vec<u8>,
    pub blocks: Blocks,
}

impl SocketListener {
    pub async fn follow(address: std::net::SocketAddr, path: &str, last_id: Option<&str>) -> Self {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let last_id = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last_id}\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut listener = Self { connection, unread: Vec::new(), blocks: Blocks::default() };
        let head = listener.line_block().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        // The opening says where it begins.
        while listener.blocks.last_id.is_none() {
            assert!(listener.take_chunks() && (listener.blocks.last_id.is_some() || listener.read().await));
        }
        listener
    }

    async fn line_block(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(at + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read().await, "the connection ended in a head");
        }
    }

    async fn read(&mut self) -> bool {
        self.connection.read_buf(&mut self.unread).await.unwrap_or(0) > 0
    }

    /// Takes whole chunks out of what was read; false where the last one came.
    fn take_chunks(&mut self) -> bool {
        loop {
            let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") else { return true };
            let size = usize::from_str_radix(std::str::from_utf8(&self.unread[..at]).unwrap(), 16).unwrap();
            let end = at + 2 + size + 2;
            if self.unread.len() < end {
                return true;
            }
            if size == 0 {
                return false;
            }
            self.blocks.take(&self.unread[at + 2..end - 2]);
            self.unread.drain(..end);
        }
    }

    /// The next event with data; none where the connection has ended.
    pub async fn event(&mut self) -> Option<Said> {
        loop {
            while let Some(said) = self.blocks.said.pop_front() {
                if said.data.is_some() {
                    return Some(said);
                }
            }
            let goes_on = self.take_chunks();
            if self.blocks.said.is_empty() && (!goes_on || !self.read().await) {
                return None;
            }
        }
    }
}
