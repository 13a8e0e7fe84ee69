//! The listener that a browser comes back to. It answers the one callback of this sign-in and nothing else.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;
use zeroize::Zeroizing;

use super::explain::Explanation;
use crate::secret::Secret;

/// A request line and its headers; a code is a few hundred octets.
const MAX_REQUEST: usize = 16 * 1024;
/// Browsers open connections that they then do not use.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Before the next try when the system gives no connection, which a process out of files does at once every time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// More than a browser opens.
const MAX_CONNECTIONS: usize = 32;

/// What a request is to this sign-in.
pub(crate) enum Verdict {
    /// Its end, with the code.
    Code(Secret),
    /// Its end, refused.
    Refused(Explanation),
    /// Not its end.
    Foreign,
}

pub(crate) struct Listener {
    listener: TcpListener,
    port: u16,
}

/// The browser that waits to be told how it ended.
pub(crate) struct Browser(TcpStream);

impl Listener {
    pub(crate) async fn bind(port: Option<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the callback. Requests that are something else are told so, and forgotten.
    pub(crate) async fn wait(
        &self,
        redirect: &Url,
        judge: impl Fn(&Url) -> Verdict,
    ) -> (Result<Secret, Explanation>, Browser) {
        let mut requests = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if requests.len() < MAX_CONNECTIONS => {
                    // An accept that fails (a connection gone already, no file left) says nothing about the next one.
                    if let Ok((stream, _)) = accepted {
                        requests.spawn(tokio::time::timeout(REQUEST_TIME, read_request(stream)));
                    } else {
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
                Some(read) = requests.join_next() => {
                    let Ok(Ok(Some((stream, request)))) = read else { continue };
                    let browser = Browser(stream);
                    match parse_request(&request, redirect).map_or(Verdict::Foreign, |address| judge(&address)) {
                        Verdict::Code(code) => return (Ok(code), browser),
                        Verdict::Refused(refused) => return (Err(refused), browser),
                        Verdict::Foreign => browser.send("404 Not Found", "Not here", "This address serves one sign-in and nothing else.").await,
                    }
                }
            }
        }
    }
}

impl Browser {
    /// Shows how it ended.
    pub(crate) async fn finish(self, result: Result<(), &str>) {
        match result {
            Ok(()) => {
                self.send(
                    "200 OK",
                    "Signed in",
                    "You can close this window and go back to the terminal.",
                )
                .await
            }
            Err(message) => self.send("200 OK", "Not signed in", message).await,
        }
    }

    async fn send(mut self, status: &str, title: &str, text: &str) {
        let (title, text) = (escaped(title), escaped(text));
        let page = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pipepost: {title}</title></head>\
             <body><h1>{title}</h1><p>{text}</p></body></html>\n"
        );
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n",
            page.len()
        );
        // A browser that went away is told nothing; the sign-in does not hang on it.
        let telling = async {
            self.0.write_all(head.as_bytes()).await?;
            self.0.write_all(page.as_bytes()).await?;
            self.0.shutdown().await
        };
        drop(tokio::time::timeout(REQUEST_TIME, telling).await);
    }
}

/// The head of a request, or none when it ends early or is too long.
async fn read_request(mut stream: TcpStream) -> Option<(TcpStream, Zeroizing<Vec<u8>>)> {
    let mut head = Zeroizing::new(Vec::with_capacity(MAX_REQUEST));
    let mut buffer = Zeroizing::new([0u8; 1024]);
    loop {
        let read = stream.read(buffer.as_mut_slice()).await.ok().filter(|read| *read > 0)?;
        if head.len() + read > MAX_REQUEST {
            return None;
        }
        head.extend_from_slice(&buffer[..read]);
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            return Some((stream, head));
        }
    }
}

/// The address asked for, when this is a GET to our own host: a page elsewhere that had its name point here would say
/// its own.
fn parse_request(head: &[u8], redirect: &Url) -> Option<Url> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let own = redirect[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let host = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    })?;
    if method != "GET"
        || !target.starts_with('/')
        || !version.starts_with("HTTP/1.")
        || !host.eq_ignore_ascii_case(&own)
    {
        return None;
    }
    // Joined as text: a target such as `//elsewhere/` is a path here, not a host.
    Url::parse(&format!("{}{target}", &redirect[..url::Position::AfterPort])).ok()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
