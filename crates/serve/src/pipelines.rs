//! The pipelines of a directory: read, checked, and kept as they were when a newer text does not check.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use jiff::Timestamp;
use pipepost_core::{Failure, FailureKind, text};
use pipepost_state::runs::PinnedDocument;
use pipepost_suggest::shortened;
use serde_json::Value;

pub use self::places::{Place, Places};
use crate::host::{Answer, Order, Performed, PipelineHost, PreparedPipeline, Source, SourceFiles};
use crate::idempotency::ContentDigest;
use crate::trigger::{Trigger, TriggerProblem};

/// A pipeline that is served.
#[derive(Debug)]
pub struct ServedPipeline {
    /// Its name.
    pub name: String,
    /// Its file, relative to the directory.
    pub file: String,
    /// What starts it.
    pub trigger: Trigger,
    /// What performs it.
    pub prepared: Arc<dyn PreparedPipeline>,
    /// The document to which its runs are pinned.
    pub document: Arc<PinnedDocument>,
    /// The labels of the accounts that its steps use.
    pub accounts: BTreeSet<String>,
}

impl ServedPipeline {
    /// Returns whether its document has this major version, or says none.
    pub fn has_major(&self, version: &str) -> bool {
        let written = self.prepared.document().get("versionMajor").map(|major| match major {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        written.is_none_or(|written| written == version)
    }
}

/// What is wrong with a file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file, relative to the directory.
    pub file: String,
    /// The pipeline's name, as far as the document could be read.
    pub pipeline: String,
    /// Everything that keeps it from being served, each as a sentence.
    pub problems: Vec<String>,
    /// Whether an older text of it is being served.
    pub keeps_older: bool,
}

/// What the directory held at the last look.
#[derive(Debug, Default)]
pub struct Directory {
    /// By name.
    pub pipelines: BTreeMap<String, Arc<ServedPipeline>>,
    /// What is not served as it is written.
    pub problems: Vec<FileProblem>,
    /// The labels of the accounts that all of them use.
    pub accounts_of_all: BTreeSet<String>,
}

/// What a look at the directory changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The names of pipelines that are new or have another document.
    pub loaded: Vec<String>,
    /// The names of pipelines that are gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty() && self.removed.is_empty()
    }
}

/// The pipelines of a directory. Shared, and read by every request.
#[derive(Debug)]
pub struct Pipelines {
    folder: PathBuf,
    host: Arc<dyn PipelineHost>,
    current: RwLock<Arc<Directory>>,
    /// How the files looked when they were read. Held while they are read.
    seen: Mutex<Option<Seen>>,
}

/// Names, sizes and times of everything in the directory: a template is a file too.
type Seen = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Pipelines {
    /// Makes the pipelines of this directory. Nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>, host: Arc<dyn PipelineHost>) -> Self {
        Self {
            folder: folder.into(),
            host,
            current: RwLock::default(),
            seen: Mutex::default(),
        }
    }

    /// Returns the directory's path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what performs runs.
    pub fn host(&self) -> &Arc<dyn PipelineHost> {
        &self.host
    }

    /// Returns what the directory held at the last look.
    pub fn current(&self) -> Arc<Directory> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a pipeline by its name.
    pub fn get(&self, name: &str) -> Option<Arc<ServedPipeline>> {
        self.current().pipelines.get(name).cloned()
    }

    /// Reads the directory anew if something in it looks different. It reads files, so it may block.
    ///
    /// # Errors
    /// Fails when the directory cannot be read; then everything stays as it is.
    pub fn look(&self) -> Result<Changes, std::io::Error> {
        self.read(false)
    }

    /// Reads the directory anew. It reads files, so it may block.
    ///
    /// # Errors
    /// Fails when the directory cannot be read; then everything stays as it is.
    pub fn reload(&self) -> Result<Changes, std::io::Error> {
        self.read(true)
    }

    fn read(&self, always: bool) -> Result<Changes, std::io::Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = look_around(&self.folder)?;
        if !always && seen.as_ref() == Some(&found) {
            return Ok(Changes::default());
        }
        let older = self.current();
        let read = self.read_files(&found, &older);
        let changes = differences(&older, &read);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        *seen = Some(found);
        Ok(changes)
    }

    fn read_files(&self, found: &Seen, older: &Directory) -> Directory {
        let served: BTreeMap<&str, &Arc<ServedPipeline>> = older
            .pipelines
            .values()
            .map(|pipeline| (pipeline.file.as_str(), pipeline))
            .collect();
        let mut documents = Vec::new();
        for path in found.keys().filter(|path| is_document(path)) {
            let file = path.to_string_lossy().into_owned();
            let (name, result) = self.read_file(path, older);
            documents.push(ReadDocument {
                older: served.get(file.as_str()).copied().cloned(),
                file,
                name,
                result,
            });
        }
        give_places(&mut documents);
        let mut read = Directory::default();
        for document in documents {
            match (document.result, document.older) {
                (Ok(pipeline), _) => {
                    read.pipelines.insert(document.name, pipeline);
                }
                (Err(problems), older) => {
                    let kept = older.map(|older| self.prepared_again(&older));
                    read.problems.push(FileProblem {
                        file: document.file,
                        pipeline: document.name,
                        problems,
                        keeps_older: kept.as_ref().is_some_and(|(_, can_run)| *can_run),
                    });
                    if let Some((kept, _)) = kept {
                        read.pipelines.insert(kept.name.clone(), Arc::new(kept));
                    }
                }
            }
        }
        let mut accounts = read.pipelines.values().map(|pipeline| &pipeline.accounts);
        if let Some(first) = accounts.next().cloned() {
            read.accounts_of_all = accounts.fold(first, |common, accounts| &common & accounts);
        }
        read
    }

    /// A pipeline that is served as it was, on the host as it is now: an account that was changed is another one for it too, and
    /// nothing is sent with one that is gone. Returns whether it can run.
    fn prepared_again(&self, older: &ServedPipeline) -> (ServedPipeline, bool) {
        let prepared = self.host.prepare(&Source::pinned(&older.document));
        let can_run = prepared.is_ok();
        let prepared = prepared.unwrap_or_else(|problems| {
            Arc::new(Unprepared {
                document: older.prepared.document().clone(),
                files: older.prepared.files().clone(),
                accounts: older.accounts.clone(),
                problems,
            })
        });
        let again = ServedPipeline {
            name: older.name.clone(),
            file: older.file.clone(),
            trigger: older.trigger.clone(),
            document: Arc::clone(&older.document),
            accounts: prepared.accounts(),
            prepared,
        };
        (again, can_run)
    }

    /// Reads one document: its name, and what is served of it.
    fn read_file(&self, path: &Path, older: &Directory) -> (String, Result<Arc<ServedPipeline>, Vec<String>>) {
        let file = path.to_string_lossy().into_owned();
        let text = match read_text(&self.folder, path) {
            Ok(text) => text,
            Err(sentence) => return (stem(path), Err(vec![sentence])),
        };
        let source = Source {
            text,
            files: SourceFiles::Folder(self.folder.clone()),
        };
        let prepared = match self.host.prepare(&source) {
            Ok(prepared) => prepared,
            Err(problems) => return (stem(path), Err(problems)),
        };
        let name = served_name(prepared.document(), path);
        let document = pinned(&name, source.text, &*prepared);
        let accounts = prepared.accounts();
        if let Some(same) = older.pipelines.get(&name)
            && same.document.digest == document.digest
            && same.file == file
        {
            // The accounts may be other ones, so what performs it is new.
            let pipeline = ServedPipeline {
                name: name.clone(),
                file,
                trigger: same.trigger.clone(),
                prepared,
                document: Arc::clone(&same.document),
                accounts,
            };
            return (name, Ok(Arc::new(pipeline)));
        }
        let at = |pointer: &str| self.host.position(&document.text, pointer);
        let trigger = check_name(&name).map_err(|problem| vec![problem]).and_then(|()| {
            let trigger = Trigger::read(prepared.document(), Timestamp::now());
            trigger.map_err(|problems| {
                let shown = |problem: &TriggerProblem| problem.at(at(&problem.pointer()));
                problems.iter().map(shown).collect()
            })
        });
        let pipeline = trigger.map(|trigger| {
            Arc::new(ServedPipeline {
                name: name.clone(),
                file,
                trigger,
                prepared,
                document: Arc::new(document),
                accounts,
            })
        });
        (name, pipeline)
    }
}

/// A pipeline that could be prepared once and cannot now: its runs fail, and send nothing.
#[derive(Debug)]
struct Unprepared {
    document: Value,
    files: BTreeMap<String, String>,
    accounts: BTreeSet<String>,
    problems: Vec<String>,
}

impl PreparedPipeline for Unprepared {
    fn document(&self) -> &Value {
        &self.document
    }

    fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    fn accounts(&self) -> BTreeSet<String> {
        self.accounts.clone()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn doubts(&self) -> Vec<String> {
        Vec::new()
    }

    fn shown(&self, _: &Value) -> Value {
        // What is sensitive is not known.
        Value::Null
    }

    fn perform(&self, _: Order) -> Answer<'_, Performed> {
        let message = format!("The pipeline cannot run any more: {}", self.problems.join(" "));
        let failure = Failure::new(FailureKind::Configuration, message)
            .advise("Give it the accounts that it names, or mend its document.");
        Box::pin(std::future::ready(Performed::not_begun(&failure)))
    }
}

/// A document as it was read.
struct ReadDocument {
    file: String,
    name: String,
    /// What is served of it, or everything that keeps it from being served.
    result: Result<Arc<ServedPipeline>, Vec<String>>,
    /// What was served of the file before.
    older: Option<Arc<ServedPipeline>>,
}

/// Gives each document its places, or the problem that another one has them. What is served keeps them as long as its file asks
/// for them, or is served as it was: a document that comes later does not displace it, whatever its file is called. What is left
/// goes to the others in the order of their files.
fn give_places(documents: &mut [ReadDocument]) {
    let of = |pipeline: &ServedPipeline| Place::all_of(&pipeline.name, &pipeline.trigger);
    loop {
        let mut places = Places::default();
        for document in &*documents {
            let Some(older) = &document.older else { continue };
            let mut kept = of(older);
            if let Ok(newer) = &document.result {
                let asked_for = of(newer);
                kept.retain(|place| place.is_one_of(&asked_for));
            }
            // They were served together, so none of them has another one's place.
            let _ = places.take(&document.file, &kept);
        }
        let mut is_settled = true;
        for document in &mut *documents {
            let Ok(pipeline) = &document.result else { continue };
            if let Err(problems) = places.take(&document.file, &of(pipeline)) {
                document.result = Err(problems);
                // It is served as it was, which takes the places that it would have left.
                is_settled &= document.older.is_none();
            }
        }
        if is_settled {
            return;
        }
    }
}

/// A document with the files that it names, and the digest of all that.
fn pinned(name: &str, text: String, prepared: &dyn PreparedPipeline) -> PinnedDocument {
    let files = serde_json::to_string(prepared.files()).unwrap_or_default();
    let digest = ContentDigest::of_parts(&[name.as_bytes(), text.as_bytes(), files.as_bytes()]);
    PinnedDocument {
        digest: format!("sha256:{}", hexadecimal(digest.as_bytes())),
        pipeline: name.to_owned(),
        text,
        files,
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the name under which a document is served: its own, or its file's without the ending.
pub fn served_name(document: &Value, file: &Path) -> String {
    let own = document.get("name").and_then(Value::as_str).map(str::trim);
    own.filter(|name| !name.is_empty())
        .map_or_else(|| stem(file), str::to_owned)
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Checks the name under which a document is served: it is a part of a path and a label of metrics.
///
/// # Errors
/// Fails with a sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    let wrong = |clause: &str| Err(format!("The pipeline's name `{}` {clause}.", shortened(name)));
    if name.len() > 200 {
        return wrong("is longer than 200 bytes");
    }
    match name
        .chars()
        .find(|character| *character == '/' || character.is_control())
    {
        Some('/') => wrong("has a `/` in it; choose another `name`"),
        Some(_) => wrong("has a control character in it; choose another `name`"),
        None => Ok(()),
    }
}

/// Reads a document of the directory.
fn read_text(folder: &Path, path: &Path) -> Result<String, String> {
    let (whole, file) = (folder.join(path), path.display());
    match fs::read(&whole) {
        Ok(octets) => text::decoded(octets).map_err(|error| format!("`{file}` {error}.")),
        Err(error) if error.kind() == ErrorKind::NotFound && whole.is_symlink() => {
            Err(format!("`{file}` is a link to something that is not there."))
        }
        Err(error) => Err(format!("`{file}` cannot be read: {error}.")),
    }
}

/// Returns the names of the documents in a directory, in their order.
///
/// # Errors
/// Fails when the directory cannot be read.
pub fn documents(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let found = look_around(folder)?;
    Ok(found.into_keys().filter(|path| is_document(path)).collect())
}

fn is_document(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    // Templates may lie in folders; documents lie in the directory itself.
    !is_hidden && path.components().count() == 1 && path.extension().is_some_and(|extension| extension == "json")
}

/// Everything in the directory, with what tells whether it changed.
fn look_around(folder: &Path) -> Result<Seen, std::io::Error> {
    /// A directory of pipelines is no file system.
    const ENTRIES_MAX: usize = 10_000;
    let mut seen = Seen::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&below)) {
            Ok(entries) => entries,
            Err(error) if below.as_os_str().is_empty() => return Err(error),
            // It may be gone again, or somebody else's.
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let path = below.join(entry.file_name());
            // What a link leads to counts: a mounted volume's files are links.
            let Ok(about) = fs::metadata(folder.join(&path)) else {
                // A document that cannot be reached, such as a link to nothing, is one that cannot be read; what went away since
                // the directory was listed is none.
                if is_document(&path) && is_there(&folder.join(&path)) && seen.len() < ENTRIES_MAX {
                    seen.insert(path, (0, None));
                }
                continue;
            };
            if about.is_dir() {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if !is_link && seen.len() < ENTRIES_MAX {
                    folders.push(path);
                }
            } else if about.is_file() && seen.len() < ENTRIES_MAX {
                // Whoever opens a pipe waits for its other end.
                seen.insert(path, (about.len(), about.modified().ok()));
            }
        }
    }
    Ok(seen)
}

fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
}

fn differences(older: &Directory, newer: &Directory) -> Changes {
    let digest = |directory: &Directory, name: &String| {
        let pipeline = directory.pipelines.get(name)?;
        Some(pipeline.document.digest.clone())
    };
    Changes {
        loaded: newer
            .pipelines
            .keys()
            .filter(|name| digest(older, name) != digest(newer, name))
            .cloned()
            .collect(),
        removed: older
            .pipelines
            .keys()
            .filter(|name| !newer.pipelines.contains_key(*name))
            .cloned()
            .collect(),
    }
}
