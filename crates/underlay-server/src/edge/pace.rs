//! A connection whose other side has to take what it asked for.
//!
//! ```text
//!  written ── no room ──► waiting ── everything written ──► written
//!                            │
//!                            └── later than grace + taken / rate_min ──► cut
//! ```
//!
//! A write that finds no room starts the time; what is taken meanwhile buys more of it, at `rate_min`.
//! So an answer of n bytes is taken within grace + n / `rate_min`, or the connection ends, and neither
//! silence nor a byte now and then holds it for ever. A connection that is cut is reset: what the
//! system still keeps for it is thrown away.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use underlay_core::Clock;

/// A connection that can be ended without waiting for the other side.
pub(crate) trait Reset {
    /// When it is closed, throw away what was not taken.
    fn reset_at_close(&self);
}

impl Reset for TcpStream {
    fn reset_at_close(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(%error, "a connection went away");
        }
    }
}

pub(crate) struct Paced<S> {
    stream: S,
    clock: Arc<dyn Clock>,
    grace: Duration,
    /// Bytes a second.
    rate_min: u64,
    /// Bytes written since everything was last written.
    taken: u64,
    waiting: Option<Waiting>,
}

struct Waiting {
    /// The time that was given so far, and its end.
    given: Duration,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S: Reset> Paced<S> {
    pub(crate) fn new(stream: S, clock: Arc<dyn Clock>, grace: Duration, rate_min: u64) -> Self {
        Self { stream, clock, grace, rate_min, taken: 0, waiting: None }
    }

    /// There is no room: ready with the error once there was none, or too little, for too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let due = self.grace + Duration::from_secs_f64(self.taken as f64 / self.rate_min.max(1) as f64);
            let given = match &mut self.waiting {
                None => Duration::ZERO,
                Some(waiting) => {
                    ready!(waiting.end.as_mut().poll(context));
                    waiting.given
                }
            };
            if given >= due {
                self.stream.reset_at_close();
                let taken = self.taken;
                let told = format!("the client took {taken} bytes in {due:?} and left the rest");
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, told));
            }
            let clock = self.clock.clone();
            let end = Box::pin(async move { clock.sleep(due - given).await });
            self.waiting = Some(Waiting { given: due, end });
        }
    }

    fn paced(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(written) => {
                self.taken += *written.as_ref().unwrap_or(&0) as u64;
                Poll::Ready(written)
            }
            Poll::Pending => self.poll_late(context).map(Err),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.paced(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.paced(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Whoever writes flushes when nothing is left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(flushed) => {
                self.taken = 0;
                self.waiting = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => self.poll_late(context).map(Err),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(context) {
            Poll::Pending => self.poll_late(context).map(Err),
            ended => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use underlay_core::{ManualClock, Timestamp};

    use super::*;

    impl Reset for DuplexStream {
        fn reset_at_close(&self) {}
    }

    const SECOND: Duration = Duration::from_secs(1);
    const ANSWER: usize = 100_000;

    /// A connection with room for one byte, 30 s of grace and 10 bytes a second.
    fn connection() -> (Paced<DuplexStream>, DuplexStream, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let (ours, theirs) = tokio::io::duplex(1);
        (Paced::new(ours, clock.clone(), 30 * SECOND, 10), theirs, clock)
    }

    /// Writes the answer while the client takes some bytes every so many seconds; gives the seconds until the
    /// write ended, and whether it was cut.
    async fn answer(bytes: usize, seconds: u32) -> (u64, bool) {
        let (mut ours, mut theirs, clock) = connection();
        let written = async {
            ours.write_all(&vec![0; ANSWER]).await?;
            ours.flush().await
        };
        let client = async {
            let mut taken = vec![0; bytes];
            loop {
                for _ in 0..seconds {
                    clock.advance(SECOND);
                    // The writer sees the time before the bytes.
                    tokio::task::yield_now().await;
                }
                theirs.read_exact(&mut taken).await.unwrap();
            }
        };
        let ended = tokio::select! {
            ended = written => ended,
            () = client => unreachable!("the client goes on for ever"),
        };
        let passed = clock.now().duration_since(Timestamp::UNIX_EPOCH).as_secs();
        (passed as u64, ended.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut))
    }

    #[tokio::test]
    async fn a_byte_now_and_then_does_not_hold_a_connection() {
        let (passed, cut) = answer(1, 29).await;
        assert!(cut);
        assert!((30..=59).contains(&passed), "cut after {passed} s");
    }

    #[tokio::test]
    async fn whoever_takes_at_the_rate_gets_it_all() {
        let (passed, cut) = answer(ANSWER / 100, 100).await;
        assert!(cut, "nothing for longer than the grace");
        assert!(passed < 100);
        // Far longer than the grace, and always at the rate.
        let (passed, cut) = answer(200, 20).await;
        assert!(!cut && passed > 9_000, "{passed} s");
    }

    #[tokio::test]
    async fn whoever_becomes_slower_than_the_rate_is_cut() {
        let (passed, cut) = answer(100, 20).await;
        assert!(cut, "half the rate");
        // Of 30 s, half a second is used up each second.
        assert!((30..=80).contains(&passed), "cut after {passed} s");
    }

    #[tokio::test]
    async fn an_answer_that_was_taken_buys_no_time_for_the_next() {
        let (mut ours, mut theirs, clock) = connection();
        let mut taken = vec![0; ANSWER];
        let first = async {
            ours.write_all(&[0; ANSWER]).await.unwrap();
            ours.flush().await.unwrap();
        };
        tokio::join!(first, async { theirs.read_exact(&mut taken).await.unwrap() });
        let next = async {
            ours.write_all(&[0; 100]).await.unwrap_err();
        };
        let time = async {
            for _ in 0..35 {
                clock.advance(SECOND);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = next => {}
            () = time => panic!("the second answer lives on what the first one earned"),
        }
    }
}
