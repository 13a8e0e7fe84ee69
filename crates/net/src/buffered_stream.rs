//! The bytes of one connection, in clear or under TLS, and the counting of them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// How much is read ahead of the connector at most: while a write waits, replies are taken in up to this, so that full
/// windows in both directions cannot lock each other.
const READ_AHEAD_BYTES_MAX: usize = 256 * 1024;

/// How much one read asks the operating system for.
const READ_BYTES_MAX: usize = 32 * 1024;

/// How much room a connection keeps for what the server says.
const REPLY_BYTES_USUAL: usize = 1024;

thread_local! {
    /// Where a read puts its bytes, before the connection keeps as many as there are: a thousand connections wait for their
    /// servers most of the time.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

/// What carries the bytes.
pub(crate) enum Stream {
    /// TCP in clear.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A server inside this process, for dry runs.
    Memory(DuplexStream),
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        match result {
            // A peer that closes TLS without a close_notify has closed too; what was cut shows in the replies.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A stream with what was read ahead of the connector, and the count of what left.
pub(crate) struct BufferedStream {
    stream: Stream,
    /// What was read ahead.
    ahead: Vec<u8>,
    /// Where in it what was not handed out begins.
    taken: usize,
    ended: bool,
    /// Bytes that the operating system (under TLS: the TLS session) has accepted. Shared, so that it tells the truth
    /// also when a write is cancelled half-way.
    written: Arc<AtomicU64>,
}

impl BufferedStream {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
            taken: 0,
            ended: false,
            written: Arc::default(),
        }
    }

    /// Returns the inner stream, to be wrapped in TLS. The caller has made sure that nothing was read ahead.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Returns the shared count of bytes that left.
    pub(crate) fn written_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }

    /// Checks whether bytes have arrived that were not read yet, or the stream has ended. Does not wait.
    pub(crate) async fn has_unread_input(&mut self) -> bool {
        if self.has_read() || self.ended {
            return true;
        }
        std::future::poll_fn(|cx| {
            Poll::Ready(match self.poll_fill(cx) {
                Poll::Ready(_) => self.has_read() || self.ended,
                Poll::Pending => false,
            })
        })
        .await
    }

    /// Reads at least one byte and at most `max`; returns no bytes at the end of the stream.
    pub(crate) async fn read(&mut self, max: usize) -> io::Result<Vec<u8>> {
        if !self.has_read() && !self.ended {
            std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        }
        Ok(self.take(max))
    }

    /// Reads one line with its line end, of at most `max` bytes; returns `None` at the end of the stream.
    pub(crate) async fn read_line(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        loop {
            let waiting = &self.ahead[self.taken..];
            if let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.take(end + 1)));
            }
            if waiting.len() > max {
                return Err(io::Error::other("the server's line has no end"));
            }
            if self.ended {
                return Ok(None);
            }
            std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        }
    }

    /// Writes all bytes, and reads ahead while it waits.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        std::future::poll_fn(|cx| {
            loop {
                let progress = if left.is_empty() {
                    match Pin::new(&mut self.stream).poll_flush(cx) {
                        Poll::Ready(result) => return Poll::Ready(result),
                        Poll::Pending => Poll::Pending,
                    }
                } else {
                    Pin::new(&mut self.stream).poll_write(cx, left)
                };
                match progress {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        self.written.fetch_add(count as u64, Ordering::Relaxed);
                        left = &left[count..];
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    // A read that ends or fails shows itself to the next read; here it only must not stop the write.
                    Poll::Pending => match self.poll_fill(cx) {
                        Poll::Ready(Ok(())) if !self.ended && self.ahead.len() < READ_AHEAD_BYTES_MAX => {}
                        _ => return Poll::Pending,
                    },
                }
            }
        })
        .await
    }

    /// Ends the stream in order, as far as that is possible without waiting for the peer.
    pub(crate) async fn shut_down(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            tracing::debug!(%error, "the connection was not closed in order");
        }
    }

    /// Reads once into the read-ahead, if there is room.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended || self.ahead.len() >= READ_AHEAD_BYTES_MAX {
            return Poll::Pending;
        }
        let (result, count) = ROOM.with_borrow_mut(|room| {
            let mut buffer = ReadBuf::new(room);
            let result = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            self.ahead.extend_from_slice(buffer.filled());
            (result, buffer.filled().len())
        });
        match result {
            Poll::Ready(Ok(())) if count == 0 => {
                self.ended = true;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    fn take(&mut self, max: usize) -> Vec<u8> {
        let waiting = &self.ahead[self.taken..];
        let count = waiting.len().min(max.max(1));
        let bytes = waiting[..count].to_vec();
        self.taken += count;
        if self.taken == self.ahead.len() {
            self.taken = 0;
            self.ahead.clear();
            // After a flood only the usual room is kept.
            self.ahead.shrink_to(REPLY_BYTES_USUAL);
        }
        bytes
    }

    /// Whether something was read that was not handed out.
    fn has_read(&self) -> bool {
        self.taken < self.ahead.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn full_windows_in_both_directions_do_not_lock() {
        // The peer writes its replies before it reads what we write; both windows are far smaller than the traffic.
        let (ours, mut theirs) = tokio::io::duplex(64);
        let peer = tokio::spawn(async move {
            theirs
                .write_all(&[b'r'; 10_000])
                .await
                .expect("our read-ahead takes it");
            let mut got = vec![0; 10_000];
            theirs.read_exact(&mut got).await.expect("our write");
            got
        });
        let mut socket = BufferedStream::new(Stream::Memory(ours));
        socket.write_all(&[b'w'; 10_000]).await.expect("no lock");
        assert_eq!(peer.await.expect("the peer"), vec![b'w'; 10_000]);
        assert_eq!(socket.written_counter().load(Ordering::Relaxed), 10_000);
        let mut read = 0;
        while read < 10_000 {
            read += socket.read(1000).await.expect("the replies").len();
        }
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_an_empty_read_and_counts_as_news() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut socket = BufferedStream::new(Stream::Memory(ours));
        assert!(!socket.has_unread_input().await);
        drop(theirs);
        assert!(socket.has_unread_input().await);
        assert_eq!(socket.read(10).await.expect("an end, no error"), Vec::<u8>::new());
    }
}
