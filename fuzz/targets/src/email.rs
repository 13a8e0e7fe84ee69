//! From a step's parameters to the bytes of a conversation.

use std::collections::{BTreeMap, VecDeque};

use pipepost_email_v2::account::Account;
use pipepost_email_v2::failure::Failure;
use pipepost_email_v2::files::{File, FileError, Files};
use pipepost_email_v2::message::{MessageSeed, Prepared, prepare};
use pipepost_email_v2::output::{Outcome, Report};
use pipepost_email_v2::parameters::Parameters;
use pipepost_smtp::{Action, Address, Client, ClientName, Config, Id, Pipelining, Security, Transaction};
use serde_json::{Value, json};

const ORIGIN: MessageSeed<'_> = MessageSeed {
    key: "run-7/start/2/item-15",
    now: 1_790_000_000,
    seed: 42,
};

/// What the harmless parameters make.
const HEADERS: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "X-Priority",
    "X-MSMail-Priority",
    "Importance",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "X-One",
    "MIME-Version",
    "Content-Type",
];

/// What goes in as text comes out as text: never as a header, a recipient, or a command to the server.
///
/// Input: a line with the JSON pointer of a parameter (`/subject`, `/to/0/name`), then the text that is put there. All
/// other parameters are harmless.
pub fn headers(data: &[u8]) {
    let (pointer, text) = super::first_line(data);
    let mut parameters = harmless();
    let text = String::from_utf8_lossy(text);
    match parameters.pointer_mut(&pointer) {
        Some(place) => *place = Value::from(text.as_ref()),
        None => return,
    }
    let Some((mut prepared, content)) = message(parameters, None) else {
        return;
    };
    let mut counts = BTreeMap::new();
    for name in header_names(&content) {
        *counts.entry(name).or_insert(0) += 1;
    }
    for (name, count) in counts {
        assert_eq!(count, 1, "{name} stands {count} times");
        assert!(
            pointer == "/headers/0/name" || HEADERS.contains(&name.as_str()),
            "{name} is written by {pointer}"
        );
    }
    let names_recipients = ["/to", "/cc", "/bcc"].iter().any(|list| pointer.starts_with(list));
    if !names_recipients || pointer == "/to/0/name" {
        assert_eq!(
            prepared.envelope.recipients,
            ["b@y.example", "c@y.example", "d@y.example"]
        );
    }
    converse(&mut prepared, &content);
}

/// A step's parameters are refused in one sentence, or make a message that travels, of the size that was said.
///
/// Input: the JSON of a step's parameters.
pub fn parameters(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        if let Err(failure) = Parameters::parse(&String::from_utf8_lossy(data), None) {
            super::assert_one_line(&failure.to_string());
        }
        return;
    };
    let account = Account {
        username: Some("ops@x.example".to_owned()),
        from_name: Some("Operations".to_owned()),
        ..Account::default()
    };
    for account in [None, Some(&account)] {
        if let Some((mut prepared, content)) = message(value.clone(), account) {
            converse(&mut prepared, &content);
        }
    }
}

fn harmless() -> Value {
    json!({
        "from": {"name": "Ana", "address": "a@x.example"}, "to": [{"name": "Bo", "address": "b@y.example"}],
        "cc": "c@y.example", "bcc": "d@y.example", "replyTo": "e@y.example", "envelopeFrom": "f@x.example",
        "subject": "Hi", "body": "<p>Hi</p>", "text": "Hi", "headers": [{"name": "X-One", "value": "1"}],
        "inReplyTo": "<g@h>", "references": ["<i@j>"], "messageId": "<k@l>",
        "listUnsubscribe": "https://x.example/u", "priority": "high",
        "icalEvent": {"content": "BEGIN:VCALENDAR\nEND:VCALENDAR\n", "method": "REQUEST", "filename": "i.ics"},
        "attachments": [
            {"attachment": "n.txt", "content": "x", "mediaType": "text/plain", "type": "ATTACHMENT"},
            {"attachment": "file.bin"},
        ],
        "charset": "UTF-8",
    })
}

/// The message and its octets, checked; none when the parameters are refused.
fn message(parameters: Value, account: Option<&Account>) -> Option<(Prepared, Vec<u8>)> {
    let made: Result<_, Failure> =
        Parameters::from_value(parameters, account).and_then(|parameters| prepare(&parameters, &ORIGIN, &mut OneFile));
    let mut prepared = match made {
        Ok(prepared) => prepared,
        Err(failure) => {
            super::assert_one_line(&failure.to_string());
            return None;
        }
    };
    let mut content = Vec::new();
    while prepared
        .content
        .read_next(&mut content, 1000)
        .unwrap_or_else(|error| panic!("{error}"))
        > 0
    {}
    assert_eq!(content.len() as u64, prepared.content.size());
    assert!(content.ends_with(b"\r\n"));
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let line = line
            .strip_suffix(b"\r\n")
            .unwrap_or_else(|| panic!("a bare LF after {line:?}"));
        assert!(
            !line.contains(&b'\r') && !line.contains(&0) && line.len() <= 998,
            "{:?}",
            String::from_utf8_lossy(line)
        );
        assert!(
            prepared.eight_bit || line.is_ascii(),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
    for warning in &prepared.warnings {
        super::assert_one_line(warning);
    }
    let output = prepared.output.render(&Report::new(Outcome::Failed));
    assert!(serde_json::from_str::<Value>(&output).is_ok(), "{output}");
    Some((prepared, content))
}

fn header_names(content: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(content);
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    head.split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| {
            line.split_once(':')
                .unwrap_or_else(|| panic!("no header: {line:?}"))
                .0
                .to_owned()
        })
        .collect()
}

/// The run's directory holds one file.
struct OneFile;

impl Files for OneFile {
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError> {
        match name {
            "file.bin" => Ok(Box::new(Self)),
            _ => Err(FileError::NotFound),
        }
    }
}

impl File for OneFile {
    fn size(&self) -> u64 {
        5
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        let rest = b"\0\r\n.\n"
            .iter()
            .skip(usize::try_from(offset).map_err(|_| FileError::Io)?);
        Ok(rest.take(max as usize).copied().collect())
    }
}

/// Sends the message to a server that takes every line as a command until it has said 354, and checks that the commands
/// are ours, and the content what was made.
fn converse(prepared: &mut Prepared, content: &[u8]) {
    let transaction = Transaction {
        id: Id(7),
        sender: prepared.envelope.sender.clone(),
        recipients: prepared.envelope.recipients.clone(),
        size: prepared.content.size(),
        eight_bit: prepared.eight_bit,
        utf8: prepared.utf8,
        dsn: prepared.dsn.clone(),
    };
    let mut expected = vec!["EHLO client.test".to_owned()];
    let path = |address: &Address| format!("<{address}>");
    expected.push(format!(
        "MAIL FROM:{}",
        transaction.sender.as_ref().map_or("<>".to_owned(), path)
    ));
    expected.extend(
        transaction
            .recipients
            .iter()
            .map(|recipient| format!("RCPT TO:<{recipient}>")),
    );
    expected.extend(["DATA".to_owned(), "QUIT".to_owned()]);

    let mut server = Server::default();
    let name = ClientName::parse("client.test").unwrap_or_else(|error| panic!("{error}"));
    let mut config = Config::new(name, Security::None);
    config.pipelining = Pipelining::Off;
    let mut client = Client::new(config);
    client.submit(transaction);
    server.replies.push_back("220 x\r\n");
    loop {
        match client.poll() {
            Action::Write { bytes, .. } => {
                server.receive(bytes);
                client.written();
            }
            Action::Content { .. } => client.supply(content),
            Action::Read { .. } => match server.replies.pop_front() {
                Some(reply) => client.handle_bytes(reply.as_bytes()),
                None => panic!("the server has nothing to say: {:?}", server.commands),
            },
            Action::Ready => client.quit(),
            Action::Close(_) => break,
            other => panic!("{other:?} is out of place"),
        }
    }
    assert_eq!(server.commands.len(), expected.len(), "{:?}", server.commands);
    for (command, expected) in server.commands.iter().zip(&expected) {
        let parameters = command.strip_prefix(expected.as_str());
        let parameters = parameters.unwrap_or_else(|| panic!("{command:?} in place of {expected:?}"));
        let is_ours = |word: &str| word.starts_with("SIZE=") || ["BODY=8BITMIME", "SMTPUTF8"].contains(&word);
        assert!(parameters.split(' ').skip(1).all(is_ours), "{command:?}");
        assert!(parameters.is_empty() || parameters.starts_with(' '), "{command:?}");
    }
    assert_eq!(server.contents, [content], "the server has another message");
}

#[derive(Default)]
struct Server {
    input: Vec<u8>,
    commands: Vec<String>,
    /// The content that is being received.
    data: Option<Vec<u8>>,
    contents: Vec<Vec<u8>>,
    replies: VecDeque<&'static str>,
}

impl Server {
    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
            let line: Vec<u8> = self.input.drain(..end + 2).collect();
            match &mut self.data {
                Some(_) if line == b".\r\n" => {
                    self.contents.extend(self.data.take());
                    self.replies.push_back("250 2.0.0 taken\r\n");
                }
                Some(data) => data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line)),
                None => self.command(&String::from_utf8_lossy(&line[..end])),
            }
        }
    }

    fn command(&mut self, line: &str) {
        self.commands.push(line.to_owned());
        self.replies.push_back(match line.split([' ', ':']).next() {
            Some("EHLO") => "250-x\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1000000000\r\n",
            Some("DATA") => {
                self.data = Some(Vec::new());
                "354 go\r\n"
            }
            Some("QUIT") => "221 bye\r\n",
            _ => "250 ok\r\n",
        });
    }
}
