//! A small SMTP server that really obeys the bytes it receives. It shares no code with the crate, and where the RFCs
//! leave a server free to be awkward it is: a failed chunk leaves its transaction open, and a nested MAIL is refused.

/// Which enhanced codes a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Each as it is registered.
    Registered,
    /// `2.1.0` to every command, as if all spoke of the sender.
    OfTheSender,
    /// `2.1.5` to the end of a message, and a refused message has a bad address.
    OfTheRecipient,
}

/// How a server behaves that takes so many messages on a connection and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It answers the MAIL after them with 421, and closes.
    Says421,
    /// It closes at the MAIL after them.
    AtMail,
    /// It closes behind its answer to the last.
    AtOnce,
}

pub const LEAVINGS: [Leaving; 3] = [Leaving::Says421, Leaving::AtMail, Leaving::AtOnce];

/// What the server offers and refuses.
#[derive(Clone, Debug)]
pub struct Manners {
    pub ehlo: bool,
    pub pipelining: bool,
    pub chunking: bool,
    pub starttls: bool,
    pub auth: &'static str,
    pub size: Option<u64>,
    pub eight_bit: bool,
    pub utf8: bool,
    /// Say enhanced codes, as Gmail does.
    pub enhanced: bool,
    pub most_recipients: usize,
    /// Take RSET, MAIL, RCPT and DATA of nobody who is not signed in.
    pub needs_sign_in: bool,
    pub codes: Codes,
    /// The messages that it takes on one connection, and how it ends it then.
    pub limit: Option<(usize, Leaving)>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            ehlo: true,
            pipelining: true,
            chunking: true,
            starttls: false,
            auth: "",
            size: Some(1_000_000),
            eight_bit: true,
            utf8: true,
            enhanced: true,
            most_recipients: 100,
            needs_sign_in: false,
            codes: Codes::Registered,
            limit: None,
        }
    }
}

/// What happens to one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command is refused with a code of 4yz, and not done.
    Transient,
    /// The same with 5yz.
    Permanent,
    /// The command is not done, the server says 421 and closes.
    Closing,
    /// The command is done, and the reply is not one.
    Garbage,
    /// The command is done, and the reply has two codes.
    Mixed,
    /// The command is done, and the reply comes twice.
    Twice,
    /// The command is done, and a refusal follows the reply.
    ThenRefusal,
    /// The command is done, and there is no reply.
    Silence,
}

pub const FAULTS: [Fault; 8] = [
    Fault::Transient,
    Fault::Permanent,
    Fault::Closing,
    Fault::Garbage,
    Fault::Mixed,
    Fault::Twice,
    Fault::ThenRefusal,
    Fault::Silence,
];

/// A message that the server took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub sender: String,
    pub recipients: Vec<String>,
    pub content: Vec<u8>,
}

enum Mode {
    Commands,
    Data,
    Chunk { left: usize, last: bool },
}

pub struct Server {
    manners: Manners,
    fault: Option<(usize, Fault)>,
    input: Vec<u8>,
    output: Vec<u8>,
    mode: Mode,
    content: Vec<u8>,
    /// Some BDAT of the transaction were taken, and not the last.
    in_chunks: bool,
    chunk_failed: bool,
    sender: Option<String>,
    recipients: Vec<String>,
    greeted: bool,
    tls: bool,
    signed_in: bool,
    closed: bool,
    /// How many replies were due so far.
    pub replies: usize,
    pub stored: Vec<Stored>,
    /// How many messages were sent to it to their end.
    ended: usize,
    /// Octets that it has said.
    said: usize,
    /// The contents that it has answered, each with the octets that it had said then.
    pub answered: Vec<(Vec<u8>, usize)>,
}

impl Server {
    pub fn new(manners: Manners, tls: bool, fault: Option<(usize, Fault)>) -> Self {
        let mut server = Self {
            manners,
            fault,
            input: Vec::new(),
            output: Vec::new(),
            mode: Mode::Commands,
            content: Vec::new(),
            in_chunks: false,
            chunk_failed: false,
            sender: None,
            recipients: Vec::new(),
            greeted: false,
            tls,
            signed_in: false,
            closed: false,
            replies: 0,
            stored: Vec::new(),
            ended: 0,
            said: 0,
            answered: Vec::new(),
        };
        server.act(Self::greet);
        server
    }

    /// A server in the middle of a session: greeted, and signed in where it asks for that.
    pub fn warm(manners: Manners, fault: Option<(usize, Fault)>) -> Self {
        let mut server = Self::new(manners, true, None);
        (server.greeted, server.signed_in) = (true, true);
        server.fault = fault;
        server.replies = 0;
        server.said = 0;
        server.output.clear();
        server
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while !self.closed && self.step() {}
    }

    /// Takes what it has said and nobody has read.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The handshake: everything said before is forgotten (RFC 3207, section 4.2).
    pub fn start_tls(&mut self) -> bool {
        let possible = !self.tls && !self.closed && self.input.is_empty();
        self.tls = true;
        self.greeted = false;
        possible
    }

    /// A whole AUTH exchange: the last reply, and whether it signed in.
    pub fn sign_in(&mut self, mechanism: &str) -> (Vec<u8>, bool) {
        let offered = self.manners.auth.split(' ').any(|name| name == mechanism);
        assert!(self.output.is_empty(), "something waits to be read");
        self.act(|server| {
            if server.tls && server.greeted && offered {
                server.signed_in = true;
                "235 2.7.0 Accepted".into()
            } else {
                "535 5.7.8 No".into()
            }
        });
        let reply = self.take_output();
        let success = reply.starts_with(b"235 ") && reply.iter().filter(|&&b| b == b'\n').count() == 1;
        (reply, success && self.signed_in)
    }

    fn step(&mut self) -> bool {
        match self.mode {
            Mode::Commands => self.command(),
            Mode::Data => self.data(),
            Mode::Chunk { left, last } => self.chunk(left, last),
        }
    }

    fn command(&mut self) -> bool {
        let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else {
            return false;
        };
        let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
        self.input.drain(..end + 2);
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let rest = rest.to_owned();
        match verb.to_ascii_uppercase().as_str() {
            // Its reply waits for the octets, which are read whatever becomes of them.
            "BDAT" => {
                let mut words = rest.split(' ');
                let left = words.next().and_then(|n| n.parse().ok()).expect("a chunk size");
                self.mode = Mode::Chunk {
                    left,
                    last: words.next() == Some("LAST"),
                };
                if !std::mem::replace(&mut self.in_chunks, true) {
                    self.content.clear();
                }
            }
            "DATA" => self.act(|server| {
                if server.sender.is_none() || server.recipients.is_empty() {
                    return "503 5.5.1 RCPT first".into();
                }
                server.mode = Mode::Data;
                server.content.clear();
                "354 Go ahead".into()
            }),
            verb => {
                // A server must do what RSET says (RFC 5321, section 4.1.1.5): only its reply can be wrong.
                if verb == "RSET" {
                    self.reset();
                }
                let verb = verb.to_owned();
                self.act(move |server| server.simple(&verb, &rest));
            }
        }
        true
    }

    fn simple(&mut self, verb: &str, rest: &str) -> String {
        match verb {
            "EHLO" if self.manners.ehlo => self.ehlo(),
            "HELO" => {
                self.reset();
                self.greeted = true;
                "250 mx.test".into()
            }
            "STARTTLS" if self.manners.starttls && !self.tls => "220 2.0.0 Go".into(),
            "QUIT" => {
                self.closed = true;
                "221 2.0.0 Bye".into()
            }
            _ if !self.greeted => "503 5.5.1 EHLO first".into(),
            _ if self.manners.needs_sign_in && !self.signed_in => "530 5.7.0 Authentication required".into(),
            "RSET" => {
                self.reset();
                "250 2.0.0 Reset".into()
            }
            "MAIL" if self.is_full() => {
                self.closed = true;
                match self.manners.limit {
                    Some((_, Leaving::Says421)) => "421 4.7.0 Too many messages on this connection".into(),
                    _ => String::new(),
                }
            }
            "MAIL" if self.sender.is_some() => "503 5.5.1 nested MAIL".into(),
            "MAIL" => self.mail(rest),
            "RCPT" if self.sender.is_none() => "503 5.5.1 MAIL first".into(),
            "RCPT" => self.rcpt(rest),
            _ => "500 5.5.2 Unrecognised".into(),
        }
    }

    fn is_full(&self) -> bool {
        self.manners.limit.is_some_and(|(most, _)| self.ended >= most)
    }

    fn ehlo(&mut self) -> String {
        self.reset();
        self.greeted = true;
        let manners = &self.manners;
        let mut lines = vec!["mx.test at your service".to_owned()];
        if let Some(size) = manners.size {
            lines.push(format!("SIZE {size}"));
        }
        let flags = [
            (manners.pipelining, "PIPELINING"),
            (manners.chunking, "CHUNKING"),
            (manners.eight_bit, "8BITMIME"),
            (manners.utf8, "SMTPUTF8"),
            (manners.starttls && !self.tls, "STARTTLS"),
            (manners.enhanced, "ENHANCEDSTATUSCODES"),
        ];
        lines.extend(
            flags
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, keyword)| (*keyword).to_owned()),
        );
        if self.tls && !manners.auth.is_empty() {
            lines.push(format!("AUTH {}", manners.auth));
        }
        let last = lines.pop().expect("a line");
        lines.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + &format!("250 {last}")
    }

    fn mail(&mut self, rest: &str) -> String {
        let (path, parameters) = path(rest, "FROM:");
        if path.starts_with("bad") {
            return "550 5.7.1 Sender refused".into();
        }
        for parameter in parameters.split_whitespace() {
            let fine = match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("SIZE", size) => self
                    .manners
                    .size
                    .is_some_and(|limit| size.parse::<u64>().is_ok_and(|n| n <= limit)),
                ("BODY", "8BITMIME") => self.manners.eight_bit,
                ("SMTPUTF8", "") => self.manners.utf8,
                _ => false,
            };
            if !fine {
                return format!("555 5.5.4 {parameter}");
            }
        }
        self.sender = Some(path);
        "250 2.1.0 OK".into()
    }

    fn rcpt(&mut self, rest: &str) -> String {
        let (path, _) = path(rest, "TO:");
        if path.starts_with("nobody") {
            return "550-5.1.1 There is no\r\n550 5.1.1 such account".into();
        }
        if path.starts_with("later") {
            return "450 4.2.1 Later".into();
        }
        if self.recipients.len() >= self.manners.most_recipients {
            return "452 4.5.3 Too many recipients".into();
        }
        self.recipients.push(path);
        "250 2.1.5 OK".into()
    }

    fn data(&mut self) -> bool {
        // The end is looked for where a careful server looks: at whole lines.
        let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") else {
            return false;
        };
        let line: Vec<u8> = self.input.drain(..end + 2).collect();
        if line == b".\r\n" {
            self.mode = Mode::Commands;
            let taken = self.stored.len();
            self.act(Self::take);
            self.answered(taken);
            // The end of the data clears the transaction, whatever the reply (RFC 5321, section 4.1.1.4).
            self.reset();
        } else {
            self.content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        true
    }

    fn chunk(&mut self, left: usize, last: bool) -> bool {
        let taken = left.min(self.input.len());
        self.content.extend(self.input.drain(..taken));
        if taken < left {
            self.mode = Mode::Chunk {
                left: left - taken,
                last,
            };
            return false;
        }
        self.mode = Mode::Commands;
        if !last {
            // What is refused is discarded with all that follows (RFC 3030, section 2).
            let failed = std::mem::replace(&mut self.chunk_failed, true);
            self.act(|server| {
                if server.sender.is_none() || server.recipients.is_empty() || failed {
                    return "503 5.5.1 RCPT first".into();
                }
                server.chunk_failed = false;
                "250 2.0.0 Go on".into()
            });
            return true;
        }
        let taken = self.stored.len();
        self.act(|server| {
            if server.sender.is_none() || server.recipients.is_empty() || server.chunk_failed {
                return "503 5.5.1 RCPT first".into();
            }
            let reply = server.take();
            if reply.starts_with('2') {
                server.reset();
            }
            reply
        });
        self.answered(taken);
        true
    }

    fn take(&mut self) -> String {
        if self.content.windows(4).any(|word| word == b"spam") {
            return match self.manners.codes {
                Codes::OfTheRecipient => "550 5.1.8 Access denied, bad outbound sender".into(),
                _ => "554 5.7.1 No spam".into(),
            };
        }
        let sender = self.sender.clone().expect("a sender");
        self.stored.push(Stored {
            sender,
            recipients: self.recipients.clone(),
            content: self.content.clone(),
        });
        match self.manners.codes {
            Codes::OfTheRecipient => "250 2.1.5 Taken".into(),
            _ => "250 2.0.0 Taken".into(),
        }
    }

    /// The end of a message was answered; before it so many had been taken.
    fn answered(&mut self, taken: usize) {
        if self.stored.len() == taken {
            return;
        }
        self.ended += 1;
        self.answered.push((self.content.clone(), self.said));
        if self
            .manners
            .limit
            .is_some_and(|(most, leaving)| leaving == Leaving::AtOnce && self.ended >= most)
        {
            self.closed = true;
        }
    }

    fn greet(&mut self) -> String {
        "220 mx.test ESMTP".into()
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
        (self.in_chunks, self.chunk_failed) = (false, false);
    }

    /// Does what a command asks for and replies, unless a fault is due.
    fn act(&mut self, command: impl FnOnce(&mut Self) -> String) {
        let fault = self.fault.and_then(|(at, fault)| (at == self.replies).then_some(fault));
        self.replies += 1;
        match fault {
            Some(Fault::Transient) => self.reply("451 4.3.0 Not now"),
            Some(Fault::Permanent) => self.reply("550 5.3.0 Never"),
            Some(Fault::Closing) => {
                self.reply("421 4.3.2 Closing");
                self.closed = true;
            }
            fault => {
                let text = command(self);
                match fault {
                    Some(Fault::Garbage) => self.reply("what do you mean"),
                    Some(Fault::Mixed) => {
                        let code = if text.starts_with('2') { "550" } else { "250" };
                        self.reply(&format!(
                            "{}-{}\r\n{code} x",
                            &text[..3],
                            &text[4..].replace("\r\n", " ")
                        ));
                    }
                    Some(Fault::Twice) => {
                        self.reply(&text);
                        self.reply(&text);
                    }
                    Some(Fault::ThenRefusal) => {
                        self.reply(&text);
                        self.reply("550 5.0.0 Or not");
                    }
                    Some(Fault::Silence) => {}
                    _ => self.reply(&text),
                }
            }
        }
    }

    fn reply(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut text = text.to_owned();
        if self.manners.codes == Codes::OfTheSender {
            text = text
                .replace("250 2.0.0 Reset", "250 2.1.0 Reset")
                .replace("250 2.1.5", "250 2.1.0");
        }
        let plain = !self.manners.enhanced;
        for line in text.split("\r\n") {
            let mut line = line.to_owned();
            // `250 2.1.0 OK` without its middle.
            if plain && line.len() > 9 && line.as_bytes()[5] == b'.' && line.as_bytes()[7] == b'.' {
                line.replace_range(4..10.min(line.len()), "");
            }
            self.output.extend_from_slice(line.as_bytes());
            self.output.extend_from_slice(b"\r\n");
            self.said += line.len() + 2;
        }
    }
}

/// The path and the parameters of MAIL or RCPT.
fn path(rest: &str, prefix: &str) -> (String, String) {
    let rest = rest
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('<'))
        .expect("a path");
    let (path, parameters) = rest.rsplit_once('>').expect("a closed path");
    (path.to_owned(), parameters.to_owned())
}
