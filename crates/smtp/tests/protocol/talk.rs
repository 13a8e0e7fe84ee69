//! A conversation with the client, line by line.

use pipepost_smtp::{Action, Client, CloseReason, Config, Outcome, Pipelining, Security, Settled};

use crate::driver::{Message, config, message};

/// A client and what it is asked to send, spoken to line by line.
pub struct Talk {
    pub client: Client,
    pub messages: Vec<Message>,
}

impl Talk {
    /// On a connection on which the server has greeted and answered EHLO.
    pub fn new(config: Config, capabilities: &[&str], messages: Vec<Message>) -> Self {
        let mut talk = Self {
            client: Client::new(config),
            messages,
        };
        talk.server("220 mx.test ESMTP\r\n");
        talk.client("EHLO client.test\r\n");
        talk.ehlo(capabilities);
        talk.messages
            .iter()
            .for_each(|message| talk.client.submit(message.transaction.clone()));
        talk
    }

    pub fn ehlo(&mut self, capabilities: &[&str]) {
        let mut lines = vec!["mx.test"];
        lines.extend(capabilities);
        let last = lines.pop().unwrap();
        let reply: String = lines.iter().map(|line| format!("250-{line}\r\n")).collect();
        self.server(&format!("{reply}250 {last}\r\n"));
    }

    pub fn server(&mut self, reply: &str) {
        assert!(matches!(self.poll(), Action::Read { .. }), "{:?}", self.client.poll());
        self.client.handle_bytes(reply.as_bytes());
    }

    /// The client writes exactly this, and it commits nothing.
    pub fn client(&mut self, expected: &str) {
        self.commits(expected, &[]);
    }

    pub fn commits(&mut self, expected: &str, expected_commits: &[u32]) {
        match self.poll() {
            Action::Write { bytes, commits, .. } => {
                assert_eq!(String::from_utf8_lossy(bytes), expected);
                assert_eq!(commits.iter().map(|id| id.0).collect::<Vec<_>>(), expected_commits);
            }
            other => panic!("{other:?} instead of {expected:?}"),
        }
        self.client.written();
    }

    /// The next action that is not about content.
    pub fn poll(&mut self) -> Action<'_> {
        while let Action::Content { id, .. } = self.client.poll() {
            let message = self
                .messages
                .iter()
                .find(|message| message.transaction.id == id)
                .unwrap();
            self.client.supply(&message.content);
        }
        self.client.poll()
    }

    pub fn settled(&mut self) -> Vec<Settled> {
        std::iter::from_fn(|| self.client.poll_settled()).collect()
    }

    pub fn one(&mut self) -> Settled {
        let mut settled = self.settled();
        assert_eq!(settled.len(), 1, "{settled:?}");
        settled.remove(0)
    }

    pub fn closed(&mut self) -> CloseReason {
        match self.poll() {
            Action::Close(ending) => ending.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn ready(&mut self) {
        assert_eq!(self.poll(), Action::Ready);
    }
}

pub const GROUPS: [&str; 2] = ["PIPELINING", "SIZE 1000"];
pub const CHUNKS: [&str; 4] = ["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE 1000"];

pub fn plain() -> Config {
    config(Security::None)
}

pub fn partly(send_partial: bool) -> Config {
    let mut config = plain();
    config.send_partial = send_partial;
    config
}

pub fn piped(pipelining: Pipelining) -> Config {
    let mut config = plain();
    config.pipelining = pipelining;
    config
}

pub fn two() -> Vec<Message> {
    vec![
        message(1, "a@x.test", "b@y.test c@y.test", ".1"),
        message(2, "", "d@y.test", "2"),
    ]
}

pub fn accepted(settled: &Settled) -> bool {
    matches!(settled.outcome, Outcome::Accepted { .. })
}

pub const OK: &str = "250 2.1.0 OK\r\n";
pub const RCPT_OK: &str = "250 2.1.5 OK\r\n";
pub const DONE: &str = "250 2.0.0 Taken\r\n";
