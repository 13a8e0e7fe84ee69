//! The connections, and what each server is asked before anything is written to it.
//!
//! No statement is prepared by a name, and no setting outlives a transaction: a connection may lead through a pool that
//! gives each transaction another server process (PgBouncer's transaction mode).

use std::pin::Pin;
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
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Tls};
use crate::migrate;

/// The oldest server that is used.
const SERVER_MIN: i32 = 140_000;

/// The most connections of a process, beside the one that listens.
const CONNECTIONS_MAX: usize = 8;

/// How often the server is told to end what it did not answer in time, each time for a tenth of the usual bound.
const CANCELS_MAX: u32 = 3;

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
    /// The server cannot do it now, and said so: nothing was done, and the same may succeed later.
    NotNow(String),
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
        // Going down, coming up, a primary no more, or done with this connection. A commit that waits for a standby may have
        // been written down before that.
        let is_away = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_SESSION_TIMEOUT,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ]
        .contains(code)
            || code.code().starts_with("08");
        // Full, out of memory, at odds with its own disk, or told not to wait.
        let is_unable = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE].contains(code)
            || ["53", "58"].iter().any(|class| code.code().starts_with(class));
        if is_away {
            Self::Lost(reason(&error))
        } else if is_unable {
            Self::NotNow(reason(&error))
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

impl Fault {
    /// Says it without what was asked.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Lost(reason) | Self::NotNow(reason) | Self::InTheWay(reason) => reason.clone(),
            Self::Refused(error) => reason(error),
            Self::Not(error) => error.to_string(),
        }
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

/// Whether a statement was refused because the schema, or a table of it, is not there.
pub(crate) fn is_without_schema(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code)
}

/// How many milliseconds a statement may take for which somebody waits this long: a little more, since who waits ends it.
fn wall(bound: Duration) -> u128 {
    (bound + bound / 2).as_millis()
}

/// What helps, if the client gave up for a reason that does not pass by itself.
fn advice(reason: &str) -> Option<&'static str> {
    if reason.ends_with("password missing") {
        return Some(
            "it asks for a password, and there is none; name a file in PGPASSFILE with a line HOST:PORT:DATABASE:USER:PASSWORD that fits",
        );
    }
    reason.ends_with("server does not support TLS").then_some(
        "the server does not speak TLS; turn `ssl` on there, or write sslmode=disable in a network that you trust",
    )
}

/// Whether a server was connected to, and cannot be written.
fn is_read_only(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// The connections of one process to one database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) address: Address,
    dial: Dial,
    pool: Pool,
    is_migrated: AtomicBool,
    has_warned: AtomicBool,
}

/// Connects as the address says.
#[derive(Clone)]
pub(crate) struct Dial {
    tls: Option<MakeRustlsConnect>,
    /// A pool stands before the server, and takes no settings for a session.
    takes_no_settings: Arc<AtomicBool>,
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    /// Connects for sessions with these settings, and hands over what turns the connection. A pool that gives each
    /// transaction another session refuses them.
    async fn dial_with(&self, config: &Config, settings: &str) -> Result<(Client, JoinHandle<()>), Error> {
        if self.takes_no_settings.load(Ordering::Relaxed) {
            return self.dial(config).await;
        }
        let mut with = config.clone();
        with.options(match config.get_options() {
            Some(own) => format!("{own} {settings}"),
            None => settings.to_owned(),
        });
        match self.dial(&with).await {
            Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
                let dialled = self.dial(config).await?;
                self.takes_no_settings.store(true, Ordering::Relaxed);
                Ok(dialled)
            }
            other => other,
        }
    }

    /// Asks the server to end what it does on a connection.
    async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        match &self.tls {
            None => token.cancel_query(NoTls).await,
            Some(tls) => token.cancel_query(tls.clone()).await,
        }
    }

    /// Connects, and hands over what turns the connection.
    async fn dial(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let told = |result: Result<(), Error>| {
            if let Err(error) = result {
                tracing::debug!(error = reason(&error), "a connection to the database ended");
            }
        };
        Ok(match &self.tls {
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
        Ok(match &self.tls {
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

type Dialled<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

/// Connects for the pool.
struct Sessions {
    dial: Dial,
    settings: String,
}

impl Connect for Sessions {
    fn connect(&self, config: &Config) -> Dialled<'_> {
        let config = config.clone();
        Box::pin(async move { self.dial.dial_with(&config, &self.settings).await })
    }
}

impl Database {
    pub(crate) fn new(address: Address, trust: &Trust) -> Self {
        let dial = Dial::new(&address, trust);
        // Each statement sees what was committed before it, and ends soon after nobody waits for it any more. A worker that
        // stands still within a transaction holds its locks no longer than it would hold its runs.
        let settings = format!(
            "-c default_transaction_isolation=read\\ committed -c statement_timeout={} -c idle_in_transaction_session_timeout={}",
            wall(address.patience()),
            address.lease.as_millis()
        );
        let sessions = Sessions {
            dial: dial.clone(),
            settings,
        };
        let method = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(address.config.clone(), sessions, method);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .build();
        // A pool without a runtime cannot bound its waits, and this one has one.
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            address,
            dial,
            pool,
            is_migrated: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Does something with a connection, within a bound. What is not answered within it is ended on the server too, which
    /// would go on with it otherwise, and might do it when nobody expects it any more. A connection on which an answer is
    /// outstanding is not used again.
    pub(crate) async fn with<T>(
        &self,
        bound: Duration,
        act: impl AsyncFnOnce(&mut Object) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut client = self.client().await?;
        let is_long = bound > self.address.patience() && !self.dial.takes_no_settings.load(Ordering::Relaxed);
        if is_long {
            let longer = format!("SET statement_timeout = {}", wall(bound));
            let set = tokio::time::timeout(self.address.patience(), client.batch_execute(&longer)).await;
            if !matches!(set, Ok(Ok(()))) {
                drop(Object::take(client));
                return Err(Fault::Lost("no answer within the time".to_owned()));
            }
        }
        let token = client.cancel_token();
        let done = {
            let mut acting = std::pin::pin!(act(&mut client));
            match tokio::time::timeout(bound, &mut acting).await {
                Ok(done) => done,
                Err(_) => Err(self.end(&token, acting, bound).await),
            }
        };
        if let Err(fault) = &done {
            self.noticed(fault);
        }
        match done {
            Err(fault @ (Fault::Lost(_) | Fault::NotNow(_))) => {
                drop(Object::take(client));
                Err(fault)
            }
            // Its transaction, if any, was rolled back as it was dropped.
            other => {
                if is_long && client.batch_execute("RESET statement_timeout").await.is_err() {
                    drop(Object::take(client));
                }
                other
            }
        }
    }

    /// Lets the server end what it did not answer in time, and says what is known of it then. That it was done is not: a
    /// commit that no longer waits for a standby is answered as if it had.
    async fn end<T>(
        &self,
        token: &CancelToken,
        mut acting: Pin<&mut impl Future<Output = Result<T, Fault>>>,
        bound: Duration,
    ) -> Fault {
        for _ in 0..CANCELS_MAX {
            let ended = async {
                // Whoever cannot be reached is not told; the session's own bound is left.
                drop(self.dial.cancel(token).await);
                acting.as_mut().await
            };
            let moment = self.address.patience() / 10;
            match tokio::time::timeout(moment, ended).await {
                Ok(Err(fault)) => return fault,
                Ok(Ok(_)) => break,
                // It went on with the next statement, or was not told.
                Err(_) => {}
            }
        }
        Fault::Lost(format!("no answer within {} s", bound.as_secs_f32()))
    }

    /// Lets the next one who connects make the schema, where this says that it is gone.
    pub(crate) fn noticed(&self, fault: &Fault) {
        if let Fault::Refused(error) = fault
            && error.code().is_some_and(is_without_schema)
        {
            self.is_migrated.store(false, Ordering::Release);
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
        // What the server has ended meanwhile is no news.
        self.pool.retain(|client, _| !client.is_closed());
        let got = self.pool.timeout_get(&timeouts).await;
        let refusal = async |error| match error {
            PoolError::Backend(error) if is_alone && is_read_only(&error) => Fault::Not(self.unwritable().await),
            PoolError::Backend(error) => match Fault::from(error) {
                // The server answers, and lets nobody in.
                Fault::Refused(error) => Fault::Not(self.unusable(&error)),
                // It asks for what the address does not give, or has not what the address asks for.
                Fault::Lost(reason) => match advice(&reason) {
                    Some(advice) => Fault::Not(StateError::unusable(self.address.place(), advice)),
                    None => Fault::Lost(reason),
                },
                other => other,
            },
            PoolError::Timeout(_) => Fault::Lost("no connection within the time".to_owned()),
            other => Fault::Lost(other.to_string()),
        };
        let client = match got {
            Ok(client) => client,
            Err(error) => return Err(refusal(error).await),
        };
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
            current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication),
            current_setting('transaction_isolation'), current_setting('transaction_read_only')";
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
        if row.get::<_, &str>(8) == "on" {
            return Err(Fault::Not(self.read_only()));
        }
        if row.get::<_, &str>(4) != "UTF8" {
            return not("the database's encoding is not UTF8; make one with ENCODING 'UTF8'");
        }
        if row.get::<_, &str>(7) != "read committed" {
            // A session is asked for it, unless a pool stands between.
            return not(
                "default_transaction_isolation is another one than 'read committed', and the pool before the server takes no settings; set it with ALTER ROLE",
            );
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

    /// Why the only server cannot be written.
    async fn unwritable(&self) -> StateError {
        let mut config = self.address.config.clone();
        config.target_session_attrs(TargetSessionAttrs::Any);
        let ask = async {
            let (client, _) = self.dial.dial(&config).await?;
            let row = client.query_typed_one("SELECT pg_is_in_recovery()", &[]).await?;
            Ok::<bool, Error>(row.get(0))
        };
        match tokio::time::timeout(self.address.patience(), ask).await {
            Ok(Ok(false)) => self.read_only(),
            _ => self.standby(),
        }
    }

    fn read_only(&self) -> StateError {
        let reason = "it can only be read here: set default_transaction_read_only = off for the role and the database";
        StateError::unusable(self.address.place(), reason)
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
            Fault::Lost(reason) | Fault::NotNow(reason) | Fault::InTheWay(reason) => {
                StateError::unreachable(self.address.place(), reason)
            }
            Fault::Refused(error) => self.unusable(&error),
            Fault::Not(error) => error,
        }
    }
}

impl Dial {
    pub(crate) fn new(address: &Address, trust: &Trust) -> Self {
        let tls = match &address.tls {
            Tls::Off => None,
            Tls::Verified(authorities) => Some(MakeRustlsConnect::new((trust.0)(authorities))),
        };
        Self {
            tls,
            takes_no_settings: Arc::default(),
        }
    }
}
