//! Postfix, from a private folder: <https://www.postfix.org>.
//!
//! It needs root, since Postfix does, and Debian's packages `postfix`, `libsasl2-modules`, `libsasl2-modules-db` and
//! `sasl2-bin`. The machine's own Postfix, running or not, is not touched: configuration, queue, data and mail are in a
//! temporary folder, and the ports are the system's choice.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::arrivals::{Arrivals, find, is_root, run};
use crate::certificates::{Authority, Certificate, Flaw};
use crate::lines::Lines;
use crate::{Message, PASSWORD, REFUSED, USER, show, skip};

/// What is unusual about an instance.
#[derive(Clone, Debug)]
pub struct PostfixOptions {
    /// The limit announced as SIZE, in bytes.
    pub size: usize,
    /// The mechanisms offered.
    pub mechanisms: &'static str,
    /// Clients have to show a certificate of the server's own authority, and need no sign-in then.
    pub client_certificates: bool,
    /// The only TLS version that is spoken, as `1.2` or `1.3`.
    pub tls_version: Option<&'static str>,
    /// Further lines of `main.cf`.
    pub settings: &'static str,
}

impl Default for PostfixOptions {
    fn default() -> Self {
        Self {
            size: 1 << 25,
            mechanisms: "PLAIN LOGIN",
            client_certificates: false,
            tls_version: None,
            settings: "",
        }
    }
}

/// A running instance. It ends when this is dropped, or the test's process is gone.
pub struct Postfix {
    child: Child,
    log: Lines,
    /// Lines of the log that were waited for and not looked at.
    kept: Mutex<VecDeque<String>>,
    arrivals: Arrivals,
    folder: TempDir,
    certificate: Certificate,
    client: Certificate,
    starttls_port: u16,
    tls_port: u16,
}

/// Two loopback addresses tell the two ports apart, neither of which is known before.
const STARTTLS_ADDRESS: &str = "127.0.0.1";
const TLS_ADDRESS: &str = "127.0.0.2";

/// Runs Postfix until the test's end of the pipe is gone, however the test ends.
const GUARD: &str = r#"
exec 2>&1
trap : TERM
"$1" -c "$2" start-fg </dev/null &
read -r never
"$1" -c "$2" abort </dev/null
wait
rm -rf "$3"
"#;

impl Postfix {
    /// Starts an instance; none, in plain sight, where there is no Postfix or nobody may start it.
    pub fn start(options: &PostfixOptions) -> Option<Self> {
        let (Some(postfix), Some(saslpasswd2)) = (find("postfix"), find("saslpasswd2")) else {
            skip("Postfix is not installed (Debian: postfix, libsasl2-modules, libsasl2-modules-db, sasl2-bin)");
            return None;
        };
        if !is_root() {
            skip("Postfix is started by root alone");
            return None;
        }
        let folder = TempDir::new().expect("a folder for temporary files");
        let (certificate, client) = lay_out(folder.path(), options, &saslpasswd2);
        let arrivals = Arrivals::in_folder(folder.path(), "nobody");
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(postfix)
            .arg(folder.path().join("conf"))
            .arg(folder.path())
            // Postfix's master ends its whole process group when it ends.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let log = Lines::of(child.stdout.take().expect("a pipe"));
        let mut instance = Self {
            child,
            log,
            kept: Mutex::default(),
            arrivals,
            folder,
            certificate,
            client,
            starttls_port: 0,
            tls_port: 0,
        };
        instance.logs("daemon started");
        (instance.starttls_port, instance.tls_port) = instance.ports();
        Some(instance)
    }

    /// The host and port where TLS begins with STARTTLS.
    pub fn starttls(&self) -> (&'static str, u16) {
        (STARTTLS_ADDRESS, self.starttls_port)
    }

    /// The host and port where TLS begins with the first byte.
    pub fn tls(&self) -> (&'static str, u16) {
        (TLS_ADDRESS, self.tls_port)
    }

    /// What a client has to trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// A certificate of [`USER`] that the server's own authority has issued.
    pub fn client(&self) -> &Certificate {
        &self.client
    }

    /// The next message, waited for.
    ///
    /// # Panics
    /// When none comes, with what Postfix says of it.
    pub fn next(&self) -> Message {
        let (id, message) = self
            .arrivals
            .next()
            .unwrap_or_else(|| panic!("Postfix delivers no more:\n{}", self.log.seen()));
        // What Postfix writes itself, such as a notification, comes from no client.
        let is_its_own = matches!(message.sender.as_str(), "" | "MAILER-DAEMON");
        let user = if is_its_own { None } else { self.client_of(&id) };
        Message { user, ..message }
    }

    /// The user who signed in for a message. The log may come after the message.
    fn client_of(&self, id: &str) -> Option<String> {
        let words = format!("{id}: client=");
        loop {
            let log = self.log.seen();
            if let Some(line) = log.lines().find(|line| line.contains(&words)) {
                return Some(line.split_once("sasl_username=")?.1.trim().to_owned());
            }
            let line = self.log.next();
            let line = line.unwrap_or_else(|| panic!("Postfix ended without `{words}`:\n{log}"));
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push_back(line);
        }
    }

    /// The next line of its log that holds these words, waited for.
    ///
    /// # Panics
    /// When it ends without.
    pub fn logs(&self, words: &str) -> String {
        loop {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match kept.or_else(|| self.log.next()) {
                Some(line) if line.contains(words) => return line,
                Some(_) => {}
                None => panic!("Postfix ended without `{words}`:\n{}", self.log.seen()),
            }
        }
    }

    /// Ends the instance, and gives its log: everything that clients did is in it.
    pub fn finish(mut self) -> String {
        self.end();
        while self.log.next().is_some() {}
        self.log.seen()
    }

    /// The master listens on ports that the system chose; which, stands in the system's own tables.
    fn ports(&self) -> (u16, u16) {
        let pid =
            fs::read_to_string(self.folder.path().join("queue/pid/master.pid")).expect("a started Postfix has it");
        let sockets = sockets_of(pid.trim());
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
        let listening: Vec<SocketAddr> = table
            .lines()
            .filter_map(listener)
            .filter(|(_, inode)| sockets.contains(inode))
            .map(|(at, _)| at)
            .collect();
        let at = |host: &str| {
            listening
                .iter()
                .find(|at| at.ip().to_string() == host)
                .map(SocketAddr::port)
        };
        match (at(STARTTLS_ADDRESS), at(TLS_ADDRESS)) {
            (Some(starttls), Some(tls)) => (starttls, tls),
            _ => panic!("Postfix listens on {listening:?}:\n{}", self.log.seen()),
        }
    }

    fn end(&mut self) {
        // The guard reads it, and ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        self.arrivals.end();
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            show(&format!("Postfix's side:\n{}", self.log.seen()));
        }
    }
}

/// Makes the folder: configuration, queue, users, certificate, and the place where mail ends.
fn lay_out(folder: &Path, options: &PostfixOptions, saslpasswd2: &Path) -> (Certificate, Certificate) {
    let write = |path: PathBuf, text: String| fs::write(path, text).expect("a writable folder");
    let conf = folder.join("conf");
    for name in ["conf/sasl", "queue", "data"] {
        fs::create_dir_all(folder.join(name)).expect("a writable folder");
    }
    // Postfix's processes are users of their own, and have to come by.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder of our own");
    run(Command::new("chown").arg("postfix").arg(folder.join("data")));

    let authority = Authority::new();
    let certificate = authority.issue(Flaw::None, &conf);
    let client = authority.issue_client(USER, folder);
    let shown = folder.display();
    write(conf.join("main.cf"), main_cf(folder, &certificate, options));
    write(conf.join("master.cf"), master_cf(folder, options));

    let users = conf.join("users");
    write(
        conf.join("sasl/smtpd.conf"),
        format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {shown}/conf/users\nmech_list: {}\n",
            options.mechanisms
        ),
    );
    let (user, realm) = USER.split_once('@').expect("a user with a domain");
    let mut add = Command::new(saslpasswd2);
    add.args(["-p", "-c", "-u", realm, "-f"])
        .arg(&users)
        .arg(user)
        .stdin(Stdio::piped());
    let mut child = add.spawn().expect("saslpasswd2 starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(PASSWORD.as_bytes())
        .expect("saslpasswd2 reads");
    assert!(child.wait().is_ok_and(|status| status.success()), "saslpasswd2 failed");
    run(Command::new("chown").arg("postfix").arg(&users));
    (certificate, client)
}

fn main_cf(folder: &Path, certificate: &Certificate, options: &PostfixOptions) -> String {
    let (folder, size, settings) = (folder.display(), options.size, options.settings);
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    let protocols = match options.tls_version {
        Some(version) => format!(">=TLSv{version}, <=TLSv{version}"),
        None => ">=TLSv1.2".to_owned(),
    };
    let authority = certificate.authority.display();
    let (demanded, permitted) = if options.client_certificates {
        ("yes", "permit_tls_all_clientcerts, ")
    } else {
        ("no", "")
    };
    format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = /dev/stdout
myhostname = postfix.example
inet_interfaces = {STARTTLS_ADDRESS}
inet_protocols = ipv4
mynetworks =
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:all
virtual_transport = catch
local_header_rewrite_clients =
smtpd_peername_lookup = no
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {authority}
smtpd_tls_req_ccert = {demanded}
smtpd_tls_protocols = {protocols}
smtpd_tls_mandatory_protocols = {protocols}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = example.test
cyrus_sasl_config_path = {folder}/conf/sasl
smtpd_relay_restrictions = {permitted}permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ {REFUSED} = 550 5.1.1 No such user here }} }},
  {permitted}permit_sasl_authenticated, reject
message_size_limit = {size}
{settings}
"
    )
}

/// Postfix's usual services without those that send mail on, and with one that keeps it.
fn master_cf(folder: &Path, options: &PostfixOptions) -> String {
    let deliver = Arrivals::command(folder);
    // A demand for certificates is a demand for TLS.
    let level = if options.client_certificates { "encrypt" } else { "may" };
    let mut text = format!(
        "postlog unix-dgram n - n - 1 postlogd
{STARTTLS_ADDRESS}:0 inet n - n - - smtpd -o smtpd_tls_security_level={level}
{TLS_ADDRESS}:0 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
catch unix - n n - - pipe flags= user=nobody argv={deliver}
  ${{queue_id}} ${{sender}} ${{recipient}}
"
    );
    for (name, private, wakeup, limit, program) in [
        ("pickup", "n", "60", "1", "pickup"),
        ("cleanup", "n", "-", "0", "cleanup"),
        ("qmgr", "n", "300", "1", "qmgr"),
        ("tlsmgr", "-", "1000?", "1", "tlsmgr"),
        ("rewrite", "-", "-", "-", "trivial-rewrite"),
        ("bounce", "-", "-", "0", "bounce"),
        ("defer", "-", "-", "0", "bounce"),
        ("trace", "-", "-", "0", "bounce"),
        ("verify", "-", "-", "1", "verify"),
        ("flush", "n", "1000?", "0", "flush"),
        ("proxymap", "-", "-", "-", "proxymap"),
        ("error", "-", "-", "-", "error"),
        ("retry", "-", "-", "-", "error"),
        ("showq", "n", "-", "-", "showq"),
        ("anvil", "-", "-", "1", "anvil"),
        ("scache", "-", "-", "1", "scache"),
    ] {
        let _ = writeln!(text, "{name} unix {private} - n {wakeup} {limit} {program}");
    }
    text
}

/// The inodes of a process's sockets.
fn sockets_of(pid: &str) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("a process of root's")
        .flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect()
}

/// A line of `/proc/net/tcp`, when it is of a listening socket: its address and its inode.
fn listener(line: &str) -> Option<(SocketAddr, String)> {
    const LISTEN: &str = "0A";
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = columns.get(1)?.split_once(':')?;
    if *columns.get(3)? != LISTEN {
        return None;
    }
    // The four bytes as the machine would read them from memory.
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::from((address, port)), (*columns.get(9)?).to_owned()))
}
