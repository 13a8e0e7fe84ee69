//! A process that writes the store is killed at random moments; the store then holds the old content or the new one,
//! and the next writer finds nothing in its way.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use pipepost_accounts::Secret;
use pipepost_accounts::store::{Change, Store, StoreKey};

/// Names the folder, and makes this program the writer.
const WRITER: &str = "PIPEPOST_TEST_STORE_WRITER";
const ROUNDS: usize = 60;

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(WRITER) {
        write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    prepare(folder.path());
    let mut halfway = 0;
    let failures: Vec<String> = (0..ROUNDS)
        .filter_map(|round| {
            let result = kill_one(folder.path());
            halfway += usize::from(folder.path().join(".accounts.age.new").exists());
            result.err().map(|problem| format!("round {round}: {problem}"))
        })
        .collect();
    let mut out = std::io::stdout();
    failures
        .iter()
        .for_each(|failure| writeln!(out, "{failure}").expect("written"));
    writeln!(out, "{halfway} of {ROUNDS} writers died with a new file half written").expect("written");
    writeln!(out, "{} passed, {} failed", ROUNDS - failures.len(), failures.len()).expect("written");
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn open(folder: &Path) -> Store {
    Store::new(
        folder.join("accounts.age"),
        StoreKey::from_key_file(&folder.join("key.txt")).expect("a key"),
    )
}

/// One account.
fn prepare(folder: &Path) {
    StoreKey::create_key_file(&folder.join("key.txt")).expect("a key");
    let text = |text: &str| Secret::new(text.to_owned());
    let changes = [
        Change::set("type", text("basic")),
        Change::set("username", text("me@gmail.com")),
        Change::set("password", text("abcdefghijklmnop")),
        Change::set("from_name", text("0")),
        Change::set("description", text(&"long ".repeat(400))),
    ];
    open(folder).add("counter", &changes).expect("added");
}

fn count(folder: &Path) -> Result<u64, String> {
    let shown = open(folder).show("counter").map_err(|error| error.to_string())?;
    shown["from_name"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("no count in {shown}"))
}

/// Counts on from where the store is, and says each count once it is kept.
fn write_until_killed(folder: &Path) -> ! {
    let store = open(folder);
    let mut out = std::io::stdout();
    for next in count(folder).expect("readable") + 1.. {
        store
            .edit("counter", &[Change::set("from_name", Secret::new(next.to_string()))])
            .expect("kept");
        writeln!(out, "{next}").and_then(|()| out.flush()).expect("said");
    }
    unreachable!("nobody counts to the end")
}

fn kill_one(folder: &Path) -> Result<(), String> {
    let before = count(folder)?;
    let mut writer = Command::new(std::env::current_exe().expect("this program"))
        .env(WRITER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut said = BufReader::new(writer.stdout.take().expect("a pipe")).lines();
    let first = said.next();
    spin();
    writer.kill().expect("killed");
    writer.wait().expect("waited for");
    let first = first
        .ok_or("the writer died of itself")?
        .map_err(|error| error.to_string())?;
    let last = said.map_while(Result::ok).last().unwrap_or(first);
    let last: u64 = last.parse().map_err(|_| format!("the writer said {last}"))?;
    let kept = count(folder)?;
    if before < last && (last..=last + 1).contains(&kept) {
        return Ok(());
    }
    Err(format!(
        "the writer began at {before} and said {last}, and the store holds {kept}"
    ))
}

/// Lets the writer run a random while.
fn spin() {
    let turns = RandomState::new().hash_one(0) % 500_000;
    (0..turns).for_each(|_| std::hint::spin_loop());
}
