//! One POST over HTTP/1.1, for token endpoints and for a collector of traces: the only part of HTTP that these need.
//!
//! It is not a general client. A token endpoint's request holds a secret, so redirects are not followed, and plain `http`
//! is used only to a loopback address. `https` uses the system's roots only. The size of an answer is bounded, and so is
//! the time. The operator's policy and the egress rule are asked before anything is dialled.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, TRANSFER_ENCODING, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pipepost_accounts::TlsSettings;
use pipepost_accounts::oauth::{BoxFuture, HttpFailure, HttpPost, HttpRequest, HttpResponse};
use pipepost_core::egress::is_loopback;
use pipepost_core::{EgressGate, EgressRule, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;
use zeroize::Zeroizing;

use crate::buffered_stream::Stream;
use crate::dial::{self, DialError};
use crate::plain_io;
use crate::tls::TlsConfigs;

/// The whole exchange.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// Status line and headers of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The body of an answer, in bytes; a token is a few KiB at most.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A client that posts to token endpoints, over the host's own TLS, where the egress gate permits it.
#[derive(Debug, Default)]
pub struct HttpClient {
    gate: EgressGate,
    tls: TlsConfigs,
}

impl HttpPost for HttpClient {
    fn post(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(async move {
            let post = post(&request)?;
            self.within_its_time(&request.url, post, ClearText::ToLoopback).await
        })
    }
}

/// Where a request may go over plain `http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClearText {
    ToLoopback,
    Anywhere,
}

impl HttpClient {
    /// Makes a client that dials what this gate admits.
    pub fn new(gate: EgressGate) -> Self {
        Self {
            gate,
            tls: TlsConfigs::default(),
        }
    }

    /// Posts a body that holds no secret, with these headers, where the operator said. Plain `http` goes to any host that
    /// the gate admits: collectors of traces usually speak nothing else within their network.
    ///
    /// # Errors
    ///
    /// Fails if the gate does not admit the host, or if no whole answer came. Any status is an answer.
    pub async fn post_in_clear(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<HttpResponse, HttpFailure> {
        let mut request = begun(url).body(Full::new(body)).map_err(unaskable)?;
        request.headers_mut().extend(headers);
        self.within_its_time(url, request, ClearText::Anywhere).await
    }

    async fn within_its_time(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        clear: ClearText,
    ) -> Result<HttpResponse, HttpFailure> {
        match tokio::time::timeout(EXCHANGE_MAX, self.exchange(url, request, clear)).await {
            Ok(result) => result,
            Err(_) => Err(HttpFailure::unanswered(format!(
                "nothing came within {} s",
                EXCHANGE_MAX.as_secs()
            ))),
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        clear: ClearText,
    ) -> Result<HttpResponse, HttpFailure> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(HttpFailure::denied("its address names no host"));
        };
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            scheme => return Err(HttpFailure::denied(format!("{scheme} is not spoken here"))),
        };
        // The endpoint is the account's or a provider's own: the operator named it either way.
        let to = self
            .gate
            .admit(Endpoint::new(host, port), EgressRule::Operator)
            .map_err(|denied| HttpFailure::denied(clause(&denied)))?;
        let stream = match dial::dial(&to, EXCHANGE_MAX, &mut |_| ()).await {
            Ok(stream) => stream,
            Err(error @ DialError::Forbidden { .. }) => return Err(HttpFailure::denied(clause(&error))),
            Err(error) => return Err(HttpFailure::unanswered(clause(&error))),
        };
        if encrypted {
            let stream = self
                .tls
                .handshake(stream, to.endpoint(), &TlsSettings::default(), None)
                .await;
            let (stream, _) = stream.map_err(|error| HttpFailure::unanswered(clause(&error)))?;
            converse(Stream::Tls(Box::new(stream)), request).await
        } else {
            let is_inner = || stream.peer_addr().is_ok_and(|peer| is_loopback(peer.ip()));
            if clear == ClearText::ToLoopback && !is_inner() {
                return Err(HttpFailure::denied("http is spoken to loopback addresses alone"));
            }
            converse(Stream::Plain(stream), request).await
        }
    }
}

/// A sentence as the end of another.
fn clause(error: &dyn Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// Sends the request over a stream and reads the whole answer.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<HttpResponse, HttpFailure> {
    let failed = |error: hyper::Error| HttpFailure::unanswered(explain(&error));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        read(response).await
    };
    tokio::pin!(answering);
    // The connection is driven here and not by a task, so that giving up closes it.
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answering => answer,
        // What was wrong with the connection is what the answer ends with.
        _ = &mut connection => answering.await,
    }
}

fn post(request: &HttpRequest) -> Result<Request<Full<Bytes>>, HttpFailure> {
    begun(&request.url)
        .header(CONTENT_TYPE, request.content_type)
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::copy_from_slice(&request.body)))
        .map_err(unaskable)
}

/// A POST with the headers that each of ours has.
fn begun(url: &Url) -> Builder {
    let host = url.host_str().unwrap_or_default();
    let authority = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Request::post(target)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("pipepost/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
}

fn unaskable(error: hyper::http::Error) -> HttpFailure {
    HttpFailure::denied(format!("its address cannot be asked for ({error})"))
}

/// Reads an answer's body, whatever its status. A redirect is an answer.
async fn read(response: Response<hyper::body::Incoming>) -> Result<HttpResponse, HttpFailure> {
    let status = response.status().as_u16();
    if !(100..600).contains(&status) {
        return Err(HttpFailure::unanswered(NOT_HTTP));
    }
    let codings = response.headers().get_all(TRANSFER_ENCODING);
    if !codings
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(HttpFailure::unanswered(
            "its answer has a transfer coding that is not known here",
        ));
    }
    let mut incoming = Limited::new(response.into_body(), BODY_BYTES_MAX);
    if incoming.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_long());
    }
    // The room is fixed, so that growing leaves no copies of a token behind.
    let mut body = Zeroizing::new(Vec::with_capacity(BODY_BYTES_MAX));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => HttpFailure::unanswered(explain(&error)),
            Err(other) if other.is::<LengthLimitError>() => too_long(),
            Err(other) => HttpFailure::unanswered(clause(&*other)),
        })?;
        // Trailers say nothing that is wanted here.
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(data);
        }
    }
    Ok(HttpResponse { status, body })
}

/// What went wrong between the request and the answer.
fn explain(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return "it closed the connection before its answer was whole".to_owned();
    }
    if error.is_parse() {
        return NOT_HTTP.to_owned();
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => format!("the connection failed: {}", plain_io::cause(source)),
        None => "the connection failed".to_owned(),
    }
}

const NOT_HTTP: &str = "its answer is not HTTP";

fn too_long() -> HttpFailure {
    HttpFailure::unanswered("its answer is longer than any token")
}

#[cfg(test)]
mod tests {
    use pipepost_core::Policy;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn request(url: String) -> HttpRequest {
        HttpRequest {
            url: url.parse().expect("an address"),
            content_type: "application/x-www-form-urlencoded",
            body: Zeroizing::new(b"grant_type=refresh_token".to_vec()),
        }
    }

    /// What a server's answer, sent once the request is there, is read as.
    async fn read(answer: &[u8]) -> Result<(u16, String), String> {
        let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
        let answer = answer.to_vec();
        let server = tokio::spawn(async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"grant_type=refresh_token") {
                theirs.read_buf(&mut asked).await.expect("a request");
            }
            theirs.write_all(&answer).await.expect("room for the answer");
            String::from_utf8(asked).expect("a text")
        });
        let request = request("https://login.example:8443/token?x=1".to_owned());
        let answer = converse(Stream::Memory(ours), post(&request).expect("a request")).await;
        let asked = server.await.expect("the server");
        assert!(
            asked.starts_with("POST /token?x=1 HTTP/1.1\r\nhost: login.example:8443\r\n"),
            "{asked}"
        );
        assert!(asked.contains("content-length: 24\r\n"), "{asked}");
        let response = answer.map_err(|failure| failure.to_string())?;
        Ok((response.status, String::from_utf8_lossy(&response.body).into_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up_with_the_time_that_was_waited() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = silent.local_addr().expect("its address").port();
        let request = request(format!("http://127.0.0.1:{port}/token"));
        let began = tokio::time::Instant::now();
        let failure = HttpClient::default().post(request).await.expect_err("nobody answers");
        assert_eq!(failure.to_string(), "nothing came within 30 s");
        assert_eq!(began.elapsed(), EXCHANGE_MAX);
    }

    #[tokio::test]
    async fn what_the_policy_does_not_name_is_not_asked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let policy = Policy::from_json(r#"{"hosts": ["mail.example"]}"#).expect("a policy");
        let client = HttpClient::new(EgressGate::new(policy));
        let failure = client
            .post(request(format!("http://127.0.0.1:{port}/token")))
            .await
            .expect_err("not allowed");
        assert!(failure.is_denied());
        assert_eq!(
            failure.to_string(),
            format!("The policy does not allow 127.0.0.1:{port}")
        );
        let nobody = std::future::poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_pending()));
        assert!(nobody.await, "nobody has called");
    }

    #[tokio::test]
    async fn metadata_services_and_clear_text_to_others_are_denied() {
        for url in [
            "http://169.254.169.254/token",
            "https://[fd00:ec2::23]/token",
            "ftp://login.example/token",
        ] {
            let failure = HttpClient::default()
                .post(request(url.to_owned()))
                .await
                .expect_err("not allowed");
            assert!(failure.is_denied(), "{url}: {failure}");
        }
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
        let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        let long_body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(BODY_BYTES_MAX + 1));
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
