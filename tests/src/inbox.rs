//! `pipepost-inbox` within the test's own process: a server that takes access tokens and can be scripted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use pipepost_inbox::{Builder, Direction, Event, Inbox, Message, Running, Script, Security};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::lines::PATIENCE;
use crate::{PASSWORD, USER};

/// A running inbox. It ends when this is dropped.
pub struct Catcher {
    runtime: Runtime,
    running: Option<Running>,
    folder: TempDir,
    /// How many connections have ended.
    ended: Arc<(Mutex<usize>, Condvar)>,
}

impl Catcher {
    /// One that knows [`USER`] by [`PASSWORD`], and misbehaves as the script says.
    pub fn start(script: Script) -> Self {
        Self::with(|builder| builder.script(script))
    }

    /// One that knows [`USER`] by [`PASSWORD`], and is otherwise set up so.
    pub fn with(set_up: impl FnOnce(Builder) -> Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let ended = Arc::<(Mutex<usize>, Condvar)>::default();
        let ending = Arc::clone(&ended);
        let builder = Inbox::builder()
            .listen(Security::StartTls, "127.0.0.1:0")
            .listen(Security::Implicit, "127.0.0.1:0")
            .listen(Security::Plain, "127.0.0.1:0")
            .users([(USER, PASSWORD)])
            .record_dialogue()
            .observer(move |event| {
                if matches!(event, Event::Closed { .. }) {
                    *ending.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    ending.1.notify_all();
                }
            });
        let starting = set_up(builder).start();
        let running = runtime.block_on(starting).expect("the inbox starts");
        let folder = TempDir::new().expect("a folder for temporary files");
        std::fs::write(folder.path().join("ca.pem"), running.ca_pem()).expect("a writable folder");
        Self {
            runtime,
            running: Some(running),
            folder,
            ended,
        }
    }

    /// Waits until so many connections have come and gone: what was written on them has been read then.
    ///
    /// # Panics
    /// When they do not end.
    pub fn wait_until_ended(&self, connections: usize) {
        let (count, changed) = &*self.ended;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, waited) = changed
            .wait_timeout_while(count, PATIENCE, |count| *count < connections)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} of {connections} connections ended", *count);
    }

    /// The server itself.
    pub fn inbox(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is dropped")
    }

    /// Waits until this many connections in all have reached a hold of this name.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_until_held(&self, name: &str, count: u64) {
        let held = self.inbox().wait_until_held(name, count);
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, held).await });
        assert!(waited.is_ok(), "nothing came to the hold `{name}`");
    }

    /// Takes the access tokens in this file, one `USER TOKEN` a line, as they are when a client signs in.
    pub fn take_tokens_of(&self, file: PathBuf) {
        self.inbox().credentials().check_tokens_with(move |user, token| {
            let known = std::fs::read_to_string(&file).unwrap_or_default();
            known.lines().any(|line| line == format!("{user} {token}"))
        });
    }

    /// What a client has to trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The port of the face where TLS begins so.
    pub fn port(&self, security: Security) -> u16 {
        self.inbox().address_of(security).expect("all faces listen").port()
    }

    /// The account `mail` with a password.
    pub fn account(&self) -> Value {
        self.account_at(&self.authority())
    }

    fn account_at(&self, authority: &Path) -> Value {
        json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": self.port(Security::StartTls),
            "username": USER,
            "password": PASSWORD,
            "starttls_enable": true,
            "ca_file": authority,
        })
    }

    /// The messages so far.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.inbox().messages()
    }

    /// The command lines so far that begin with this verb.
    pub fn commands(&self, verb: &str) -> Vec<String> {
        let lines = self.inbox().transcript().into_iter();
        lines
            .filter(|(_, direction, text)| *direction == Direction::Received && text.starts_with(verb))
            .map(|(_, _, text)| text)
            .collect()
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.shutdown());
        }
    }
}
