//! PostgreSQL, from a private folder: <https://www.postgresql.org>.
//!
//! It needs Debian's package `postgresql`. The machine's own clusters, running or not, are not touched: data, settings and
//! sockets are in a temporary folder, and the port is a free one of 127.0.0.1. What root starts runs as the user
//! `postgres`, since PostgreSQL refuses to run as root.
//!
//! [`Postgres::standby`] makes a standby that follows by streaming replication, [`Postgres::kill`] ends every process of a
//! cluster as the end of a machine does, and [`PgBouncer`] pools its connections.

mod guard;
mod pgbouncer;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use self::guard::{Guard, account, signal};
pub use self::pgbouncer::PgBouncer;
use crate::arrivals::{find, run};
use crate::certificates::{Authority, Certificate, Flaw};
use crate::lines::Lines;
use crate::ports::free_port;
use crate::{Namespace, PASSWORD, show, skip};

/// The address on which every cluster listens.
const ADDRESS: &str = "127.0.0.1";

/// The role that a product under test connects as, with [`PASSWORD`]. It owns the database.
const ROLE: &str = "pipepost";

/// The database of [`ROLE`].
const DATABASE: &str = "pipepost";

/// How often a start is tried at another port.
const PORTS: usize = 8;

/// How often it is started anew while processes of a killed cluster are still going.
const LOOKS: usize = 200;

/// What is unusual about a cluster.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Further lines of `postgresql.conf`.
    pub settings: &'static str,
    /// Clients of the network have to speak TLS; the certificate is for `localhost` and 127.0.0.1.
    pub tls: bool,
    /// It runs in this network, and listens at its address.
    pub namespace: Option<Arc<Namespace>>,
}

/// A cluster, running or not. It ends when this is dropped, or the test's process is gone.
pub struct Postgres {
    /// Before the folder, which it removes.
    server: Option<Server>,
    guard: Guard,
    programs: PathBuf,
    options: PostgresOptions,
    certificate: Option<Certificate>,
    port: u16,
    /// The logs of the servers before.
    before: Vec<Arc<Lines>>,
}

struct Server {
    child: Child,
    log: Arc<Lines>,
}

/// How far a standby is behind what its primary answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// A commit is answered when the standby has it on disk.
    Synchronous,
    /// A commit is answered before the standby has it.
    Asynchronous,
}

impl Postgres {
    /// Starts a cluster with the empty database of [`Postgres::url`]; none, in plain sight, where there is no PostgreSQL.
    pub fn start(options: &PostgresOptions) -> Option<Self> {
        let Some(programs) = programs() else {
            skip("PostgreSQL is not installed (Debian: postgresql)");
            return None;
        };
        if account().is_none() {
            skip("PostgreSQL does not run as root, and there is no user `postgres`");
            return None;
        }
        let mut cluster = Self::at(programs, options, None);
        let mut initdb = cluster.program("initdb");
        initdb.arg("--pgdata").arg(cluster.data());
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        run(initdb.stdout(Stdio::null()));
        cluster.run();
        let role = format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'");
        let database = format!("CREATE DATABASE {DATABASE} OWNER {ROLE}");
        for statement in [role, database] {
            cluster
                .try_ask("postgres", &statement)
                .unwrap_or_else(|error| cluster.failed(&error));
        }
        Some(cluster)
    }

    /// A folder with settings, at a free port or this one.
    fn at(programs: PathBuf, options: &PostgresOptions, port: Option<u16>) -> Self {
        let folder = short_folder();
        let certificate = options.tls.then(|| Authority::new().issue(Flaw::None, folder.path()));
        let cluster = Self {
            server: None,
            guard: Guard::of(folder),
            programs,
            options: options.clone(),
            certificate,
            port: port.unwrap_or_else(free_port),
            before: Vec::new(),
        };
        cluster.settings(&[]);
        fs::write(cluster.folder().join("pg_ident.conf"), "").expect("a writable folder");
        fs::write(
            cluster.folder().join("pg_hba.conf"),
            format!(
                "local all all trust\nlocal replication all trust\n{} all {ROLE} all scram-sha-256\n",
                if options.tls { "hostssl" } else { "host" }
            ),
        )
        .expect("a writable folder");
        cluster.guard.give_to_account();
        cluster
    }

    /// The folder of everything.
    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    /// The folder of the data.
    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Writes `postgresql.conf`, outside of the data, so that a copy of the data is no copy of it.
    fn settings(&self, more: &[(&str, &str)]) {
        let folder = self.folder().display();
        let address = self.address();
        let mut text = format!(
            "data_directory = '{folder}/data'
hba_file = '{folder}/pg_hba.conf'
ident_file = '{folder}/pg_ident.conf'
listen_addresses = '{address}'
unix_socket_directories = '{folder}'
logging_collector = off
log_line_prefix = '%m [%p] '
password_encryption = scram-sha-256
shared_buffers = 32MB
max_connections = 100
wal_level = replica
max_wal_senders = 4
hot_standby = on
wal_receiver_timeout = 5s
{}
",
            self.options.settings
        );
        if let Some(certificate) = &self.certificate {
            let (cert, key) = (certificate.certificate.display(), certificate.key.display());
            text.push_str(&format!("ssl = on\nssl_cert_file = '{cert}'\nssl_key_file = '{key}'\n"));
        }
        for (name, value) in more {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        fs::write(self.folder().join("postgresql.conf"), text).expect("a writable folder");
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = match &self.options.namespace {
            // Those who enter one are root, and become the user within it.
            Some(namespace) => {
                let mut command = namespace.command("postgres");
                command.arg(program);
                command
            }
            None => {
                let mut command = Command::new(program);
                guard::as_account(&mut command);
                command
            }
        };
        command
            .current_dir(self.folder())
            .env("PGTZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Starts a cluster that does not run, and waits until it takes connections. A cluster that was killed recovers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let mut ports = 0;
        let mut looks = 0;
        while ports < PORTS {
            let mut command = self.program("postgres");
            command
                .arg("-c")
                .arg(format!("config_file={}/postgresql.conf", self.folder().display()))
                .arg("-p")
                .arg(self.port.to_string())
                // What ends the test by its terminal does not end this one before its guard does.
                .process_group(0)
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().expect("PostgreSQL starts");
            let log = Arc::new(Lines::of(child.stderr.take().expect("a pipe")));
            self.before.push(Arc::clone(&log));
            let is_ready = std::iter::from_fn(|| log.next()).any(|line| line.contains("ready to accept"));
            if is_ready {
                self.server = Some(Server { child, log });
                return;
            }
            let _ = child.wait();
            // A process that was killed is not gone at once, and its memory with it.
            if log.seen().contains("pre-existing shared memory block") && looks < LOOKS {
                looks += 1;
                continue;
            }
            ports += 1;
            let is_new = !self.data().join("standby.signal").exists() && self.before.len() <= PORTS;
            assert!(
                log.seen().contains("Address already in use") && is_new,
                "PostgreSQL does not start:\n{}",
                log.seen()
            );
            self.port = free_port();
        }
        self.failed("it finds no free port");
    }

    /// Ends it in order, as an administrator does: what is under way is undone.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Ends every process of it at once, as the end of its machine does. What the operating system has of its files stays.
    pub fn kill(&mut self) {
        let Some(server) = &self.server else { return };
        let id = server.child.id();
        // A postmaster that is stopped starts no more processes.
        signal("STOP", &[id]);
        signal("KILL", &guard::children(id));
        self.end("KILL");
    }

    /// Stops every process of it, as a machine that hangs does; with `CONT` it goes on.
    pub fn signal(&self, name: &str) {
        let Some(server) = &self.server else { return };
        let mut ids = vec![server.child.id()];
        ids.extend(guard::children(server.child.id()));
        signal(name, &ids);
    }

    fn end(&mut self, name: &str) {
        if let Some(mut server) = self.server.take() {
            signal(name, &[server.child.id()]);
            let _ = server.child.wait();
        }
    }

    /// A standby of this cluster, at a free port or this one. With [`Replication::Synchronous`] each commit of this cluster
    /// waits for it from now on.
    ///
    /// # Panics
    /// When it does not start to follow.
    pub fn standby(&self, replication: Replication, port: Option<u16>) -> Self {
        let options = PostgresOptions {
            tls: false,
            ..self.options.clone()
        };
        let mut standby = Self::at(self.programs.clone(), &options, port);
        let from = format!(
            "host={} port={} user=postgres application_name=standby",
            self.folder().display(),
            self.port
        );
        let mut backup = standby.program("pg_basebackup");
        backup.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--wal-method=stream",
        ]);
        run(backup.arg("--dbname").arg(from).arg("--pgdata").arg(standby.data()));
        standby.run();
        if replication == Replication::Synchronous {
            self.settings(&[("synchronous_standby_names", "standby")]);
            self.reload();
        }
        let wanted = match replication {
            Replication::Synchronous => "sync",
            Replication::Asynchronous => "async",
        };
        let question = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        self.wait_for(question, wanted);
        standby
    }

    /// Makes a standby take writes. Nothing waits for a standby of its own.
    ///
    /// # Panics
    /// When it cannot be promoted.
    pub fn promote(&self) {
        self.superuser("SELECT pg_promote(true, 120)");
        self.wait_for("SELECT pg_is_in_recovery()", "f");
    }

    /// Waits until this standby has everything that its primary has.
    ///
    /// # Panics
    /// When it does not get it.
    pub fn wait_for_all_of(&self, primary: &Self) {
        let rows = primary.superuser("SELECT pg_current_wal_flush_lsn()");
        let place = rows.into_iter().flatten().flatten().next().unwrap_or_default();
        self.wait_for(&format!("SELECT pg_last_wal_replay_lsn() >= '{place}'"), "t");
    }

    /// A standby receives nothing more from its primary.
    ///
    /// # Panics
    /// When it cannot be told so.
    pub fn stop_following(&self) {
        self.superuser("ALTER SYSTEM SET primary_conninfo = ''");
        self.reload();
        self.wait_for("SELECT count(*) FROM pg_stat_wal_receiver", "0");
    }

    /// Reads `postgresql.conf` anew.
    fn reload(&self) {
        self.superuser("SELECT pg_reload_conf()");
    }

    fn wait_for(&self, question: &str, wanted: &str) {
        let begun = std::time::Instant::now();
        loop {
            let found = self.superuser(question);
            if found.iter().flatten().any(|value| value.as_deref() == Some(wanted)) {
                return;
            }
            if begun.elapsed() > crate::lines::PATIENCE {
                self.failed(&format!("`{question}` gives {found:?}, and not {wanted}"));
            }
            std::thread::yield_now();
        }
    }

    /// The address at which it listens.
    fn address(&self) -> String {
        let namespace = self.options.namespace.as_ref();
        namespace.map_or_else(|| ADDRESS.to_owned(), |namespace| namespace.address().to_string())
    }

    /// The port, of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether its processes run.
    pub fn is_running(&self) -> bool {
        self.server.is_some()
    }

    /// What a product under test names to connect: without a password, which is in [`Postgres::password_file`].
    pub fn url(&self) -> String {
        match &self.options.namespace {
            // In clear, since nobody else is in its network.
            Some(_) => format!(
                "postgres://{ROLE}@{}:{}/{DATABASE}?sslmode=disable",
                self.address(),
                self.port
            ),
            None => url(&[self.port]),
        }
    }

    /// The contents of a file as `PGPASSFILE` names one, for every cluster.
    pub fn password_file() -> String {
        format!("*:*:*:{ROLE}:{PASSWORD}\n")
    }

    /// What a client has to trust, where clients have to speak TLS.
    pub fn authority(&self) -> Option<&Path> {
        self.certificate
            .as_ref()
            .map(|certificate| certificate.authority.as_path())
    }

    /// Does a statement, or asks a question, as the superuser within the product's database. Answers rows of texts.
    ///
    /// # Panics
    /// When it fails.
    pub fn superuser(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        self.try_ask(DATABASE, statement)
            .unwrap_or_else(|error| self.failed(&error))
    }

    /// The number that a question gives in its first row and column.
    ///
    /// # Panics
    /// When it gives none.
    pub fn count(&self, question: &str) -> u64 {
        let rows = self.superuser(question);
        let value = rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| self.failed(&format!("`{question}` gives {rows:?}")))
    }

    /// The same, for a cluster that may be gone.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub fn try_ask(&self, database: &str, statement: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.folder())
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect_timeout(Duration::from_secs(30));
        runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| told(&error))?;
            let connection = tokio::spawn(connection);
            let answered = client.simple_query(statement).await;
            drop(client);
            let _ = connection.await;
            let rows = answered
                .map_err(|error| told(&error))?
                .into_iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(
                        (0..row.len())
                            .map(|column| row.get(column).map(str::to_owned))
                            .collect(),
                    ),
                    _ => None,
                });
            Ok(rows.collect())
        })
    }

    /// The processor time of all its processes, those that have ended too, in seconds.
    pub fn processor_time(&self) -> f64 {
        let Some(server) = &self.server else { return 0.0 };
        let id = server.child.id();
        let children = guard::children(id);
        let ids = children.iter().map(ToString::to_string);
        processor_time(&id.to_string()) + ids.map(|id| processor_time(&id)).sum::<f64>()
    }

    /// What it has logged since it was made.
    pub fn log(&self) -> String {
        self.before.iter().map(|log| log.seen()).collect()
    }

    /// Waits for the next line of its log that holds these words.
    ///
    /// # Panics
    /// When it ends without.
    pub fn logs(&self, words: &str) -> String {
        let server = self.server.as_ref().expect("it runs");
        std::iter::from_fn(|| server.log.next())
            .find(|line| line.contains(words))
            .unwrap_or_else(|| self.failed(&format!("it ended without `{words}`")))
    }

    fn failed(&self, why: &str) -> ! {
        panic!("PostgreSQL: {why}\n{}", self.log())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A stopped one could not end.
        self.signal("CONT");
        self.end("QUIT");
        if std::thread::panicking() {
            show(&format!("PostgreSQL's side:\n{}", self.log()));
        }
    }
}

/// What a product under test names to connect to whichever of these ports takes writes.
pub fn url(ports: &[u16]) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("{ADDRESS}:{port}")).collect();
    let which = if ports.len() > 1 {
        "?target_session_attrs=read-write"
    } else {
        ""
    };
    format!("postgres://{ROLE}@{}/{DATABASE}{which}", hosts.join(","))
}

/// The processor time of a process and of its children that have ended, in seconds. Nothing for one that is gone.
pub fn processor_time(process: &str) -> f64 {
    /// Linux counts it in these for programs, whatever it counts in itself.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // What follows the name, which may hold anything: fields 3 and on; 14 to 17 are the times.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks = after
        .split(' ')
        .skip(11)
        .take(4)
        .filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

/// An error with what the server says of it.
fn told(error: &tokio_postgres::Error) -> String {
    let detail = error.as_db_error().map(|error| format!(": {}", error.message()));
    format!("{error}{}", detail.unwrap_or_default())
}

/// Where PostgreSQL's programs are: in the search path, or where Debian keeps each version's.
fn programs() -> Option<PathBuf> {
    let has_all = |folder: &PathBuf| {
        let names = ["initdb", "postgres", "pg_basebackup"];
        names.iter().all(|name| folder.join(name).is_file())
    };
    let in_path = find("postgres").and_then(|path| fs::canonicalize(path).ok());
    let of_path = in_path
        .and_then(|path| path.parent().map(Path::to_owned))
        .filter(has_all);
    of_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut folders: Vec<PathBuf> = versions
            .flatten()
            .map(|version| version.path().join("bin"))
            .filter(has_all)
            .collect();
        folders.sort();
        folders.pop()
    })
}

/// A folder whose path leaves room for a socket's: the system allows about a hundred bytes for both.
fn short_folder() -> TempDir {
    let usual = std::env::temp_dir();
    let folder = if usual.as_os_str().len() < 50 {
        usual
    } else {
        PathBuf::from("/tmp")
    };
    tempfile::Builder::new()
        .prefix("pg-")
        .tempdir_in(folder)
        .expect("a folder for temporary files")
}
