use pipepost_tests::{AccountFile, Dialogue, Ending, Scratch, Scripted, document, numbered};
use serde_json::{Value, json};

/// A run of some messages, and the server's own account of it.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) ending: Ending,
    pub(super) seen: pipepost_tests::ServerAccount,
}

/// Sends so many messages to a server.
pub(super) fn send(dialogue: Dialogue, messages: usize, params: Value) -> Truth {
    send_with(dialogue, messages, params, |account| account)
}

/// The same with an account that is changed.
pub(super) fn send_with(
    dialogue: Dialogue,
    messages: usize,
    params: Value,
    change: impl FnOnce(AccountFile) -> AccountFile,
) -> Truth {
    let server = Scripted::start(dialogue);
    let account = change(server.account());
    let scratch = Scratch::with(&document(&[numbered(messages, params)]), &account);
    let ending = scratch.run(&[]);
    Truth {
        ending,
        seen: server.seen(),
    }
}

/// One account, one connection.
pub(super) fn one_connection(account: AccountFile) -> AccountFile {
    account.with("limits", json!({ "max_connections": 1 }))
}

impl Truth {
    /// How many messages ended so.
    pub(super) fn of(&self, outcome: &str) -> usize {
        let output = self.ending.json();
        usize::try_from(output[outcome].as_u64().unwrap_or_default()).unwrap_or_default()
    }

    /// What was reported of each message agrees with what the server took: what is `sent` was taken once, what `failed`
    /// never, and no message more than once.
    pub(super) fn agrees(&self) -> &Self {
        let output = self.ending.json();
        for (index, result) in output["results"].as_array().into_iter().flatten().enumerate() {
            let taken = self.seen.count(&format!("Message {}.", index + 1));
            let agrees = match result["outcome"].as_str() {
                Some("sent") => taken == 1,
                Some("failed") => taken == 0,
                _ => taken <= 1,
            };
            assert!(
                agrees,
                "message {}: taken {taken} times, {result}\n{}",
                index + 1,
                self.ending
            );
        }
        self
    }

    /// So many were sent, failed, and are uncertain.
    pub(super) fn counts(&self, sent: usize, failed: usize, uncertain: usize) -> &Self {
        let counts = ["sent", "failed", "uncertain"].map(|outcome| self.of(outcome));
        assert_eq!(counts, [sent, failed, uncertain], "{}", self.ending);
        self.agrees()
    }
}
