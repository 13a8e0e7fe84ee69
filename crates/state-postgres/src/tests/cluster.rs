//! A PostgreSQL server for the tests of this crate: one for all that run at a moment, in a folder of its own, on a socket in
//! that folder. It ends, and its folder goes, with the last test that uses it.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    /// As whom the programs run, where this process is root's: they refuse root.
    user: Option<(u32, u32)>,
    databases: AtomicU32,
}

/// A database of its own for one test.
#[derive(Debug)]
pub(crate) struct Database {
    cluster: Arc<Cluster>,
    name: String,
}

/// Where the programs are: in the folder that `PIPEPOST_POSTGRES_BIN` names, else where Debian has them.
fn programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PIPEPOST_POSTGRES_BIN") {
        return Some(PathBuf::from(named));
    }
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop()
}

/// Returns whether there is no PostgreSQL on this machine, and says so.
pub(crate) fn is_missing() -> bool {
    let is_missing = programs().is_none();
    if is_missing {
        // In plain sight, also where a test's own output is kept back.
        let told = "skipped: there is no PostgreSQL on this machine\n";
        std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).expect("standard error");
    }
    is_missing
}

impl Cluster {
    /// The one that runs, or a new one.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let new = Arc::new(Self::start("-c fsync=on -c full_page_writes=on"));
        *shared = Arc::downgrade(&new);
        new
    }

    fn start(safety: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("pipepost-pg-")
            .tempdir_in("/tmp")
            .expect("a folder for temporary files");
        let cluster = Self {
            programs: programs().expect("is_missing was asked before"),
            user: user(),
            folder,
            databases: AtomicU32::new(0),
        };
        if let Some((user, group)) = cluster.user {
            chown(cluster.folder.path(), Some(user), Some(group)).expect("a root's process");
        }
        let data = cluster.data();
        cluster.run(
            "initdb",
            [
                "-D",
                &data,
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        let settings = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=300 -c shared_buffers=32MB {safety}",
            cluster.folder.path().display()
        );
        let log = cluster.folder.path().join("log").display().to_string();
        cluster.run(
            "pg_ctl",
            ["-D", &data, "-o", &settings, "-l", &log, "-w", "-s", "start"],
        );
        cluster
    }

    /// Sends a signal to the process that writes down, now and then, what nobody waits for.
    fn signal_wal_writer(&self, signal: &str) {
        let file = std::fs::read_to_string(Path::new(&self.data()).join("postmaster.pid")).expect("a server that runs");
        let postmaster = file.lines().next().expect("its process").to_owned();
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let is_it = |process: &PathBuf| {
            let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
            read("cmdline").contains("walwriter") && read("status").contains(&format!("PPid:\t{postmaster}\n"))
        };
        let found = processes.map(|entry| entry.path()).find(is_it).expect("it runs");
        let process = found.file_name().expect("a number").to_owned();
        let status = Command::new("kill")
            .args([signal.as_ref(), process.as_os_str()])
            .status();
        assert!(status.expect("a program").success());
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = A>) {
        let path = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(path),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([
                    format!("--reuid={user}"),
                    format!("--regid={group}"),
                    "--clear-groups".to_owned(),
                ]);
                command.arg(path);
                command
            }
        };
        // A pipe would stay open as long as the server that is started here.
        let output = self.folder.path().join(format!("{program}.out"));
        let file = std::fs::File::create(&output).expect("a writable folder");
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .status()
            .expect("a program");
        let said = std::fs::read_to_string(&output).unwrap_or_default();
        assert!(status.success(), "{program}: {said}");
    }

    fn sql(&self, database: &str, text: &str) {
        let socket = self.folder.path().display().to_string();
        self.run(
            "psql",
            [
                "-h",
                &socket,
                "-U",
                "postgres",
                "-d",
                database,
                "-v",
                "ON_ERROR_STOP=1",
                "-q",
                "-c",
                text,
            ],
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&data).join("postmaster.pid").exists() {
            self.run("pg_ctl", ["-D", &data, "-m", "immediate", "-w", "-s", "stop"]);
        }
    }
}

impl Database {
    /// Makes a new one.
    pub(crate) fn new() -> Self {
        Self::on(Cluster::shared())
    }

    /// Makes one on a server of its own, with these settings.
    pub(crate) fn with(settings: &str) -> Self {
        Self::on(Arc::new(Cluster::start(settings)))
    }

    fn on(cluster: Arc<Cluster>) -> Self {
        let name = format!("test{}", cluster.databases.fetch_add(1, Ordering::Relaxed));
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        Self { cluster, name }
    }

    /// The address, with these parameters behind it.
    pub(crate) fn address(&self, parameters: &str) -> String {
        self.address_of("postgres", parameters)
    }

    /// The address for another role.
    pub(crate) fn address_of(&self, role: &str, parameters: &str) -> String {
        let folder = self.cluster.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{role}@{folder}/{}{parameters}", self.name)
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Lets the server forget at its next crash what is committed from now on and not synced.
    pub(crate) fn stop_wal_writer(&self) {
        self.cluster.signal_wal_writer("-STOP");
    }

    /// One of the server's processes is killed, so that all of them end, and the server recovers.
    pub(crate) fn crash(&self) {
        self.cluster.signal_wal_writer("-KILL");
    }

    /// Lets the server ask for a password of everybody but its own user.
    pub(crate) fn ask_for_passwords(&self) {
        let file = Path::new(&self.cluster.data()).join("pg_hba.conf");
        std::fs::write(file, "local all postgres trust\nlocal all all scram-sha-256\n").expect("a writable folder");
        self.sql("SELECT pg_reload_conf()");
    }

    /// Does something to the database behind the store's back.
    pub(crate) fn sql(&self, text: &str) {
        self.cluster.sql(&self.name, text);
    }
}

/// The user and group of the name `postgres`, for a process of root's.
fn user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
