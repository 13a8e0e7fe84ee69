//! What a container gives: a root that nobody can write, no certificates, no home, and a `/tmp`. Made here without a
//! container runtime, which a machine that runs tests need not have.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipepost_tests::{Scratch, binary};
use serde_json::json;

use super::{account, inbox};

/// In a mount namespace of its own: the folder `$1` becomes a root that cannot be written, with a `/tmp`, and what
/// follows runs in it as nobody, with nothing of the caller's environment.
const ENTER: &str = r#"
mount --bind "$1" "$1"
mount -t tmpfs tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
folder=$1
shift
exec env -i PATH="$PATH" PIPEPOST_CACHE= chroot --userspec=65532:65532 "$folder" "$@"
"#;

fn enter(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = namespace(ENTER);
    command.arg(folder).args(arguments);
    command
}

fn namespace(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-eu",
        "-c",
        script,
        "enter",
    ]);
    command
}

#[test]
fn with_a_root_that_nobody_can_write_it_sends_as_nobody() {
    let may = namespace("mount -t tmpfs tmpfs /tmp && chroot / true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        // Not `eprintln!`, which the test runner keeps to itself when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the container: only root, with unshare and chroot, can make its root here"
        );
        return;
    }

    let scratch = Scratch::new();
    let folder = image(&scratch);
    let inbox = inbox(&scratch);
    let mut account = account(&scratch);
    let password = account["password"].as_str().expect("text").to_owned();
    write(&folder, "run/secrets/smtp-password", &format!("{password}\n"));
    account["password"] = json!("${file:/run/secrets/smtp-password}");
    write(&folder, "report/accounts.json", &account.to_string());
    account.as_object_mut().expect("an object").shift_remove("ca_file");
    write(&folder, "report/strangers.json", &account.to_string());
    for (name, from) in [("ca.pem", "caught/ca.pem"), ("report.json", "pipeline.json")] {
        let text = fs::read_to_string(scratch.folder().join(from)).expect("it was written");
        write(&folder, &format!("report/{name}"), &text);
    }

    let run = [
        "/usr/local/bin/pipepost",
        "run",
        "-v",
        "/report/report.json",
        "--accounts",
        "/report/accounts.json",
    ];
    let output = enter(&folder, &run).output().expect("it ran before");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    let sent: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(sent["outcome"], "sent", "{stdout}{stderr}");
    assert!(
        !stdout.contains(&password) && !stderr.contains(&password),
        "{stdout}{stderr}"
    );

    // Whom the account's own authorities do not answer for, the built-in set has to: it does not know this server.
    let strangers = [&run[..5], &["/report/strangers.json"]].concat();
    let output = enter(&folder, &strangers).output().expect("it ran before");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("the built-in set is used"), "{stderr}");

    // What it would write down has no place there, and it says so before anything is sent.
    let named = [&run[..], &["--execution", "report-1", "--state", "/var/lib/pipepost"]].concat();
    let output = enter(&folder, &named).output().expect("it ran before");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(
        stderr.contains("The state in `/var/lib/pipepost` cannot be used"),
        "{stderr}"
    );
    inbox.interrupt().with_code(0).says(&["1 messages caught"]);
}

/// The binary, what it is linked with, and nothing else.
fn image(scratch: &Scratch) -> PathBuf {
    let folder = scratch.folder().join("image");
    for name in ["tmp", "report", "run/secrets"] {
        fs::create_dir_all(folder.join(name)).expect("a writable folder");
    }
    let needs = Command::new("ldd").arg(binary()).output();
    let needs = needs.map(|output| text(&output.stdout)).unwrap_or_default();
    let libraries = needs.split_whitespace().filter(|word| word.starts_with('/'));
    for library in libraries.map(Path::new) {
        copy(library, &folder.join(library.strip_prefix("/").expect("it begins so")));
    }
    copy(&binary(), &folder.join("usr/local/bin/pipepost"));
    // As an image's files are: for everybody to read.
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(&folder).status();
    assert!(opened.is_ok_and(|status| status.success()), "the folder is ours");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder above")).expect("a writable folder");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A file of the image that everybody can read.
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("a writable folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a file of our own");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
