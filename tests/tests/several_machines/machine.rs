//! A machine of its own: a folder, ways to the store and to the mail server that can be cut, and a worker that dies and
//! comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipepost_state_postgres::{Address, PostgresStore, Trust};
use pipepost_tests::{PASSWORD, Partition, Postgres, Scratch, Served, Sink, USER, postgres};
use serde_json::{Value, json};

/// How long a worker that is silent counts as alive, in seconds.
pub(crate) const LEASE: u32 = 2;

pub(crate) struct Machine {
    scratch: Scratch,
    /// To each port at which the store may be.
    store: Vec<Partition>,
    mail: Partition,
    worker: Mutex<Option<Arc<Served>>>,
}

impl Machine {
    /// One that finds the store at one of these ports. Its worker does not run yet.
    pub(crate) fn new(store: &[u16], mail: SocketAddr) -> Self {
        let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let store: Vec<Partition> = store.iter().map(local).map(Partition::before).collect();
        let mail = Partition::before(mail);
        let ports: Vec<u16> = store.iter().map(Partition::port).collect();
        let scratch = folder(&postgres::url(&ports), mail.port());
        Self {
            scratch,
            store,
            mail,
            worker: Mutex::default(),
        }
    }

    /// Lets at most so many messages of a connection be claimed and unanswered.
    pub(crate) fn with_uncertain_max(self, most: u32) -> Self {
        let mut account = Sink::account(self.mail.port());
        account["limits"] = json!({ "max_uncertain": most });
        self.scratch.write("accounts.json", account.to_string());
        self
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Served>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the mail server.
    pub(crate) fn mail(&self) -> &Partition {
        &self.mail
    }

    /// The port at which it finds the store.
    pub(crate) fn store_port(&self) -> u16 {
        self.store[0].port()
    }

    /// Starts the worker, and waits until it is ready.
    pub(crate) fn start(&self) -> Arc<Served> {
        let served = Arc::new(Served::start(&self.scratch, &["--concurrency", "4"]));
        *self.lock() = Some(Arc::clone(&served));
        served
    }

    /// The worker, if it was started and not killed.
    pub(crate) fn worker(&self) -> Option<Arc<Served>> {
        self.lock().clone()
    }

    /// Kills the worker, as the end of its machine does.
    pub(crate) fn kill(&self) {
        if let Some(served) = self.lock().take() {
            served.running().signal("KILL");
            // Those who still ask it get no answer; then it is waited for.
            while Arc::strong_count(&served) > 1 {
                std::thread::yield_now();
            }
        }
    }

    /// Stops the worker, as a machine that hangs does. With `CONT` it goes on, and knows nothing of the time between.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(served) = &*self.lock() {
            served.running().signal(name);
        }
    }

    /// Cuts the ways to the store.
    pub(crate) fn lose_store(&self) {
        self.store.iter().for_each(Partition::cut);
    }

    /// The ways to the store are whole again. Connections from before end, or go on.
    pub(crate) fn find_store(&self, sever: bool) {
        for way in &self.store {
            if sever {
                way.sever();
            }
            way.heal();
        }
    }
}

/// The store as this process has it, in clear, at this port.
pub(crate) fn store(port: u16, more: &str) -> PostgresStore {
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).expect("a writable folder");
    let address = format!(
        "postgres://pipepost:${{file:{}}}@127.0.0.1:{port}/pipepost{more}",
        password.display()
    );
    let address = Address::parse(&address).expect("an address");
    PostgresStore::new(address, Trust::with(|_| unreachable!("it is spoken in clear")))
}

/// A folder with pipelines, an account at this port, and the state at this address.
pub(crate) fn folder(url: &str, mail: u16) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("pipelines/welcome.json", welcome().to_string());
    scratch.write("accounts.json", Sink::account(mail).to_string());
    scratch.write("pgpass", Postgres::password_file());
    let path = |name: &str| scratch.folder().join(name).display().to_string();
    let (accounts, passwords, home) = (path("accounts.json"), path("pgpass"), path("home"));
    scratch
        .variable("PIPEPOST_STATE", &with_lease(url))
        .variable("PIPEPOST_ACCOUNTS", &accounts)
        .variable("PIPEPOST_DRAIN", "0")
        .variable("PGPASSFILE", &passwords)
        // What a killed process leaves behind goes with the test.
        .variable("TMPDIR", &home)
}

fn with_lease(url: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}lease={LEASE}")
}

/// A pipeline that sends a message for each element of `message.body.subjects`.
fn welcome() -> Value {
    json!({
        "triggerSpec": { "type": "rest", "consumers": 4 },
        "flowSpec": { "start": [sending("Send", "mail", &json!("{{ message.body.subjects }}"))] },
    })
}

/// A step that sends a message for each of these subjects.
pub(crate) fn sending(name: &str, account: &str, subjects: &Value) -> Value {
    json!({
        "type": "connector",
        "name": "email-connector-v2",
        "stepName": name,
        "accountLabel": account,
        "params": {
            "items": subjects,
            "from": USER,
            "to": "someone@example.test",
            "subject": "{{ item }}",
            "text": "x",
            "body": "",
            "isAuth": false,
            "isOverTLS": false,
            "isOverSSL": false,
            // What follows a message that fails is sent too.
            "failOnError": false,
            // The service tries again, and not the step.
            "retry": false,
        },
    })
}
