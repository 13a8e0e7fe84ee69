//! Exim, from a private folder: <https://www.exim.org>.
//!
//! It needs root, and Debian's package `exim4-daemon-light` unpacked into `target/peers/exim`, which `.ci/run` does: the
//! package cannot be installed next to Postfix. It also needs the user `Debian-exim`, which the program was built for.
//! Configuration, spool and mail are in a temporary folder. The socket that it listens on is made here and handed over, so
//! that the port is the system's choice.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::arrivals::{Arrivals, find, is_root, run};
use crate::certificates::{Authority, Certificate, Flaw};
use crate::{Message, PASSWORD, REFUSED, USER, root, show, skip};

/// What is unusual about an instance.
#[derive(Clone, Debug, Default)]
pub struct EximOptions {
    /// Lines of the main configuration.
    pub settings: &'static str,
    /// Statements that decide on MAIL, before it is accepted.
    pub at_mail: &'static str,
}

/// A running instance. It ends when this is dropped, or the test's process is gone.
pub struct Exim {
    child: Child,
    arrivals: Arrivals,
    /// The guard ends with it.
    life: Option<fs::File>,
    folder: TempDir,
    certificate: Certificate,
    port: u16,
}

/// As whom it runs; the program was built so.
const EXIM_USER: &str = "Debian-exim";

const ADDRESS: &str = "127.0.0.1";

/// Runs Exim on the socket that is its standard input, until the test's end of the pipe is gone, however the test ends.
const GUARD: &str = r#"
exec 3<&0
"$1" -C "$2/exim.conf" -bw <&3 3<&- &
exec 3<&- </dev/null
read -r never < "$2/life"
kill "$!"
wait
"#;

impl Exim {
    /// Starts an instance; none, in plain sight, where there is no Exim or nobody may start it.
    pub fn start(options: &EximOptions) -> Option<Self> {
        let Some(exim) = program() else {
            skip("Exim is not here (`.ci/run` unpacks Debian's exim4-daemon-light into target/peers/exim)");
            return None;
        };
        if !is_root() {
            skip("Exim is started by root alone");
            return None;
        }
        let folder = TempDir::new().expect("a folder for temporary files");
        // Exim's processes are users of their own, and have to come by.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder of our own");
        for name in ["spool", "log"] {
            fs::create_dir(folder.path().join(name)).expect("a writable folder");
            run(Command::new("chown").arg(EXIM_USER).arg(folder.path().join(name)));
        }
        let arrivals = Arrivals::in_folder(folder.path(), EXIM_USER);
        let certificate = Authority::new().issue(Flaw::None, folder.path());
        run(Command::new("chown").arg(EXIM_USER).arg(&certificate.key));
        let configuration = configuration(folder.path(), &exim, &certificate, options);
        fs::write(folder.path().join("exim.conf"), configuration).expect("a writable folder");

        let way = folder.path().join("life");
        run(Command::new("mkfifo").arg(&way));
        let listener = TcpListener::bind((ADDRESS, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let child = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(exim)
            .arg(folder.path())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        // The guard reads it from now on: this waits for it.
        let life = fs::OpenOptions::new()
            .write(true)
            .open(way)
            .expect("the guard reads it");
        Some(Self {
            child,
            arrivals,
            life: Some(life),
            folder,
            certificate,
            port,
        })
    }

    /// The host and port where TLS begins with STARTTLS.
    pub fn starttls(&self) -> (&'static str, u16) {
        (ADDRESS, self.port)
    }

    /// What a client has to trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// The next message, waited for.
    ///
    /// # Panics
    /// When none comes, with what Exim says of it.
    pub fn next(&self) -> Message {
        let (id, message) = self
            .arrivals
            .next()
            .unwrap_or_else(|| panic!("Exim delivers no more:\n{}", self.log()));
        let log = self.log();
        let user = log
            .lines()
            .find(|line| line.contains(&format!("{id} <= ")))
            .and_then(|line| Some(line.split_once(" A=plain:")?.1.split(' ').next()?.to_owned()));
        Message { user, ..message }
    }

    /// The messages that it has taken up to now: the subject and the recipients of each. Exim writes each down before it
    /// says so to the client.
    pub fn taken(&self) -> Vec<(String, Vec<String>)> {
        let log = self.log();
        let taken = log.lines().filter(|line| line.contains(" <= "));
        taken
            .map(|line| {
                let subject = line.split_once(" T=\"").and_then(|(_, rest)| rest.split_once('"'));
                let recipients = line
                    .rsplit_once(" for ")
                    .map(|(_, all)| all.split(' ').map(str::to_owned));
                (
                    subject.map(|(subject, _)| subject.to_owned()).unwrap_or_default(),
                    recipients.into_iter().flatten().collect(),
                )
            })
            .collect()
    }

    /// Its log up to now.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.path().join("log").join(name)).unwrap_or_default();
        format!("{}{}", read("mainlog"), read("paniclog"))
    }

    fn end(&mut self) {
        // The guard reads it, and ends.
        drop(self.life.take());
        let _ = self.child.wait();
        self.arrivals.end();
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let mut said = String::new();
            if let Some(stderr) = &mut self.child.stderr {
                let _ = stderr.read_to_string(&mut said);
            }
            show(&format!("Exim's side:\n{}{said}", self.log()));
        }
    }
}

/// The program that `.ci/run` has unpacked, or an installed one, if it can run here.
fn program() -> Option<PathBuf> {
    let unpacked = root().join("target/peers/exim/usr/sbin/exim4");
    let candidates = std::iter::once(unpacked)
        .filter(|path| path.is_file())
        .chain(find("exim4"));
    candidates.into_iter().find(|exim| {
        let version = Command::new(exim)
            .args(["-C", "/dev/null", "-bV"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    })
}

fn configuration(folder: &Path, exim: &Path, certificate: &Certificate, options: &EximOptions) -> String {
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    let EximOptions { settings, at_mail } = options;
    let (deliver, exim, folder) = (Arrivals::command(folder), exim.display(), folder.display());
    format!(
        "primary_hostname = exim.example
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
log_selector = +received_recipients +subject
exim_path = {exim}
keep_environment =
host_lookup =
rfc1413_hosts =
tls_advertise_hosts = *
tls_certificate = {cert}
tls_privatekey = {key}
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
queue_run_max = 0
# A configuration of its own costs it the privileges of other users.
deliver_drop_privilege = true
{settings}

begin acl
check_mail:
{at_mail}
  accept
check_rcpt:
  deny recipients = {REFUSED}
       message = 550 5.1.1 No such user here
  accept authenticated = *
  deny message = relay not permitted

begin routers
all:
  driver = accept
  transport = catch

begin transports
catch:
  driver = pipe
  command = {deliver} $message_exim_id - $pipe_addresses
  user = {EXIM_USER}
  group = {EXIM_USER}
  batch_max = 1000
  message_prefix =
  message_suffix =

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
    )
}
