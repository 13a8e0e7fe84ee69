//! The binary, run in a folder of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::lines::Lines;
use crate::{AccountFile, PASSWORD, USER, root};

/// A folder with a pipeline, accounts and whatever else a run needs, and `pipepost` to run in it.
pub struct Scratch {
    folder: TempDir,
    variables: Vec<(String, String)>,
    secrets: Vec<String>,
    /// How many files the binary may have open.
    /// As `ulimit` takes them.
    limits: Option<String>,
    /// A folder on a disk of its own, and how that is mounted.
    disk: Option<(PathBuf, String)>,
}

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder for temporary files");
        fs::create_dir(folder.path().join("home")).expect("a writable folder");
        Self {
            folder,
            variables: Vec::new(),
            secrets: vec![PASSWORD.to_owned()],
            limits: None,
            disk: None,
        }
    }

    /// One with `pipeline.json` and `accounts.json`.
    pub fn with(pipeline: &Value, account: &AccountFile) -> Self {
        let scratch = Self::new();
        scratch.write("pipeline.json", pipeline.to_string());
        scratch.write("accounts.json", account.json().to_string());
        scratch
    }

    /// Where it is; the binary runs there, so relative paths start there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, in folders that are made as needed.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder above")).expect("a writable folder");
        fs::write(&path, contents).expect("a writable folder");
        // As account files should be.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of our own");
        }
        path
    }

    /// Sets an environment variable for the runs to come.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another text that no output may hold, beside [`PASSWORD`].
    #[must_use]
    pub fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    /// `pipepost run pipeline.json --accounts accounts.json`, and more arguments.
    pub fn run(&self, more: &[&str]) -> Ending {
        self.pipepost(&[&["run", "pipeline.json", "--accounts", "accounts.json"], more].concat())
    }

    /// Runs the binary to its end. Checks of every run, whatever it does, that it does not panic and shows no secret.
    pub fn pipepost(&self, arguments: &[&str]) -> Ending {
        self.pipepost_with_input(arguments, "")
    }

    /// The same with something on its standard input.
    pub fn pipepost_with_input(&self, arguments: &[&str], input: &str) -> Ending {
        let mut running = self.start(arguments);
        // It may end without reading it.
        let _ = running.child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        running.ended(&self.secrets)
    }

    /// Starts the binary, for commands that go on until they are ended.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_into(Stdio::piped(), arguments)
    }

    /// The same with a standard output of the caller's. It is not among what is seen of it, unless it is a new pipe.
    pub fn start_into(&self, stdout: Stdio, arguments: &[&str]) -> Running {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` cannot be started: {error}; {HOW}", binary().display()));
        Running {
            command: format!("pipepost {}", arguments.join(" ")),
            stdout: child
                .stdout
                .take()
                .map_or_else(|| Lines::of(std::io::empty()), Lines::of),
            stderr: Lines::of(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// The binary may open no more files than this at once.
    #[cfg(unix)]
    #[must_use]
    pub fn descriptors(mut self, count: u32) -> Self {
        self.limits = Some(format!("-n {count}"));
        self
    }

    /// The binary may use no more addresses than so many kilobytes.
    #[cfg(unix)]
    #[must_use]
    pub fn addresses(mut self, kilobytes: u64) -> Self {
        self.limits = Some(format!("-v {kilobytes}"));
        self
    }

    /// The binary has this folder on a disk of its own, of so many kilobytes, which nobody else sees and which ends with it.
    /// None, in plain sight, where the machine makes no such disk.
    #[cfg(target_os = "linux")]
    pub fn with_disk(mut self, folder: &str, options: &str) -> Option<Self> {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).expect("a writable folder");
        let mounted = Command::new("unshare")
            .args(["-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&folder)
            .output();
        match mounted {
            Ok(mounted) if mounted.status.success() => {
                self.disk = Some((folder, options.to_owned()));
                Some(self)
            }
            Ok(refused) => {
                crate::skip(&format!(
                    "no disk of its own: {}",
                    String::from_utf8_lossy(&refused.stderr).trim()
                ));
                None
            }
            Err(error) => {
                crate::skip(&format!("no disk of its own: unshare: {error}"));
                None
            }
        }
    }

    /// The binary in this folder, with nothing of the caller's environment but what a program needs to start.
    pub(crate) fn command(&self) -> Command {
        let mut command = match (&self.limits, &self.disk) {
            (None, None) => Command::new(binary()),
            (_, Some((folder, options))) => {
                let mut command = Command::new("unshare");
                let mount = r#"mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@""#;
                command.args(["-rm", "sh", "-c", mount, "sh", options]);
                command.arg(folder).arg(binary());
                command
            }
            (Some(limits), None) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit {limits} && exec \"$0\" \"$@\"")]);
                shell.arg(binary());
                shell
            }
        };
        command.current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "TMPDIR", "TEMP", "TMP", "SystemRoot", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.folder.path().join("home"))
            // One for all tests: a component is compiled once.
            .env("XDG_CACHE_HOME", target().join("tests-cache"))
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

const HOW: &str = "`cargo xtask test` builds it, and PIPEPOST_BIN can name another";

/// The binary that is tested.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("PIPEPOST_BIN") {
        return PathBuf::from(path);
    }
    // A test is `target/debug/deps/NAME`, and the binary beside `deps`.
    let test = std::env::current_exe().expect("a running test has a file");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("cargo puts tests into a folder of their own");
    folder.join(format!("pipepost{}", std::env::consts::EXE_SUFFIX))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What was seen of a process's memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The most that was resident, in bytes.
    pub peak: u64,
    /// How many pages it was given without a disk: fresh ones, and those of files that were in memory.
    pub faults: u64,
}

/// The binary while it runs. Dropped, it is killed.
pub struct Running {
    command: String,
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Running {
    /// The next line of stdout that holds these words, waited for.
    ///
    /// # Panics
    /// When it ends without.
    pub fn says(&self, words: &str) -> String {
        loop {
            match self.stdout.next() {
                Some(line) if line.contains(words) => return line,
                Some(_) => {}
                None => panic!(
                    "it ended without `{words}`\n{}{}",
                    self.stdout.seen(),
                    self.stderr.seen()
                ),
            }
        }
    }

    /// The next line of stderr that holds these words, waited for.
    ///
    /// # Panics
    /// When it ends without.
    pub fn complains(&self, words: &str) -> String {
        std::iter::from_fn(|| self.stderr.next())
            .find(|line| line.contains(words))
            .unwrap_or_else(|| panic!("it ended without `{words}`\n{}", self.stderr.seen()))
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A path as the process sees it, which may have disks of its own.
    #[cfg(target_os = "linux")]
    pub fn sees(&self, path: &Path) -> PathBuf {
        let mut seen = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        seen.extend(path.components().skip(1));
        seen
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.is_ok_and(|status| status.success()), "it was gone before");
    }

    /// Says something to its standard input.
    pub fn told(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads its input");
    }

    /// Waits for its end, and checks that it shows none of these secrets.
    pub fn end(mut self, secrets: &[&str]) -> Ending {
        drop(self.child.stdin.take());
        self.ended(&secrets.iter().map(|secret| (*secret).to_owned()).collect::<Vec<_>>())
    }

    /// Waits for its end, and returns what was seen of its memory too.
    #[cfg(target_os = "linux")]
    pub fn ended_with_memory(mut self) -> (Ending, Memory) {
        drop(self.child.stdin.take());
        let about = format!("/proc/{}", self.child.id());
        let read = |name: &str| fs::read_to_string(format!("{about}/{name}")).unwrap_or_default();
        let mut memory = Memory::default();
        while matches!(self.child.try_wait(), Ok(None)) {
            // A high-water mark: what it was once, it says until its end.
            let status = read("status");
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
            memory.peak = kilobytes.map_or(memory.peak, |kilobytes| kilobytes * 1024);
            // The tenth field, of which the second one ends with the last parenthesis.
            let stat = read("stat");
            let faults = stat
                .rsplit_once(')')
                .and_then(|(_, fields)| fields.split_whitespace().nth(7)?.parse().ok());
            memory.faults = faults.unwrap_or(memory.faults).max(memory.faults);
            std::thread::yield_now();
        }
        (self.ended(&[]), memory)
    }

    /// Waits for its end, and leaves its standard input open.
    pub fn ended_by_itself(mut self) -> Ending {
        self.ended(&[])
    }

    /// Interrupts it, as Ctrl+C does, and waits for its end.
    pub fn interrupt(mut self) -> Ending {
        self.signal("INT");
        self.ended(&[])
    }

    /// Kills it, as a crash does, as soon as the bell rings. None then; its end when it came first.
    pub fn kill_at(mut self, bell: &Receiver<()>) -> Option<Ending> {
        loop {
            match bell.recv_timeout(Duration::from_millis(5)) {
                Ok(()) => return None,
                Err(_) if self.child.try_wait().is_ok_and(|status| status.is_some()) => {
                    return Some(self.ended(&[]));
                }
                Err(_) => {}
            }
        }
    }

    fn ended(&mut self, secrets: &[String]) -> Ending {
        let everything = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while self.stdout.next().is_some() {}
            while self.stderr.next().is_some() {}
        }));
        if everything.is_err() {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("it ended");
        let ending = Ending {
            command: self.command.clone(),
            code: status.code(),
            stdout: self.stdout.seen(),
            stderr: self.stderr.seen(),
        };
        assert!(everything.is_ok(), "it hung, and was ended\n{ending}");
        ending.is_orderly(secrets);
        ending
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended. Shown, it is the whole of it.
#[derive(Debug)]
pub struct Ending {
    command: String,
    /// None when a signal ended it.
    pub code: Option<i32>,
    /// The result, for programs.
    pub stdout: String,
    /// Everything else, for people.
    pub stderr: String,
}

impl Ending {
    /// It ended with this exit code.
    ///
    /// # Panics
    /// Otherwise.
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code is not {code}\n{self}");
        self
    }

    /// What it printed on stdout, as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is not JSON ({error})\n{self}"))
    }

    /// Its stderr holds each of these.
    ///
    /// # Panics
    /// Otherwise.
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "stderr does not say `{word}`\n{self}");
        }
        self
    }

    /// What it says last on stderr is a sentence: it begins like one, ends like one, or with a link, and holds neither a
    /// program's debug form nor a colour.
    ///
    /// # Panics
    /// Otherwise.
    pub fn is_a_sentence(&self, what: &str) {
        let last = self
            .stderr
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let ends =
            last.ends_with(['.', '?', '!']) || last.rsplit(' ').next().is_some_and(|word| word.starts_with("https://"));
        // The problems of a document are told one a line, as compilers do.
        let is_problem = last.contains(": error");
        assert!(
            (ends || is_problem) && last.contains(' '),
            "{what}: its last line is no sentence: `{last}`\n{self}"
        );
        for form in ["Error {", "Some(", "Err(", "\u{1b}", "kind: ", "Os {", "Other("] {
            assert!(!self.stderr.contains(form), "{what}: it shows `{form}`\n{self}");
        }
    }

    fn is_orderly(&self, secrets: &[String]) {
        assert!(self.code.is_some(), "a signal ended it\n{self}");
        assert!(!self.stderr.contains("panicked at"), "it panicked\n{self}");
        for (name, shown) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let obeyed = shown.chars().find(|character| is_obeyed(*character));
            assert_eq!(
                obeyed,
                None,
                "{name} holds what a terminal obeys\n{:?}",
                self.to_string()
            );
        }
        for secret in secrets {
            for form in forms(secret) {
                assert!(
                    !self.stdout.contains(&form),
                    "stdout holds a secret, as `{form}`\n{self}"
                );
                assert!(
                    !self.stderr.contains(&form),
                    "stderr holds a secret, as `{form}`\n{self}"
                );
            }
        }
    }
}

/// Returns whether a terminal obeys this character, or shows what follows in another order for it.
fn is_obeyed(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && character != '\n' && character != '\t')
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "$ {command}\nexit code: {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---"
        )
    }
}

/// A secret as it is, and as SASL writes it (RFC 4616 for PLAIN).
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let plain = [format!("\0{USER}\0{secret}"), format!("{USER}\0{USER}\0{secret}")];
    let mut forms = vec![secret.to_owned(), STANDARD.encode(secret)];
    forms.extend(plain.iter().map(|text| STANDARD.encode(text)));
    forms
}
