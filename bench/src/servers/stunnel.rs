//! stunnel, which takes TLS off and hands the rest to `smtp-sink`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{Ends, HOST, Server, SmtpSink, free_port, wait_for};
use crate::certificate::Certificate;

pub(crate) struct Stunnel {
    _child: Ends,
    behind: SmtpSink,
    pub(crate) port: u16,
    pub(crate) authority: PathBuf,
}

impl Stunnel {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let behind = SmtpSink::start(folder)?;
        let port = free_port()?;
        let Certificate { chain, key, authority } = Certificate::make(folder)?;
        let configuration = folder.join("stunnel.conf");
        fs::write(
            &configuration,
            format!(
                "foreground = yes\ndebug = err\npid =\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\n\
                 [smtps]\naccept = {HOST}:{port}\nconnect = {HOST}:{}\ncert = {}\nkey = {}\n",
                behind.port,
                chain.display(),
                key.display()
            ),
        )?;
        let child = Command::new("stunnel4")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("stunnel.log"))?)
            .spawn()
            .context("`stunnel4` cannot be started (Debian: stunnel4)")?;
        let server = Self {
            _child: Ends(child),
            behind,
            port,
            authority,
        };
        wait_for(port)?;
        Ok(server)
    }
}

impl Server for Stunnel {
    fn stored(&self) -> u64 {
        self.behind.stored()
    }
}
