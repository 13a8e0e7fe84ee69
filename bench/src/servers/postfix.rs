//! Postfix's smtpd with CHUNKING, whose queue ends in the `discard` transport, from a private folder.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::{HOST, Server, free_port, wait_for};

pub(crate) struct Postfix {
    folder: PathBuf,
    pub(crate) port: u16,
}

impl Postfix {
    /// Starts an instance in `folder`, which must be on a file system that forgets: Postfix writes each message through
    /// to the disk, and it is not the disk that is measured.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        lay_out(folder, port)?;
        let status = control(folder, "start")
            .status()
            .context("`postfix` cannot be started")?;
        if !status.success() {
            bail!("Postfix does not start; see {}", folder.join("log").display());
        }
        let instance = Self {
            folder: folder.to_owned(),
            port,
        };
        wait_for(port)?;
        Ok(instance)
    }
}

impl Server for Postfix {
    fn stored(&self) -> u64 {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("status=sent")).count() as u64
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = control(&self.folder, "stop").status();
    }
}

fn control(folder: &Path, what: &str) -> Command {
    let mut command = Command::new("postfix");
    command.arg("-c").arg(folder.join("conf")).arg(what);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn lay_out(folder: &Path, port: u16) -> Result<()> {
    for name in ["conf", "queue", "data"] {
        fs::create_dir_all(folder.join(name))?;
    }
    // Postfix's processes are users of their own, and have to come by.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status();
    if !owned.is_ok_and(|status| status.success()) {
        bail!("Postfix is started by root alone (and needs its user `postfix`)");
    }
    let shown = folder.display();
    fs::write(
        folder.join("conf/main.cf"),
        format!(
            "compatibility_level = 3.6
queue_directory = {shown}/queue
data_directory = {shown}/data
maillog_file = {shown}/log
maillog_file_prefixes = {shown}
myhostname = postfix.example
inet_interfaces = {HOST}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
local_header_rewrite_clients =
default_transport = discard:
relay_transport = discard:
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
"
        ),
    )?;
    let mut services = format!("postlog unix-dgram n - n - 1 postlogd\n{HOST}:{port} inet n - n - - smtpd\n");
    for (name, private, wakeup, limit, program) in [
        ("pickup", "n", "60", "1", "pickup"),
        ("cleanup", "n", "-", "0", "cleanup"),
        ("qmgr", "n", "300", "1", "qmgr"),
        ("rewrite", "-", "-", "-", "trivial-rewrite"),
        ("bounce", "-", "-", "0", "bounce"),
        ("defer", "-", "-", "0", "bounce"),
        ("trace", "-", "-", "0", "bounce"),
        ("verify", "-", "-", "1", "verify"),
        ("flush", "n", "1000?", "0", "flush"),
        ("proxymap", "-", "-", "-", "proxymap"),
        ("error", "-", "-", "-", "error"),
        ("retry", "-", "-", "-", "error"),
        ("discard", "-", "-", "-", "discard"),
        ("showq", "n", "-", "-", "showq"),
        ("anvil", "-", "-", "1", "anvil"),
    ] {
        writeln!(services, "{name} unix {private} - n {wakeup} {limit} {program}")?;
    }
    fs::write(folder.join("conf/master.cf"), services)?;
    Ok(())
}
