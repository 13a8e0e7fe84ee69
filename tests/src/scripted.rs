//! A server that says what a test wrote down, for dialogues as providers have them.
//!
//! It does what a command asks for, unless the reply that is written down for it refuses. It speaks in clear, on the
//! loopback, and closes a connection as a server does that has had enough: at once, whatever it has not read.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{AccountFile, PASSWORD, USER};

/// What the server says.
#[derive(Clone, Debug, Default)]
pub struct Dialogue {
    offers: Vec<String>,
    replies: HashMap<String, VecDeque<String>>,
    per_connection: Option<(usize, String)>,
    connections: Option<(usize, String)>,
    /// The mechanisms by which it demands a sign-in; none: it demands none.
    mechanisms: Option<String>,
}

/// Closes the connection without a word, in the place of a reply. Behind a reply it closes after that.
pub const CLOSE: &str = "|close";

/// Says nothing more, and keeps the connection open, in the place of a reply or behind one.
pub const SILENCE: &str = "|silence";

impl Dialogue {
    /// A server with these extensions that takes everything.
    pub fn offering(keywords: &[&str]) -> Self {
        Self {
            offers: keywords.iter().map(|keyword| (*keyword).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// One that streams: PIPELINING, CHUNKING and ENHANCEDSTATUSCODES.
    pub fn streaming() -> Self {
        Self::offering(&["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "8BITMIME"])
    }

    /// One with PIPELINING, which is sent DATA.
    pub fn pipelining() -> Self {
        Self::offering(&["PIPELINING", "8BITMIME"])
    }

    /// Its replies to `verb`, one after the other over all connections; the last one stays. `GREETING` and `END` name the
    /// greeting and the reply to the end of a message, and an empty reply is the usual one. A reply may end in [`CLOSE`].
    /// `AUTH` is the reply to every sign-in, and `AUTH LOGIN` and the like the reply to that mechanism at once.
    #[must_use]
    pub fn says(mut self, verb: &str, replies: &[&str]) -> Self {
        let replies = replies.iter().map(|reply| (*reply).to_owned()).collect();
        self.replies.insert(verb.to_owned(), replies);
        self
    }

    /// So many messages on a connection; the MAIL after them is answered so, and the connection closed.
    #[must_use]
    pub fn limited_to(mut self, messages: usize, reply: &str) -> Self {
        self.per_connection = Some((messages, format!("{reply}{CLOSE}")));
        self
    }

    /// So many messages on a connection; each MAIL after them is answered so.
    #[must_use]
    pub fn refusing_after(mut self, messages: usize, reply: &str) -> Self {
        self.per_connection = Some((messages, reply.to_owned()));
        self
    }

    /// So many connections at once; others are greeted so, and closed.
    #[must_use]
    pub fn with_connections(mut self, most: usize, greeting: &str) -> Self {
        self.connections = Some((most, format!("{greeting}{CLOSE}")));
        self
    }

    /// It demands a sign-in.
    #[must_use]
    pub fn signing_in(self) -> Self {
        self.signing_in_by("PLAIN")
    }

    /// It demands a sign-in, and offers these mechanisms.
    #[must_use]
    pub fn signing_in_by(mut self, mechanisms: &str) -> Self {
        self.mechanisms = Some(mechanisms.to_owned());
        self
    }
}

/// What the server has seen.
#[derive(Debug, Default)]
pub struct Account {
    /// The contents of the messages that it took.
    pub taken: Vec<String>,
    /// The connections that it accepted.
    pub connections: usize,
    /// The sign-ins that were tried.
    pub sign_ins: usize,
    /// Their mechanisms, in order.
    pub mechanisms: Vec<String>,
    live: usize,
}

/// A running server. Its threads end with the connections.
#[derive(Debug)]
pub struct Scripted {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    dialogue: Dialogue,
    seen: Account,
}

impl Scripted {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub fn start(dialogue: Dialogue) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Mutex::new(Shared {
            dialogue,
            seen: Account::default(),
        }));
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&server);
                {
                    let mut shared = lock(&shared);
                    shared.seen.connections += 1;
                    shared.seen.live += 1;
                }
                thread::spawn(move || {
                    // A client may go at any time.
                    let _ = Session::new(stream, &shared).and_then(Session::run);
                    lock(&shared).seen.live -= 1;
                });
            }
        });
        Self { port, shared }
    }

    /// The account `mail` at this server.
    pub fn account(&self) -> AccountFile {
        let account = AccountFile::starttls(("127.0.0.1", self.port), std::path::Path::new("none"))
            .with("ca_file", Value::Null)
            .with("starttls_enable", "false");
        if lock(&self.shared).dialogue.mechanisms.is_some() {
            account.with("allow_plaintext_auth", true)
        } else {
            account
                .with("auth", "false")
                .with("username", Value::Null)
                .with("password", Value::Null)
        }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Account {
        let shared = lock(&self.shared);
        Account {
            taken: shared.seen.taken.clone(),
            mechanisms: shared.seen.mechanisms.clone(),
            ..shared.seen
        }
    }
}

impl Account {
    /// How often each text occurs among the messages that were taken, which each hold one of them.
    pub fn count(&self, text: &str) -> usize {
        self.taken.iter().filter(|content| content.contains(text)).count()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Session<'s> {
    shared: &'s Mutex<Shared>,
    input: BufReader<TcpStream>,
    output: TcpStream,
    ended: usize,
    sender: bool,
    recipients: usize,
}

/// The conversation goes on, or the connection is to be closed.
type Turn = std::io::Result<bool>;

impl<'s> Session<'s> {
    fn new(stream: TcpStream, shared: &'s Mutex<Shared>) -> std::io::Result<Self> {
        Ok(Self {
            shared,
            output: stream.try_clone()?,
            input: BufReader::new(stream),
            ended: 0,
            sender: false,
            recipients: 0,
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let refused = {
            let shared = lock(self.shared);
            let connections = shared.dialogue.connections.clone();
            connections.filter(|(most, _)| shared.seen.live > *most)
        };
        if let Some((_, greeting)) = refused {
            return self.say(&greeting).map(drop);
        }
        let (_, mut goes_on) = self.reply("GREETING", "220 mx.test ESMTP")?;
        while goes_on {
            let mut line = Vec::new();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            goes_on = self.command(&line)?;
        }
        Ok(())
    }

    fn command(&mut self, line: &str) -> Turn {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let mut lines = vec!["mx.test".to_owned()];
                {
                    let shared = lock(self.shared);
                    lines.extend(shared.dialogue.offers.iter().cloned());
                    lines.extend(shared.dialogue.mechanisms.iter().map(|names| format!("AUTH {names}")));
                }
                let last = lines.pop().unwrap_or_default();
                let all: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
                Ok(self.reply("EHLO", &format!("{all}250 {last}"))?.1)
            }
            "AUTH" => self.sign_in(line),
            "MAIL" => {
                let limit = lock(self.shared).dialogue.per_connection.clone();
                if let Some((_, reply)) = limit.filter(|(most, _)| self.ended >= *most) {
                    return self.say(&reply);
                }
                let (is_good, goes_on) = self.reply("MAIL", "250 2.1.0 OK")?;
                (self.sender, self.recipients) = (is_good, 0);
                Ok(goes_on)
            }
            "RCPT" if !self.sender => self.say("503 5.5.1 MAIL first"),
            "RCPT" => {
                let (is_good, goes_on) = self.reply("RCPT", "250 2.1.5 OK")?;
                self.recipients += usize::from(is_good);
                Ok(goes_on)
            }
            "DATA" if self.recipients == 0 => self.say("503 5.5.1 RCPT first"),
            "DATA" => match self.reply("DATA", "354 Go ahead")? {
                (true, true) => {
                    let content = self.dotted()?;
                    self.end(content)
                }
                (_, goes_on) => Ok(goes_on),
            },
            "BDAT" => {
                let octets = line
                    .split(' ')
                    .nth(1)
                    .and_then(|number| number.parse().ok())
                    .unwrap_or(0);
                let mut content = vec![0; octets];
                self.input.read_exact(&mut content)?;
                if self.recipients == 0 {
                    return self.say("503 5.5.1 RCPT first");
                }
                self.end(String::from_utf8_lossy(&content).into_owned())
            }
            "STARTTLS" => Ok(self.reply("STARTTLS", "500 5.5.2 What")?.1),
            "RSET" => {
                (self.sender, self.recipients) = (false, 0);
                Ok(self.reply("RSET", "250 2.0.0 Flushed")?.1)
            }
            "QUIT" => self.say(&format!("221 2.0.0 Bye{CLOSE}")),
            _ => self.say("500 5.5.2 What"),
        }
    }

    fn sign_in(&mut self, line: &str) -> Turn {
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        {
            let seen = &mut lock(self.shared).seen;
            seen.sign_ins += 1;
            seen.mechanisms.push(mechanism.clone());
        }
        let refused = self.next(&format!("AUTH {mechanism}"), "");
        if !refused.is_empty() {
            return self.say(&refused);
        }
        let is_good = match mechanism.as_str() {
            "PLAIN" => words.next() == Some(&STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))),
            "LOGIN" => {
                self.ask("VXNlcm5hbWU6")? == STANDARD.encode(USER)
                    && self.ask("UGFzc3dvcmQ6")? == STANDARD.encode(PASSWORD)
            }
            // Who asks for what, and whether it is right, real servers show.
            _ => !self.ask(&STANDARD.encode("<1896.697170952@mx.test>"))?.is_empty(),
        };
        let usual = if is_good {
            "235 2.7.0 Accepted"
        } else {
            "535 5.7.8 Not accepted"
        };
        Ok(self.reply("AUTH", usual)?.1)
    }

    fn ask(&mut self, prompt: &str) -> std::io::Result<String> {
        self.say(&format!("334 {prompt}"))?;
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn dotted(&mut self) -> std::io::Result<String> {
        let mut content = String::new();
        loop {
            let mut line = Vec::new();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == b".\r\n" {
                return Ok(content);
            }
            content.push_str(&String::from_utf8_lossy(&line));
        }
    }

    /// A message has come to its end.
    fn end(&mut self, content: String) -> Turn {
        (self.sender, self.recipients) = (false, 0);
        self.ended += 1;
        let reply = self.next("END", "250 2.0.0 Queued");
        if reply.starts_with('2') || reply == CLOSE {
            lock(self.shared).seen.taken.push(content);
        }
        self.say(&reply)
    }

    /// The next reply to `verb`.
    fn next(&self, verb: &str, usual: &str) -> String {
        let mut shared = lock(self.shared);
        let waiting = shared.dialogue.replies.get_mut(verb);
        let next = waiting.and_then(|replies| match replies.len() {
            0 | 1 => replies.front().cloned(),
            _ => replies.pop_front(),
        });
        next.filter(|reply| !reply.is_empty())
            .unwrap_or_else(|| usual.to_owned())
    }

    /// Says the next reply to `verb`: whether it lets the client go on with what it began, and whether the conversation
    /// goes on.
    fn reply(&mut self, verb: &str, usual: &str) -> std::io::Result<(bool, bool)> {
        let reply = self.next(verb, usual);
        let goes_on = self.say(&reply)?;
        Ok((reply.starts_with(['2', '3']), goes_on))
    }

    fn say(&mut self, reply: &str) -> Turn {
        if let Some(text) = reply.strip_suffix(SILENCE) {
            if !text.is_empty() {
                self.say(text)?;
            }
            // Until the client goes.
            std::io::copy(&mut self.input, &mut std::io::sink())?;
            return Ok(false);
        }
        let text = reply.strip_suffix(CLOSE).unwrap_or(reply);
        if !text.is_empty() {
            self.output.write_all(format!("{text}\r\n").as_bytes())?;
        }
        Ok(text.len() == reply.len())
    }
}

/// A step that sends so many messages, each with its number in its subject, and goes on from what fails.
pub fn numbered(messages: usize, params: Value) -> Value {
    let mut all = json!({
        "items": (1..=messages).collect::<Vec<_>>(),
        "subject": "Message {{ item }}.",
        "isOverTLS": false,
        "isOverSSL": false,
        "failOnError": false,
    });
    for (name, value) in params.as_object().cloned().unwrap_or_default() {
        all[&name] = value;
    }
    crate::email(all)
}
