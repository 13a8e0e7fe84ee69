//! The bench's own sink, for what `smtp-sink` does not offer: CHUNKING (RFC 3030), and a server that is slow to answer.
//!
//! It keeps nothing but a count. It is as plain as it can be, so that it bounds as little as possible: one thread, one
//! task a connection, one read and one write for whatever has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{HOST, Server};

/// What it says to EHLO.
const HELLO: &[u8] = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n";

pub(crate) struct Chunking {
    stored: Arc<AtomicU64>,
    pub(crate) port: u16,
}

impl Chunking {
    /// Starts one on a thread of its own, which lasts as long as the process. It waits for `pause` before each answer.
    pub(crate) fn start(pause: Duration) -> Result<Self> {
        let listener = std::net::TcpListener::bind((HOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let stored = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&stored);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else {
                    return;
                };
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&count), pause));
                }
            });
        });
        Ok(Self { stored, port })
    }
}

impl Server for Chunking {
    fn stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }
}

/// One connection, to its end.
async fn serve(mut stream: TcpStream, stored: Arc<AtomicU64>, pause: Duration) {
    let _ = stream.set_nodelay(true);
    let mut session = Session::default();
    let mut received = Vec::with_capacity(256 << 10);
    let mut replies = b"220 sink.example ESMTP\r\n".to_vec();
    loop {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if !replies.is_empty() && stream.write_all(&replies).await.is_err() {
            return;
        }
        replies.clear();
        if session.over || !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
            return;
        }
        let used = session.handle(&received, &mut replies);
        received.drain(..used);
        stored.fetch_add(std::mem::take(&mut session.taken), Ordering::Release);
    }
}

#[derive(Default)]
struct Session {
    /// Octets of a chunk that are still to come.
    chunk: usize,
    /// The chunk is the message's last.
    last: bool,
    /// Between a 354 and the final dot.
    data: bool,
    /// Messages since this was last asked.
    taken: u64,
    over: bool,
}

impl Session {
    /// Does what the bytes say, as far as they are whole. Answers how many it has used.
    fn handle(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.over {
            let rest = &bytes[at..];
            if self.chunk > 0 {
                let count = self.chunk.min(rest.len());
                self.chunk -= count;
                at += count;
                if self.chunk == 0 {
                    self.end_chunk(replies);
                }
            } else if self.data {
                let Some(end) = rest.windows(5).position(|window| window == b"\r\n.\r\n") else {
                    // The end may have begun already.
                    return at + rest.len().saturating_sub(4);
                };
                at += end + 5;
                self.data = false;
                self.taken += 1;
                replies.extend_from_slice(b"250 2.0.0 taken\r\n");
            } else {
                let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                    break;
                };
                self.command(rest[..end].trim_ascii_end(), replies);
                at += end + 1;
            }
        }
        at
    }

    fn command(&mut self, line: &[u8], replies: &mut Vec<u8>) {
        let verb = line
            .split(|byte| *byte == b' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let reply: &[u8] = match verb.as_slice() {
            b"EHLO" => HELLO,
            b"HELO" => b"250 sink.example\r\n",
            b"MAIL" => b"250 2.1.0 sender\r\n",
            b"RCPT" => b"250 2.1.5 recipient\r\n",
            b"RSET" | b"NOOP" => b"250 2.0.0 done\r\n",
            b"DATA" => {
                self.data = true;
                b"354 go on\r\n"
            }
            b"BDAT" => {
                let text = String::from_utf8_lossy(line);
                let mut words = text.split(' ').skip(1);
                self.chunk = words.next().and_then(|size| size.parse().ok()).unwrap_or_default();
                self.last = words.next().is_some();
                if self.chunk == 0 {
                    self.end_chunk(replies);
                }
                b""
            }
            b"QUIT" => {
                self.over = true;
                b"221 2.0.0 bye\r\n"
            }
            _ => b"500 5.5.1 unknown\r\n",
        };
        replies.extend_from_slice(reply);
    }

    fn end_chunk(&mut self, replies: &mut Vec<u8>) {
        self.taken += u64::from(self.last);
        replies.extend_from_slice(b"250 2.0.0 taken\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_counted_once_however_it_is_cut() {
        let whole = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\nhelloDATA\r\nx\r\n.\r\nRSET\r\n";
        for cut in 1..whole.len() {
            let (mut session, mut replies, mut waiting) = (Session::default(), Vec::new(), Vec::new());
            for piece in whole.chunks(cut) {
                waiting.extend_from_slice(piece);
                let used = session.handle(&waiting, &mut replies);
                waiting.drain(..used);
            }
            assert_eq!(session.taken, 2, "in pieces of {cut}");
            assert_eq!(
                replies.iter().filter(|byte| **byte == b'\n').count(),
                6,
                "in pieces of {cut}"
            );
        }
    }
}
