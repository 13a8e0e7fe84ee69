//! One POST over HTTP/1.1, for token endpoints: all that minting access tokens takes of HTTP.
//!
//! It is no general client. The body holds a secret, so no redirect is followed; `https` is spoken with the system's
//! roots alone, and plain `http` to a loopback address alone; what is read of an answer is bounded, and so is the time.

use std::time::Duration;

use pipepost_accounts::oauth::{BoxFuture, HttpFailure, HttpPost, HttpRequest, HttpResponse};
use pipepost_accounts::{TlsSettings, TlsVersion};
use pipepost_core::{EgressRule, Endpoint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::transport::{TlsConfigs, dial};

/// The whole exchange.
const TIME: Duration = Duration::from_secs(30);

/// Status line and headers.
const HEAD: usize = 16 * 1024;

/// The body; a token is a few KiB at most.
const BODY: usize = 64 * 1024;

/// Posts to token endpoints, over the host's own TLS.
#[derive(Debug, Default)]
pub struct Poster {
    tls: TlsConfigs,
}

impl HttpPost for Poster {
    fn post(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(async move {
            match tokio::time::timeout(TIME, self.exchange(&request)).await {
                Ok(result) => result,
                Err(_) => Err(HttpFailure(format!("nothing came within {} s", TIME.as_secs()))),
            }
        })
    }
}

impl Poster {
    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let url = &request.url;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(HttpFailure("its address names no host".to_owned()));
        };
        let address = Endpoint::new(host, port);
        let encrypted = url.scheme() == "https";
        if !encrypted && url.scheme() != "http" {
            return Err(HttpFailure(format!("{} is not spoken here", url.scheme())));
        }
        // The endpoint is the account's or a provider's own: the operator's word either way.
        let stream = dial::dial(&address, &EgressRule::Operator, TIME)
            .await
            .map_err(|error| clause(&error))?;
        if encrypted {
            let settings = TlsSettings {
                min: TlsVersion::V1_2,
                max: TlsVersion::V1_3,
                ca_file: None,
                ca: Vec::new(),
            };
            let stream = self.tls.handshake(stream, &address, &settings).await;
            converse(stream.map_err(|error| clause(&error))?, request).await
        } else {
            let loopback = stream
                .peer_addr()
                .is_ok_and(|peer| pipepost_core::egress::is_loopback(peer.ip()));
            if !loopback {
                return Err(HttpFailure("http is spoken to loopback addresses alone".to_owned()));
            }
            converse(stream, request).await
        }
    }
}

/// A sentence as the end of another.
fn clause(error: &dyn std::error::Error) -> HttpFailure {
    HttpFailure(error.to_string().trim_end_matches('.').to_owned())
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpFailure> {
    let url = &request.url;
    let mut authority = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        authority.push_str(&format!(":{port}"));
    }
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target.push('?');
        target.push_str(query);
    }
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Accept: application/json\r\nUser-Agent: pipepost/{}\r\nConnection: close\r\n\r\n",
        request.content_type,
        request.body.len(),
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(head.as_bytes()).await.map_err(|error| lost(&error))?;
    stream.write_all(&request.body).await.map_err(|error| lost(&error))?;
    stream.flush().await.map_err(|error| lost(&error))?;
    Answer::new(stream).read().await
}

fn lost(error: &std::io::Error) -> HttpFailure {
    HttpFailure(format!("the connection failed: {error}"))
}

fn nonsense() -> HttpFailure {
    HttpFailure("its answer is no HTTP".to_owned())
}

fn too_long() -> HttpFailure {
    HttpFailure("its answer is longer than any token".to_owned())
}

/// An answer under way (RFC 9112).
struct Answer<S> {
    stream: S,
    /// Read and not taken. Its room is fixed, so that growing leaves no copies of a token behind.
    buffer: Zeroizing<Vec<u8>>,
}

impl<S: AsyncRead + Unpin> Answer<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Zeroizing::new(Vec::with_capacity(HEAD + BODY)),
        }
    }

    async fn read(mut self) -> Result<HttpResponse, HttpFailure> {
        loop {
            let (status, framing) = self.head().await?;
            // An interim answer (RFC 9110, section 15.2) comes before the real one.
            if (100..200).contains(&status) {
                continue;
            }
            let body = match framing {
                Framing::None => Zeroizing::default(),
                Framing::Length(length) if length > BODY => return Err(too_long()),
                Framing::Length(length) => self.take(length).await?,
                Framing::Chunks => self.chunks().await?,
                Framing::UntilEnd => {
                    while self.fill().await? {
                        if self.buffer.len() > BODY {
                            return Err(too_long());
                        }
                    }
                    let length = self.buffer.len();
                    self.take(length).await?
                }
            };
            return Ok(HttpResponse { status, body });
        }
    }

    async fn head(&mut self) -> Result<(u16, Framing), HttpFailure> {
        let mut room = HEAD;
        let first = self.line(&mut room).await?;
        let mut words = first.splitn(3, ' ');
        let status = match (words.next(), words.next().map(str::parse::<u16>)) {
            (Some(version), Some(Ok(status))) if version.starts_with("HTTP/1.") && (100..600).contains(&status) => {
                status
            }
            _ => return Err(nonsense()),
        };
        let mut framing = Framing::UntilEnd;
        loop {
            let line = self.line(&mut room).await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(nonsense)?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(HttpFailure(
                        "its answer has a transfer coding that is not known here".to_owned(),
                    ));
                }
                framing = Framing::Chunks;
            } else if name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunks {
                let length = value.parse().map_err(|_| nonsense())?;
                if matches!(framing, Framing::Length(other) if other != length) {
                    return Err(nonsense());
                }
                framing = Framing::Length(length);
            }
        }
        if matches!(status, 100..=199 | 204 | 304) {
            framing = Framing::None;
        }
        Ok((status, framing))
    }

    async fn chunks(&mut self) -> Result<Zeroizing<Vec<u8>>, HttpFailure> {
        let mut body = Zeroizing::new(Vec::with_capacity(BODY));
        let mut room = HEAD;
        loop {
            let line = self.line(&mut room).await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(|_| nonsense())?;
            if length == 0 {
                // Trailers say nothing that is wanted here.
                return Ok(body);
            }
            if length > BODY - body.len() {
                return Err(too_long());
            }
            body.extend_from_slice(&self.take(length).await?);
            if !self.line(&mut room).await?.is_empty() {
                return Err(nonsense());
            }
        }
    }

    /// One line without its end; `room` is what the lines together may still take.
    async fn line(&mut self, room: &mut usize) -> Result<String, HttpFailure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                *room = room.checked_sub(end + 1).ok_or_else(too_long)?;
                let line = self.take(end + 1).await?;
                let text = std::str::from_utf8(&line).map_err(|_| nonsense())?;
                return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > *room {
                return Err(too_long());
            }
            if !self.fill().await? {
                return Err(HttpFailure(
                    "it closed the connection before its answer was whole".to_owned(),
                ));
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Zeroizing<Vec<u8>>, HttpFailure> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(HttpFailure(
                    "it closed the connection before its answer was whole".to_owned(),
                ));
            }
        }
        let taken = Zeroizing::new(self.buffer[..length].to_vec());
        self.buffer.drain(..length);
        Ok(taken)
    }

    /// Reads once; false at the end of the stream.
    async fn fill(&mut self) -> Result<bool, HttpFailure> {
        let mut piece = Zeroizing::new([0_u8; 4096]);
        match self.stream.read(piece.as_mut_slice()).await {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(true)
            }
            // A peer that closes TLS without a close_notify: what is missing shows in the length.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(lost(&error)),
        }
    }
}

/// How long the body is (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunks,
    UntilEnd,
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(answer: &[u8]) -> Result<(u16, String), String> {
        let response = Answer::new(answer).read().await.map_err(|failure| failure.0)?;
        Ok((response.status, String::from_utf8_lossy(&response.body).into_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up_with_the_time_that_was_waited() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = silent.local_addr().expect("its address").port();
        let request = HttpRequest {
            url: format!("http://127.0.0.1:{port}/token").parse().expect("an address"),
            content_type: "application/x-www-form-urlencoded",
            body: Zeroizing::new(b"grant_type=refresh_token".to_vec()),
        };
        let began = tokio::time::Instant::now();
        let failure = Poster::default().post(request).await.expect_err("nobody answers");
        assert_eq!(failure.to_string(), "nothing came within 30 s");
        assert_eq!(began.elapsed(), TIME);
    }

    #[tokio::test]
    async fn every_framing_gives_the_body() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyrest",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\nb\r\n3\r\nody\r\n0\r\n\r\n",
            "HTTP/1.0 200\r\n\r\nbody",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
        ] {
            assert_eq!(
                read(answer.as_bytes()).await,
                Ok((200, "body".to_owned())),
                "{answer:?}"
            );
        }
        let no_body = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read(no_body).await, Ok((204, String::new())));
        let moved = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(moved).await, Ok((302, String::new())), "a redirect is an answer");
    }

    #[tokio::test]
    async fn what_is_cut_long_or_no_http_is_no_answer() {
        let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD));
        let long_body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(BODY + 1));
        for answer in [
            "",
            "220 smtp.gmail.com ESMTP\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nbb\r\n0\r\n\r\n",
            "HTTP/1.1 999 OK\r\n\r\n",
            long_head.as_str(),
            long_body.as_str(),
        ] {
            assert!(read(answer.as_bytes()).await.is_err(), "{answer:?}");
        }
    }
}
