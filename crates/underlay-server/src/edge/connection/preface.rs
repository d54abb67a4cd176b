//! Which protocol a client speaks: HTTP/2 begins with a text that is no request of HTTP/1.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What a client of HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose first bytes were looked at, and are read again.
pub(super) struct Prefaced<S> {
    stream: S,
    looked_at: [u8; PREFACE.len()],
    /// How many there are.
    length: usize,
    /// How many of them were given on.
    given: usize,
}

impl<S: AsyncRead + Unpin> Prefaced<S> {
    /// Reads until it is known what is spoken: at most as far as the two protocols begin alike.
    pub(super) async fn read(stream: S) -> io::Result<Self> {
        let mut this = Self { stream, looked_at: [0; PREFACE.len()], length: 0, given: 0 };
        while this.length < PREFACE.len() && PREFACE.starts_with(&this.looked_at[..this.length]) {
            let count = this.stream.read(&mut this.looked_at[this.length..]).await?;
            if count == 0 {
                break;
            }
            this.length += count;
        }
        Ok(this)
    }

    pub(super) fn is_http2(&self) -> bool {
        self.looked_at[..self.length] == PREFACE[..]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefaced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.looked_at[this.given..this.length];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        this.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefaced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read of a connection on which these pieces arrive, and whether it is HTTP/2.
    async fn read(pieces: &[&[u8]]) -> (bool, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let sent = async move {
            for piece in pieces {
                theirs.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let taken = async {
            let mut prefaced = Prefaced::read(ours).await.unwrap();
            let mut all = Vec::new();
            prefaced.read_to_end(&mut all).await.unwrap();
            (prefaced.is_http2(), all)
        };
        tokio::join!(sent, taken).1
    }

    #[tokio::test]
    async fn every_byte_is_read_again_whatever_is_spoken() {
        let http1: &[u8] = b"POST / HTTP/1.1\r\n\r\n";
        assert_eq!(read(&[http1]).await, (false, http1.to_vec()));
        assert_eq!(read(&[b"P", b"R", b"X"]).await, (false, b"PRX".to_vec()));
        assert_eq!(read(&[]).await, (false, Vec::new()));
        assert_eq!(read(&[b"PRI * "]).await, (false, b"PRI * ".to_vec()), "it ended before it was known");
        let http2 = [PREFACE.as_slice(), b"frames"].concat();
        assert_eq!(read(&[&http2]).await, (true, http2.clone()));
        let bytes: Vec<&[u8]> = http2.chunks(1).collect();
        assert_eq!(read(&bytes).await, (true, http2.clone()));
    }
}
