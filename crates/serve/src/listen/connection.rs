//! Accepts connections, gives each its bounds, and ends them in order.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::refusal::{Answers, FirstBytes, Refusal};
use super::{HttpLimits, unread};

/// How long the service pauses after it could not accept a connection, which lasts until another one ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the rest of what was refused is read.
const REST_TIME_MAX: Duration = Duration::from_secs(2);

/// What all connections of a listener share.
pub(super) struct Served {
    pub(super) routes: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: HttpLimits,
}

/// Lets callers in until `stop` is ready, then ends the connections.
pub(super) async fn accept(
    socket: TcpListener,
    served: Arc<Served>,
    places: Arc<Semaphore>,
    stop: impl Future<Output = ()> + Send,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // The place is taken first: who finds none waits in the system's queue, and costs nothing here.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, _))) => {
                    connections.spawn(connection(stream, Arc::clone(&served), graceful.watcher(), place));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(socket);
    let ended = tokio::time::timeout(grace, async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut off at the end");
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, served: Arc<Served>, watcher: Watcher, _place: OwnedSemaphorePermit) {
    // An answer is small and comes in one write; waiting for more would only delay it.
    drop(stream.set_nodelay(true));
    match &served.tls {
        None => speak(stream, &served, watcher).await,
        Some(tls) => match tokio::time::timeout(served.limits.header_time, tls.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, &served, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "a caller did not complete the TLS handshake"),
            Err(_) => tracing::debug!("a caller did not complete the TLS handshake in time"),
        },
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, served: &Served, watcher: Watcher) {
    let limits = served.limits;
    let progress = Arc::new(Progress::default());
    let stream = TimedStream {
        stream,
        progress: Arc::clone(&progress),
        first: FirstBytes::default(),
        seen: 0,
        reading: None,
        writing: None,
        refusal: None,
        resting: None,
        limits,
    };
    let service = Answering {
        routes: served.routes.clone(),
        progress,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        // A caller that closes its side has gone: what it asked for goes on, the answer has no reader.
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What a connection's stream knows of its requests.
#[derive(Default)]
struct Progress {
    /// How many requests had all their headers.
    begun: AtomicU64,
    /// Whether one is being answered.
    answering: AtomicBool,
    answers: Arc<Answers>,
}

/// The routes as hyper calls them.
struct Answering {
    routes: Router,
    progress: Arc<Progress>,
}

impl Service<hyper::Request<hyper::body::Incoming>> for Answering {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        self.progress.begun.fetch_add(1, Ordering::Relaxed);
        self.progress.answering.store(true, Ordering::Relaxed);
        let open = self.progress.answers.begin();
        let progress = Arc::clone(&self.progress);
        let (request, rest) = unread::lend(request);
        let answer = self.routes.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await;
            rest.read().await;
            progress.answering.store(false, Ordering::Relaxed);
            answer.map(|answer| answer.map(|body| open.until_read(body)))
        })
    }
}

/// A stream whose other side must not send its headers, nor take its answers, arbitrarily slowly. While a request is being
/// answered, reading has no time of its own: the body's reader has one.
struct TimedStream<S> {
    stream: S,
    progress: Arc<Progress>,
    first: FirstBytes,
    /// How many requests had begun at the last read.
    seen: u64,
    /// Until when the headers that have begun must be there.
    reading: Option<Pin<Box<Sleep>>>,
    /// Until when the other side must have taken something.
    writing: Option<Pin<Box<Sleep>>>,
    /// What is written in place of hyper's own answer.
    refusal: Option<Refusal>,
    /// Until when the rest of what was refused is read.
    resting: Option<Pin<Box<Sleep>>>,
    limits: HttpLimits,
}

impl<S> TimedStream<S> {
    /// Passes on a write's result, or ends one that made no progress in time.
    fn in_time<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let write_time = self.limits.write_time;
        let deadline = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(write_time)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(late("the caller did not read its answer in time"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if let Some(arrived) = into.filled_mut().get_mut(before..) {
            self.first.hide_preface(arrived);
        }
        let begun = self.progress.begun.load(Ordering::Relaxed);
        if begun != self.seen {
            // The headers that the time was for have arrived.
            self.seen = begun;
            self.reading = None;
        }
        if self.progress.answering.load(Ordering::Relaxed) {
            return read;
        }
        if read.is_ready() && into.filled().len() > before && self.reading.is_none() {
            let deadline = Instant::now() + self.limits.header_time;
            self.reading = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
        let Some(deadline) = &mut self.reading else { return read };
        // A byte now and then does not help: the time counts from the first one.
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(late("the headers did not arrive in time"))),
            Poll::Pending => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TimedStream<S> {
    /// Checks whether these bytes are hyper's own answer, which another one replaces.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.progress.answers.is_none_open() && self.refusal.is_none() {
            self.refusal = Refusal::instead_of(bytes, self.limits);
            return self.refusal.is_some();
        }
        false
    }

    /// Writes what is left of a refusal.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else {
            return Poll::Ready(Ok(()));
        };
        let written = refusal.poll_write(&mut self.stream, context);
        self.in_time(context, written)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bytes.first().is_some_and(|first| self.replaces(first)) {
            return Poll::Ready(Ok(bytes.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(context))?;
        // hyper flushes the stream when nothing is left in its own buffer.
        self.progress.answers.flushed();
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(context))?;
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        ready!(self.in_time(context, shut))?;
        let Self {
            refusal,
            resting,
            stream,
            limits,
            ..
        } = &mut *self;
        let Some(refusal) = refusal else {
            return Poll::Ready(Ok(()));
        };
        let end = resting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limits.header_time.min(REST_TIME_MAX))));
        if end.as_mut().poll(context).is_pending() {
            ready!(refusal.poll_drop_rest(stream, context));
        }
        Poll::Ready(Ok(()))
    }
}
