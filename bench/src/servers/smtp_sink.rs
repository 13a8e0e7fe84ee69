//! Postfix's `smtp-sink`: one process, one thread, C; it offers PIPELINING, 8BITMIME and ENHANCEDSTATUSCODES, and throws away what it
//! receives.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::{Ends, HOST, Server, free_port, wait_for};

pub(crate) struct SmtpSink {
    _child: Ends,
    counter: PathBuf,
    pub(crate) port: u16,
}

impl SmtpSink {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let counter = folder.join(format!("smtp-sink-{port}"));
        let child = Command::new("smtp-sink")
            .args(["-u", "nobody", "-c", &format!("{HOST}:{port}"), "1000"])
            .stdin(Stdio::null())
            .stdout(File::create(&counter)?)
            .stderr(Stdio::null())
            .spawn()
            .context("`smtp-sink` cannot be started (Debian: postfix)")?;
        let sink = Self {
            _child: Ends(child),
            counter,
            port,
        };
        wait_for(port)?;
        Ok(sink)
    }
}

impl Server for SmtpSink {
    fn stored(&self) -> u64 {
        let text = std::fs::read(&self.counter).unwrap_or_default();
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(200)..]).into_owned();
        let last = tail.rsplit("mesg=").next().unwrap_or_default();
        let digits: String = last.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    }
}
