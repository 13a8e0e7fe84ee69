//! A server under load: `pipepost serve`, or what it is compared with.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::letter;
use crate::servers::{Ends, HOST};

/// A pipeline of one step that sends a letter over this account. At most `consumers` of its runs are under way.
pub(crate) fn pipeline(account: &str, consumers: Option<usize>) -> Value {
    let mut trigger = serde_json::json!({ "type": "rest" });
    if let Some(consumers) = consumers {
        trigger["consumers"] = consumers.into();
    }
    serde_json::json!({
        "triggerSpec": trigger,
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": account,
            "params": {
                "from": letter::FROM, "to": letter::TO,
                "subject": "{{ message.body.subject }}",
                "text": "{{ message.body.text }}",
                "body": "{{ message.body.html }}",
                "contentType": "text/html",
                "isAuth": false, "isOverTLS": false,
                "failOnError": true,
            },
        }] },
    })
}

/// An account at a server on loopback that asks for no sign-in.
pub(crate) fn account(label: &str, port: u16, connections: usize) -> Value {
    serde_json::json!({
        "label": label, "type": "smtp-auth-and-properties", "host": HOST, "port": port, "auth": "false",
        "starttls_enable": "false", "limits": { "max_connections": connections },
    })
}

/// What a request carries.
pub(crate) fn body(number: usize) -> String {
    serde_json::json!({
        "subject": letter::subject(number), "text": letter::text(number), "html": letter::html(number),
    })
    .to_string()
}

/// A folder with everything that `pipepost serve` reads, and where it writes.
pub(crate) struct Place<'p> {
    /// In memory: documents, accounts, the cache of connectors.
    pub(crate) folder: &'p Path,
    /// On a disk: the state.
    pub(crate) disk: &'p Path,
}

impl Place<'_> {
    /// Writes the pipelines, by name, and the accounts. What was there before is gone.
    pub(crate) fn fill(&self, pipelines: &[(String, Value)], accounts: &[Value]) -> Result<()> {
        let folder = self.folder.join("pipelines");
        drop(fs::remove_dir_all(&folder));
        drop(fs::remove_dir_all(self.state()));
        fs::create_dir_all(&folder)?;
        for (name, document) in pipelines {
            fs::write(folder.join(format!("{name}.json")), document.to_string())?;
        }
        fs::write(
            self.folder.join("serve-accounts.json"),
            Value::from(accounts.to_vec()).to_string(),
        )?;
        Ok(())
    }

    fn state(&self) -> std::path::PathBuf {
        self.disk.join("serve-state")
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Served {
    child: Ends,
    /// Held open: a server that cannot write its lines would fail.
    _said: BufReader<ChildStdout>,
    /// Where callers ask.
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    /// From its start until it said that it is ready.
    pub(crate) start: Duration,
}

impl Served {
    /// Starts `pipepost serve` with its defaults, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn pipepost(binary: &Path, place: &Place<'_>) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("serve").arg(place.folder.join("pipelines"));
        command.arg("--accounts").arg(place.folder.join("serve-accounts.json"));
        command.arg("--state").arg(place.state());
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--drain", "0"]);
        // A cache of the bench's own: the first start compiles, and is not measured.
        command.env("PIPEPOST_CACHE", place.folder.join("cache"));
        let (mut address, mut token) = (None, None);
        let (child, said, start) = started(&mut command, place.folder, |line| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("triggers"), Some(url)) => address = of_url(url),
                (Some("token"), Some(text)) => token = Some(text.to_owned()),
                _ => {}
            }
        })?;
        Ok(Self {
            child,
            _said: said,
            address: address.context("`pipepost serve` named no address")?,
            token,
            start,
        })
    }

    /// Starts express with nodemailer behind it.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn express(scripts: &Path, folder: &Path, port: u16, connections: usize) -> Result<Self> {
        let settings = folder.join("express.json");
        let wanted = serde_json::json!({ "port": port, "connections": connections, "letter": letter::pieces() });
        fs::write(&settings, wanted.to_string())?;
        let mut command = Command::new("node");
        command.arg(scripts.join("express.mjs")).arg(&settings);
        command.env("NODE_ENV", "production");
        let mut port = None;
        let (child, said, start) = started(&mut command, folder, |line| {
            port = line.strip_prefix("ready ").and_then(|port| port.trim().parse().ok());
        })?;
        let port: u16 = port.context("express named no port")?;
        Ok(Self {
            child,
            _said: said,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            token: None,
            start,
        })
    }

    /// What its process has used of the processors, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.0.id())).unwrap_or_default();
        // The name of the program, in brackets, may hold anything.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum();
        // Linux counts in hundredths, on every machine of today.
        ticks / 100.0
    }

    /// Its proportional set size, in bytes.
    ///
    /// # Errors
    /// When the system does not say it.
    pub(crate) fn pss(&self) -> Result<f64> {
        let path = format!("/proc/{}/smaps_rollup", self.child.0.id());
        let text = fs::read_to_string(&path).with_context(|| format!("`{path}` cannot be read"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib: f64 = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .context("no `Pss:` line")?
            .trim()
            .parse()?;
        Ok(kib * 1024.0)
    }
}

/// Starts a server, and shows its lines to `look` until it says that it is ready.
fn started(
    command: &mut Command,
    folder: &Path,
    mut look: impl FnMut(&str),
) -> Result<(Ends, BufReader<ChildStdout>, Duration)> {
    let err = folder.join("server.err");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&err)?);
    let shown = command.get_program().to_string_lossy().into_owned();
    let began = Instant::now();
    let mut child: Child = command
        .spawn()
        .with_context(|| format!("`{shown}` cannot be started"))?;
    let out = child.stdout.take().context("no standard output")?;
    let child = Ends(child);
    let mut said = BufReader::new(out);
    loop {
        let mut line = String::new();
        if said.read_line(&mut line)? == 0 {
            bail!("`{shown}` ended: {}", fs::read_to_string(&err).unwrap_or_default());
        }
        look(&line);
        if line.starts_with("ready") {
            return Ok((child, said, began.elapsed()));
        }
    }
}

fn of_url(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.parse().ok()
}
