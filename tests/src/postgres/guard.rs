//! What has to end with the test, however the test ends; and the account as which PostgreSQL runs.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::arrivals::{is_root, run};

/// Waits until the test's end of the pipe is gone; then ends what has left its process's number in the folder, and removes
/// the folder. A postmaster that is killed takes its processes with it, which takes a moment.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
read -r never
if [ -e "$1/data/postmaster.pid" ]; then kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"; fi
if [ -e "$1/pgbouncer.pid" ]; then kill -KILL "$(head -n 1 "$1/pgbouncer.pid")"; fi
tries=0
until rm -rf "$1" || [ "$tries" -gt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
"#;

/// Keeps a folder until it is dropped or the test's process is gone, and ends what runs in it.
pub(super) struct Guard {
    child: Child,
    folder: PathBuf,
}

impl Guard {
    pub(super) fn of(folder: TempDir) -> Self {
        let folder = folder.keep();
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Self { child, folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything in the folder becomes the account's.
    pub(super) fn give_to_account(&self) {
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres:").arg(&self.folder));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The user and the group that PostgreSQL runs as; none where root finds no such user.
pub(super) fn account() -> Option<(u32, u32)> {
    static ACCOUNT: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *ACCOUNT.get_or_init(|| {
        let number = |flag: &str| {
            let mut id = Command::new("id");
            id.arg(flag);
            if is_root() {
                id.arg("postgres");
            }
            let output = id.output().ok().filter(|output| output.status.success())?;
            String::from_utf8_lossy(&output.stdout).trim().parse().ok()
        };
        Some((number("-u")?, number("-g")?))
    })
}

/// Lets a program run as the account, where the test is root's.
pub(super) fn as_account(command: &mut Command) {
    if let (true, Some((user, group))) = (is_root(), account()) {
        command.uid(user).gid(group);
    }
}

/// Sends a signal to processes, some of which may be gone.
pub(super) fn signal(name: &str, ids: &[u32]) {
    if !ids.is_empty() {
        let ids = ids.iter().map(ToString::to_string);
        let _ = Command::new("kill")
            .args(["-s", name])
            .args(ids)
            .stderr(Stdio::null())
            .status();
    }
}

/// The processes that this one has started and that live.
pub(super) fn children(id: u32) -> Vec<u32> {
    let parent = |stat: &str| -> Option<u32> {
        // What follows the name, which may hold anything: the state, then the parent.
        let (_, after) = stat.rsplit_once(") ")?;
        after.split(' ').nth(1)?.parse().ok()
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|number| {
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            parent(&stat) == Some(id)
        })
        .collect()
}
