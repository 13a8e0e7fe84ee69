//! The clients: ours, and those it is compared with. Each is a process that sends so many messages and ends.

pub(crate) mod lettre;
pub(crate) mod native;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::letter;

/// What a client is to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) port: u16,
    pub(crate) messages: usize,
    pub(crate) connections: usize,
    /// TLS from the first byte, trusting this; none: no TLS.
    pub(crate) authority: Option<PathBuf>,
    pub(crate) attachment: Option<PathBuf>,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Client {
    Pipepost,
    /// The same with a named execution: every message is claimed on the disk before it leaves.
    Ledger,
    /// Ours, and nothing is said about connections.
    Defaults,
    /// Ours with `max_uncertain` of 64.
    Window64,
    /// Ours with `max_uncertain` of 256.
    Window256,
    /// `pipepost check` of the pipeline: nothing is sent.
    Check,
    /// `pipepost explain` of a server's reply: nothing is sent.
    Explain,
    /// `pipepost --version`: the start of a process alone.
    Version,
    /// Our own connector in the sandbox, without a pipeline.
    Sandboxed,
    /// Our own connector's code, compiled for the machine and without a host.
    Native,
    Nodemailer,
    Lettre,
    Smtplib,
    Msmtp,
    /// A new connection for each message, which is its default.
    SmtpSource,
    /// The same over one connection (`-d`).
    SmtpSourceKept,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pipepost => "pipepost",
            Self::Ledger => "pipepost --execution",
            Self::Defaults => "pipepost, defaults",
            Self::Window64 => "pipepost, max_uncertain 64",
            Self::Window256 => "pipepost, max_uncertain 256",
            Self::Check => "pipepost check",
            Self::Explain => "pipepost explain",
            Self::Version => "pipepost --version",
            Self::Sandboxed => "email-v2, sandboxed",
            Self::Native => "email-v2, native",
            Self::Nodemailer => "nodemailer",
            Self::Lettre => "lettre",
            Self::Smtplib => "smtplib",
            Self::Msmtp => "msmtp",
            Self::SmtpSource => "smtp-source",
            Self::SmtpSourceKept => "smtp-source -d",
        }
    }

    /// Whether it is one of Pipepost's own commands.
    pub(crate) fn is_ours(self) -> bool {
        self.name().starts_with("pipepost")
    }

    /// Whether it sends the messages it is told to send.
    pub(crate) fn sends(self) -> bool {
        !matches!(self, Self::Check | Self::Explain | Self::Version)
    }

    /// The settings it runs with, for the reader.
    pub(crate) fn settings(self) -> &'static str {
        match self {
            Self::Pipepost => {
                "`pipepost run`, a mail merge (`items`); default settings but `limits.max_connections`; whole process"
            }
            Self::Ledger => {
                "the same with `--execution` and a `--state` on the disk, which is synced before messages leave"
            }
            Self::Defaults => "the same without `limits`: as many connections as it opens by itself",
            Self::Window64 | Self::Window256 => {
                "the same with `limits.max_uncertain`: so many messages may be unanswered on a connection"
            }
            Self::Check => "`pipepost check` of the same pipeline; whole process",
            Self::Explain => "`pipepost explain` of one reply; whole process",
            Self::Version => "the start of the process alone",
            Self::Sandboxed => {
                "the host as a library, without a pipeline: the connector's component, batches of 32, one warm connection; sending alone"
            }
            Self::Native => {
                "the connector's crate over std's TcpStream and rustls, batches of 32, one warm connection; sending alone"
            }
            Self::Nodemailer => {
                "`pool: true`, `maxConnections` as named, `maxMessages: Infinity`; sending alone, without node's start"
            }
            Self::Lettre => {
                "`AsyncSmtpTransport<Tokio1Executor>`, rustls, `PoolConfig` of the named size, release build; sending alone"
            }
            Self::Smtplib => "one `SMTP` or `SMTP_SSL` object, `send_message`; sending alone, without Python's start",
            Self::Msmtp => "one process, reading a finished message; whole process",
            Self::SmtpSource => "`-s N -l 2400`; a new connection for each message, as is its default; whole process",
            Self::SmtpSourceKept => "`-d -s N -l 2400`: connections are kept; whole process",
        }
    }
}

/// Where the clients live, and where their files go.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) pipepost: PathBuf,
    /// Holds `node_modules`.
    pub(crate) scripts: PathBuf,
    pub(crate) folder: PathBuf,
    /// The host's program that sends without a pipeline.
    pub(crate) sends: PathBuf,
    /// A folder on a disk; `folder` is in memory.
    pub(crate) disk: PathBuf,
}

impl Clients {
    /// The command that does the task, with its files written.
    pub(crate) fn command(&self, client: Client, task: &Task) -> Result<Command> {
        match client {
            Client::Pipepost => self.pipepost(task, &json!({ "max_connections": task.connections })),
            Client::Defaults => self.pipepost(task, &json!({})),
            Client::Window64 | Client::Window256 => {
                let window = if client == Client::Window64 { 64 } else { 256 };
                self.pipepost(
                    task,
                    &json!({ "max_connections": task.connections, "max_uncertain": window }),
                )
            }
            Client::Check => {
                let mut command = self.command_of_pipepost();
                command.arg("check").arg(self.write_pipeline(task)?);
                command.arg("--accounts").arg(self.write_account(task, &json!({}))?);
                Ok(command)
            }
            Client::Explain => {
                let mut command = self.command_of_pipepost();
                command.args([
                    "explain",
                    "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown",
                ]);
                Ok(command)
            }
            Client::Version => {
                let mut command = self.command_of_pipepost();
                command.arg("--version");
                Ok(command)
            }
            Client::Ledger => {
                let mut command = self.pipepost(task, &json!({ "max_connections": task.connections }))?;
                // On a disk, since it is the disk that it waits for, and new each time.
                let state = self.disk.join("state");
                drop(fs::remove_dir_all(&state));
                command.args(["--execution", "bench"]).arg("--state").arg(state);
                Ok(command)
            }
            Client::Sandboxed => {
                let mut command = Command::new(&self.sends);
                command.arg(self.settings(client, task)?);
                Ok(command)
            }
            Client::Native | Client::Lettre => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(if client == Client::Lettre { "lettre" } else { "native" });
                command.arg(self.settings(client, task)?);
                Ok(command)
            }
            Client::Nodemailer => {
                let mut command = Command::new("node");
                command
                    .arg(self.scripts.join("nodemailer.mjs"))
                    .arg(self.settings(client, task)?);
                Ok(command)
            }
            Client::Smtplib => {
                let mut command = Command::new("python3");
                command
                    .arg(self.scripts.join("smtplib_peer.py"))
                    .arg(self.settings(client, task)?);
                Ok(command)
            }
            Client::Msmtp => self.msmtp(task),
            Client::SmtpSource | Client::SmtpSourceKept => {
                let mut command = Command::new("smtp-source");
                if client == Client::SmtpSourceKept {
                    command.arg("-d");
                }
                let numbers = [("-s", task.connections), ("-m", task.messages), ("-l", 2400)];
                for (flag, number) in numbers {
                    command.args([flag, &number.to_string()]);
                }
                command.args([
                    "-f",
                    letter::FROM,
                    "-t",
                    letter::TO,
                    &format!("127.0.0.1:{}", task.port),
                ]);
                Ok(command)
            }
        }
    }

    fn settings(&self, client: Client, task: &Task) -> Result<PathBuf> {
        let path = self.folder.join(format!("{client:?}.json"));
        let settings = json!({
            "port": task.port, "messages": task.messages, "connections": task.connections,
            "ca": task.authority, "attachment": task.attachment, "letter": letter::pieces(), "cache": self.folder.join("cache"),
        });
        write(&path, &settings.to_string())?;
        Ok(path)
    }

    /// A merge of the task's messages, over an account with these limits.
    fn pipepost(&self, task: &Task, limits: &Value) -> Result<Command> {
        let path = |name: &str| self.folder.join(name);
        let mut input = std::io::BufWriter::new(fs::File::create(path("input.json"))?);
        letter::write_input(&mut input, task.messages)?;
        input.flush()?;
        let mut command = self.command_of_pipepost();
        command.arg("run").arg(self.write_pipeline(task)?);
        command.arg("--accounts").arg(self.write_account(task, limits)?);
        command.arg("--input").arg(path("input.json"));
        command.args(["--timeout", "none", "-q"]);
        if let Some(folder) = task.attachment.as_deref().and_then(Path::parent) {
            command.arg("--files").arg(folder);
        }
        Ok(command)
    }

    fn write_account(&self, task: &Task, limits: &Value) -> Result<PathBuf> {
        let mut account = json!({
            "label": "mail", "type": "smtp-auth-and-properties",
            "host": "127.0.0.1", "port": task.port, "auth": "false", "starttls_enable": "false",
            "limits": limits,
        });
        if let Some(authority) = &task.authority {
            account["host"] = "localhost".into();
            account["ca_file"] = json!(authority);
            account["properties"] = json!({ "mail.smtp.ssl.enable": "true" });
        }
        let path = self.folder.join("accounts.json");
        write(&path, &account.to_string())?;
        Ok(path)
    }

    fn write_pipeline(&self, task: &Task) -> Result<PathBuf> {
        let name = task.attachment.as_deref().and_then(Path::file_name);
        let name = name.map(|name| name.to_string_lossy());
        let path = self.folder.join("pipeline.json");
        write(
            &path,
            &letter::pipeline(task.authority.is_some(), name.as_deref()).to_string(),
        )?;
        Ok(path)
    }

    fn command_of_pipepost(&self) -> Command {
        let mut command = Command::new(&self.pipepost);
        // A cache of the bench's own: the first run of each bench compiles, and is not measured.
        command
            .env("PIPEPOST_CACHE", self.folder.join("cache"))
            .env("PIPEPOST_STATE", self.folder.join("state"));
        command
    }

    fn msmtp(&self, task: &Task) -> Result<Command> {
        let eml = self.folder.join("message.eml");
        let built = lettre::message(0, None)?.formatted();
        fs::write(&eml, built)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", "eml=$1; shift; exec msmtp \"$@\" < \"$eml\"", "sh"])
            .arg(eml);
        command.args([
            "--file=/dev/null",
            "--host=localhost",
            "--domain=bench.example",
            "--timeout=20",
        ]);
        command.arg(format!("--port={}", task.port));
        match &task.authority {
            Some(authority) => {
                command.args(["--tls=on", "--tls-starttls=off"]);
                command.arg(format!("--tls-trust-file={}", authority.display()));
            }
            None => drop(command.arg("--tls=off")),
        }
        command.arg(format!("--from={}", letter::FROM)).arg(letter::TO);
        Ok(command)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}

/// What a client of the bench's own reads from its settings.
pub(crate) fn task(settings: &str) -> Result<Task> {
    let text = fs::read_to_string(settings).with_context(|| format!("`{settings}` cannot be read"))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let number = |name: &str| value[name].as_u64().unwrap_or_default();
    let path = |name: &str| value[name].as_str().map(PathBuf::from);
    Ok(Task {
        port: u16::try_from(number("port"))?,
        messages: usize::try_from(number("messages"))?,
        connections: usize::try_from(number("connections"))?,
        authority: path("ca"),
        attachment: path("attachment"),
    })
}
