//! The connections, and what each server is asked before anything is written to it.
//!
//! No statement is prepared by a name, and no setting outlives a transaction: a connection may lead through a pool that
//! gives each transaction another server process (PgBouncer's transaction mode).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use pipepost_state::StateError;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Tls};
use crate::migrate;

/// The oldest server that is used.
const SERVER_MIN: i32 = 140_000;

/// The most connections of a process, beside the one that listens.
const CONNECTIONS_MAX: usize = 8;

type MakeConfig = dyn Fn(&[CertificateDer<'static>]) -> ClientConfig + Send + Sync;

/// Makes the client's side of TLS, which verifies a server's name by these authorities, or by the system's where none are
/// named.
#[derive(Clone)]
pub struct Trust(Arc<MakeConfig>);

impl Trust {
    /// Makes one from a function that is called once for each store.
    pub fn with(config: impl Fn(&[CertificateDer<'static>]) -> ClientConfig + Send + Sync + 'static) -> Self {
        Self(Arc::new(config))
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// The reason why something was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server could not be reached, or did not answer in time. What was asked may have been done.
    Lost(String),
    /// Another transaction was in the way: nothing was done, and the same may succeed now.
    InTheWay(String),
    /// The server refused it.
    Refused(Error),
    /// The rules, or this version, refuse it.
    Not(StateError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some(code) = error.code() else {
            return Self::Lost(reason(&error));
        };
        if [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code) {
            return Self::InTheWay(reason(&error));
        }
        // Going down, coming up, full, or a primary no more.
        let is_away = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::QUERY_CANCELED,
        ]
        .contains(code)
            || code.code().starts_with("08");
        if is_away {
            Self::Lost(reason(&error))
        } else {
            Self::Refused(error)
        }
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Self::Not(error)
    }
}

/// What an error says, without what was asked: the details name values.
fn reason(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// Whether a server was connected to, and cannot be written.
fn is_standby(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The connections of one process to one database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) address: Address,
    pool: Pool,
    is_migrated: AtomicBool,
    has_warned: AtomicBool,
}

/// Connects as the address says.
#[derive(Clone)]
pub(crate) struct Dial(Option<MakeRustlsConnect>);

impl Dial {
    /// Connects, and hands over what turns the connection.
    pub(crate) async fn dial(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let told = |result: Result<(), Error>| {
            if let Err(error) = result {
                tracing::debug!(error = reason(&error), "a connection to the database ended");
            }
        };
        Ok(match &self.0 {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(async move { told(connection.await) }))
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(async move { told(connection.await) }))
            }
        })
    }
}

/// A connection that is polled for what the server says by itself.
pub(crate) trait Heard {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<S, T> Heard for Connection<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Self::poll_message(self, context)
    }
}

impl Dial {
    /// Connects, for somebody who listens.
    pub(crate) async fn dial_to_hear(&self, config: &Config) -> Result<(Client, Box<dyn Heard>), Error> {
        Ok(match &self.0 {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, Box::new(connection) as Box<dyn Heard>)
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, Box::new(connection) as Box<dyn Heard>)
            }
        })
    }
}

type Dialled<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Dial {
    fn connect(&self, config: &Config) -> Dialled<'_> {
        let config = config.clone();
        Box::pin(async move { self.dial(&config).await })
    }
}

impl Database {
    pub(crate) fn new(address: Address, trust: &Trust) -> Self {
        let dial = Dial::new(&address, trust);
        let method = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(address.config.clone(), dial, method);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .build();
        // A pool without a runtime cannot bound its waits, and this one has one.
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            address,
            pool,
            is_migrated: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Does something with a connection, within a bound. A connection on which an answer is outstanding is not used again.
    pub(crate) async fn with<T>(
        &self,
        bound: Duration,
        act: impl AsyncFnOnce(&mut Object) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut client = self.client().await?;
        let done = tokio::time::timeout(bound, act(&mut client)).await;
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Fault::Lost(reason))) => {
                drop(Object::take(client));
                Err(Fault::Lost(reason))
            }
            // Its transaction, if any, was rolled back as it was dropped.
            Ok(Err(fault)) => Err(fault),
            Err(_) => {
                drop(Object::take(client));
                Err(Fault::Lost(format!("no answer within {} s", bound.as_secs_f32())))
            }
        }
    }

    /// Does something with a connection, within the usual bound.
    pub(crate) async fn soon<T>(&self, act: impl AsyncFnOnce(&mut Object) -> Result<T, Fault>) -> Result<T, Fault> {
        self.with(self.address.patience(), act).await
    }

    async fn client(&self) -> Result<Object, Fault> {
        let patience = self.address.patience();
        let hosts = u32::try_from(self.address.config.get_hosts().len()).unwrap_or(1).max(1);
        // Of several hosts, one may be about to take over.
        let is_alone = hosts == 1;
        let timeouts = Timeouts {
            wait: Some(patience),
            create: Some(patience * hosts),
            recycle: Some(patience),
        };
        let client = self.pool.timeout_get(&timeouts).await.map_err(|error| match error {
            PoolError::Backend(error) if is_alone && is_standby(&error) => Fault::Not(self.standby()),
            PoolError::Backend(error) => match Fault::from(error) {
                // The server answers, and lets nobody in.
                Fault::Refused(error) => Fault::Not(self.unusable(&error)),
                other => other,
            },
            PoolError::Timeout(_) => Fault::Lost("no connection within the time".to_owned()),
            other => Fault::Lost(other.to_string()),
        })?;
        if Object::metrics(&client).recycle_count == 0 {
            let ready = tokio::time::timeout(patience, self.ready(&client)).await;
            let ready = ready.unwrap_or_else(|_| Err(Fault::Lost("no answer within the time".to_owned())));
            if let Err(fault) = ready {
                drop(Object::take(client));
                return Err(fault);
            }
        }
        if !self.is_migrated.load(Ordering::Acquire) {
            let mut client = client;
            match migrate::migrate(&mut client, &self.address).await {
                Ok(()) => self.is_migrated.store(true, Ordering::Release),
                Err(fault) => {
                    drop(Object::take(client));
                    return Err(fault);
                }
            }
            return Ok(client);
        }
        Ok(client)
    }

    /// Refuses a server that may forget what it acknowledged.
    async fn ready(&self, client: &Client) -> Result<(), Fault> {
        const ASK: &str = "SELECT current_setting('server_version_num')::int4, current_setting('fsync'),
            current_setting('full_page_writes'), pg_is_in_recovery(), current_setting('server_encoding'),
            current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)";
        let row = client.query_typed_one(ASK, &[]).await?;
        let version: i32 = row.get(0);
        let not = |reason: &str| Err(Fault::Not(StateError::unusable(self.address.place(), reason)));
        if version < SERVER_MIN {
            let major = version / 10_000;
            return not(&format!(
                "the server is PostgreSQL {major}, and the oldest one that is used is 14"
            ));
        }
        if row.get::<_, &str>(1) != "on" {
            return not("the server's fsync is off, so a power cut would forget what was sent; set fsync = on");
        }
        if row.get::<_, &str>(2) != "on" {
            return not(
                "the server's full_page_writes is off, so a power cut could tear what was written; set full_page_writes = on",
            );
        }
        if row.get::<_, bool>(3) {
            return Err(Fault::Not(self.standby()));
        }
        if row.get::<_, &str>(4) != "UTF8" {
            return not("the database's encoding is not UTF8; make one with ENCODING 'UTF8'");
        }
        let (synchronous, standbys): (&str, i64) = (row.get(5), row.get(6));
        if standbys > 0 && synchronous.is_empty() && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "The database `{}` has standbys and none is synchronous: if one takes over, what the primary had not yet passed on is forgotten, and may be sent twice. Set synchronous_standby_names.",
                self.address.place()
            );
        }
        Ok(())
    }

    fn standby(&self) -> StateError {
        let reason = "the server is a standby, which cannot be written; name the primary, or all hosts";
        StateError::unusable(self.address.place(), reason)
    }

    fn unusable(&self, error: &Error) -> StateError {
        StateError::unusable(self.address.place(), reason(error))
    }

    /// Says to a caller why something was not done.
    pub(crate) fn told(&self, fault: Fault) -> StateError {
        match fault {
            Fault::Lost(reason) => StateError::unreachable(self.address.place(), reason),
            Fault::InTheWay(reason) => StateError::unreachable(self.address.place(), reason),
            Fault::Refused(error) => self.unusable(&error),
            Fault::Not(error) => error,
        }
    }
}

impl Dial {
    pub(crate) fn new(address: &Address, trust: &Trust) -> Self {
        Self(match &address.tls {
            Tls::Off => None,
            Tls::Verified(authorities) => Some(MakeRustlsConnect::new((trust.0)(authorities))),
        })
    }
}
