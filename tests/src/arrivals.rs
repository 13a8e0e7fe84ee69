//! The place where a mail server's messages end: a program that the server delivers with keeps each of them, and tells of
//! it on a named pipe.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Message;
use crate::lines::Lines;

/// Its last words, after which no more arrivals are read.
const GOODBYE: &str = "goodbye";

/// What a server delivers with. The envelope is written after the content and before the arrival is told.
const DELIVER: &str = r#"#!/bin/sh
set -eu
mail=$1 arrivals=$2 id=$3
shift 3
# Exim puts no address of a client into a command, but into the environment.
if [ "$1" = - ]; then
    shift
    set -- "$SENDER" "$@"
fi
cat > "$mail/$id.eml"
printf '%s\n' "$@" > "$mail/$id.envelope"
printf '%s\n' "$id" > "$arrivals"
"#;

/// What a server has delivered.
pub(crate) struct Arrivals {
    told: Lines,
    /// Keeps the way open that arrivals are told on, and says goodbye on it.
    announce: fs::File,
    folder: PathBuf,
}

impl Arrivals {
    /// Makes the program, the pipe and the place, beneath a server's own folder, for the user as whom the server delivers.
    pub(crate) fn in_folder(folder: &Path, user: &str) -> Self {
        let (mail, way, deliver) = (folder.join("mail"), folder.join("arrivals"), folder.join("deliver"));
        fs::create_dir_all(&mail).expect("a writable folder");
        fs::write(&deliver, DELIVER).expect("a writable folder");
        fs::set_permissions(&deliver, fs::Permissions::from_mode(0o755)).expect("a file of our own");
        run(Command::new("mkfifo").arg(&way));
        run(Command::new("chown").arg(user).args([&mail, &way]));
        // Open for both ways: so there is never an end of it, and never a wait for the other side.
        let announce = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(way)
            .expect("the way was just made");
        Self {
            told: Lines::until(announce.try_clone().expect("a second handle"), GOODBYE),
            announce,
            folder: folder.to_owned(),
        }
    }

    /// The command line that a server delivers with, before the message's name, its sender (`-`: the variable `SENDER`) and
    /// its recipients.
    pub(crate) fn command(folder: &Path) -> String {
        let folder = folder.display();
        format!("{folder}/deliver {folder}/mail {folder}/arrivals")
    }

    /// The next message and its name, waited for; none once the server has ended.
    pub(crate) fn next(&self) -> Option<(String, Message)> {
        let id = self.told.next()?;
        let mail = self.folder.join("mail");
        let envelope =
            String::from_utf8(Message::read(&mail.join(format!("{id}.envelope")))).expect("the script writes text");
        let mut lines = envelope.lines().map(str::to_owned);
        let message = Message {
            sender: lines.next().unwrap_or_default(),
            recipients: lines.collect(),
            user: None,
            eml: Message::read(&mail.join(format!("{id}.eml"))),
        };
        Some((id, message))
    }

    /// Ends the waiting.
    pub(crate) fn end(&mut self) {
        let _ = writeln!(self.announce, "{GOODBYE}");
    }
}

pub(crate) fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?}"
    );
}

/// A program of the search path, or of where Debian keeps those for root.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Checks whether this process is root's, who alone may start a mail server.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
