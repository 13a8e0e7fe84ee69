//! The thin shell around a session: one client's socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::event::Event;
use crate::message::TlsInfo;
use crate::running::Shared;
use crate::session::{NotStored, Session, Signal, Wait};
use crate::settings::Security;

/// How long the server reads on after an orderly close, so that its last reply is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 * 1024;

/// Serves one client to the end. Errors end this connection and nothing else.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    security: Security,
    tls: Arc<ServerConfig>,
) {
    let session = shared.service.session(security);
    let connection = session.connection();
    tracing::debug!(connection, %peer, ?security, "connected");
    shared.observe(Event::Connected {
        connection,
        peer,
        security,
    });
    // Replies are small and awaited: nothing is gained by holding them back.
    let _ = stream.set_nodelay(true);
    let error = converse(&shared, session, stream, security, tls).await.err();
    tracing::debug!(
        connection,
        error = error.as_ref().map(tracing::field::display),
        "closed"
    );
    shared.observe(Event::Closed {
        connection,
        error: error.map(|error| error.to_string()),
    });
}

async fn converse(
    shared: &Shared,
    mut session: Session,
    mut stream: TcpStream,
    security: Security,
    tls: Arc<ServerConfig>,
) -> io::Result<()> {
    session.set_unix_time(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs()),
    );
    if security != Security::Implicit {
        match dialogue(shared, &mut session, &mut stream).await? {
            End::StartTls => {}
            End::Closed => return Ok(()),
        }
    }
    let mut stream = TlsAcceptor::from(tls).accept(stream).await?;
    let (_, settled) = stream.get_ref();
    session.handle_tls(TlsInfo {
        version: settled
            .protocol_version()
            .map(|version| format!("{version:?}").replace('_', "."))
            .unwrap_or_default(),
        cipher: settled
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()))
            .unwrap_or_default(),
        server_name: settled.server_name().map(str::to_owned),
        resumed: settled.handshake_kind() == Some(HandshakeKind::Resumed),
    });
    dialogue(shared, &mut session, &mut stream).await.map(|_| ())
}

/// Why a dialogue on one stream ended.
enum End {
    StartTls,
    Closed,
}

async fn dialogue<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    session: &mut Session,
    stream: &mut S,
) -> io::Result<End> {
    let mut buffer = vec![0; BUFFER];
    loop {
        if let Some(end) = flush(shared, session, stream).await? {
            return Ok(end);
        }
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(End::Closed);
        }
        session.handle_bytes(&buffer[..count]);
    }
}

/// Does everything that the session wants done before it needs more bytes.
async fn flush<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    session: &mut Session,
    stream: &mut S,
) -> io::Result<Option<End>> {
    loop {
        observe(shared, session);
        if let Some(message) = session.poll_message() {
            match shared.store(message).await {
                Ok(message) => {
                    session.handle_stored(Ok(()));
                    shared.observe(Event::Caught { message });
                }
                Err(error) => {
                    tracing::error!(connection = session.connection(), %error, "message not stored");
                    session.handle_stored(Err(NotStored));
                }
            }
            continue;
        }
        if let Some(bytes) = session.poll_transmit() {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            continue;
        }
        match session.poll_signal() {
            None => return Ok(None),
            Some(Signal::StartTls) => return Ok(Some(End::StartTls)),
            Some(Signal::Wait(Wait::For(duration))) => {
                tokio::time::sleep(duration).await;
                session.handle_wait_over();
            }
            Some(Signal::Wait(Wait::Until(name))) => {
                shared.hold(&name).await;
                session.handle_wait_over();
            }
            Some(Signal::Close { abrupt }) => {
                observe(shared, session);
                if !abrupt {
                    close(stream).await?;
                }
                return Ok(Some(End::Closed));
            }
        }
    }
}

fn observe(shared: &Shared, session: &mut Session) {
    while let Some(event) = session.poll_event() {
        shared.observe(event);
    }
}

/// Says that nothing more comes, and reads what the client still sends, so that no reset overtakes the last reply.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = vec![0; BUFFER];
    let drain = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
    let _ = tokio::time::timeout(LINGER, drain).await;
    Ok(())
}
