//! Callers over HTTP that cost little: they share the machine with the server that they measure. Each has a connection, asks
//! as soon as it was answered, and reads no more of an answer than its status and its length.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What the callers were answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// How long each answer took, the fastest first.
    pub(crate) times: Vec<Duration>,
}

impl Answered {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share of the answers came, in milliseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let place = (last as f64 * share).round() as usize;
        self.times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// What is asked: the bytes of one request after another, by their numbers.
pub(crate) type Requests = Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>;

/// Asks `count` times with so many callers at once, and expects this status each time.
///
/// # Errors
/// When a connection fails, or an answer has another status.
pub(crate) fn ask(
    server: SocketAddr,
    requests: &Requests,
    count: usize,
    callers: usize,
    status: u16,
) -> Result<Answered> {
    // Made before the time begins: it is not the callers' making that is measured.
    let made: Vec<Vec<u8>> = (0..count).map(|number| requests(number)).collect();
    let made = Arc::new(made);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        let began = Instant::now();
        for _ in 0..callers {
            let (made, next) = (Arc::clone(&made), Arc::clone(&next));
            tasks.spawn(async move {
                let mut caller = Caller::connect(server).await?;
                let mut times = Vec::new();
                while let Some(request) = made.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let asked = Instant::now();
                    caller.ask(request, status).await?;
                    times.push(asked.elapsed());
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::with_capacity(count);
        while let Some(task) = tasks.join_next().await {
            times.extend(task??);
        }
        let elapsed = began.elapsed();
        times.sort();
        Ok(Answered { elapsed, times })
    })
}

/// One connection.
struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.context("the server does not answer")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(16 << 10),
        })
    }

    async fn ask(&mut self, request: &[u8], status: u16) -> Result<()> {
        self.stream.write_all(request).await?;
        loop {
            if let Some((found, length)) = whole(&self.received) {
                if found != status {
                    bail!("the answer is {}", String::from_utf8_lossy(&self.received));
                }
                self.received.drain(..length);
                return Ok(());
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the server ended the connection");
            }
        }
    }
}

/// The status and the length of the answer at the start of these bytes, if all of it is there.
fn whole(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = end + length.unwrap_or_default();
    (bytes.len() >= length).then_some((status, length))
}

/// A request with a body of JSON.
pub(crate) fn post(path: &str, token: Option<&str>, further: &str, body: &str) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{token}{further}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 0..answer.len() {
            assert_eq!(whole(&answer[..cut]), None, "after {cut} bytes");
        }
        assert_eq!(whole(answer), Some((200, answer.len())));
        assert_eq!(whole(b"HTTP/1.1 202 Accepted\r\n\r\nHTTP/"), Some((202, 25)));
    }

    #[test]
    fn percentiles_are_of_sorted_times() {
        let times = (1..=101).map(Duration::from_millis).collect();
        let elapsed = Duration::from_secs(2);
        let answered = Answered { elapsed, times };
        assert_eq!((answered.percentile(0.5), answered.percentile(0.99)), (51.0, 100.0));
        assert!((answered.rate() - 50.5).abs() < 1e-9);
    }
}
