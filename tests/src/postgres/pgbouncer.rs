//! PgBouncer before a cluster: <https://www.pgbouncer.org>.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::guard::{Guard, as_account};
use super::{ADDRESS, DATABASE, Postgres, ROLE, short_folder, url};
use crate::arrivals::find;
use crate::lines::Lines;
use crate::ports::free_port;
use crate::{PASSWORD, show, skip};

/// A pool in transaction mode: two transactions of one connection may be on two connections of the server's. It ends when
/// this is dropped, or the test's process is gone.
pub struct PgBouncer {
    child: Child,
    log: Lines,
    _guard: Guard,
    port: u16,
}

impl PgBouncer {
    /// Starts one before a cluster; none, in plain sight, where there is no PgBouncer.
    ///
    /// # Panics
    /// When it does not start.
    pub fn before(cluster: &Postgres) -> Option<Self> {
        let Some(program) = find("pgbouncer") else {
            skip("PgBouncer is not installed (Debian: pgbouncer)");
            return None;
        };
        for _ in 0..super::PORTS {
            let guard = Guard::of(short_folder());
            let port = free_port();
            let folder = guard.folder().to_owned();
            let settings = format!(
                "[databases]
{DATABASE} = host={cluster} port={cluster_port} dbname={DATABASE} user={ROLE}
[pgbouncer]
listen_addr = {ADDRESS}
listen_port = {port}
unix_socket_dir =
pidfile = {folder}/pgbouncer.pid
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 10
ignore_startup_parameters = extra_float_digits
",
                cluster = cluster.folder().display(),
                cluster_port = cluster.port,
                folder = folder.display(),
            );
            fs::write(folder.join("pgbouncer.ini"), settings).expect("a writable folder");
            fs::write(folder.join("users.txt"), format!("\"{ROLE}\" \"{PASSWORD}\"\n")).expect("a writable folder");
            guard.give_to_account();
            let mut command = Command::new(&program);
            as_account(&mut command);
            let mut child = command
                .arg(folder.join("pgbouncer.ini"))
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("PgBouncer starts");
            let log = Lines::of(child.stderr.take().expect("a pipe"));
            if std::iter::from_fn(|| log.next()).any(|line| line.contains("process up")) {
                return Some(Self {
                    child,
                    log,
                    _guard: guard,
                    port,
                });
            }
            let _ = child.wait();
            let seen = log.seen();
            assert!(seen.contains("already in use"), "PgBouncer does not start:\n{seen}");
        }
        panic!("PgBouncer finds no free port")
    }

    /// What a product under test names to connect, as [`Postgres::url`].
    pub fn url(&self) -> String {
        url(&[self.port])
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It ignores SIGQUIT where whoever started the tests did, as a shell does for what it starts in the background.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            show(&format!("PgBouncer's side:\n{}", self.log.seen()));
        }
    }
}
