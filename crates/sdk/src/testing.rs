//! A run in memory, so that a connector's own tests need neither a host nor WebAssembly.
//!
//! In native builds the helpers of this crate work on the [`Run`] that is being tested instead of on a host: the clock
//! does not move, random numbers are counted up, and files are kept in memory. This module is only for tests of
//! connectors, and is not part of a component. A host checks the parameters against the connector's schema first; this
//! module does not.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::each::{describe_each, perform_one};
use crate::{Call, Each, Failure, Level, Manifest};

thread_local! {
    static CURRENT: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// The files and the log of one run, in memory.
///
/// ```
/// # use pipepost_sdk::{Call, Each, Failure, NewFileWriter, schemars, testing::Run};
/// # use serde_json::json;
/// # struct Connector;
/// # impl Each for Connector {
/// #     const NAME: &'static str = "hello";
/// #     const VERSION: &'static str = "1.0.0";
/// #     const SUMMARY: &'static str = "Greets.";
/// #     type Parameters = serde_json::Value;
/// #     type Output = serde_json::Value;
/// #     fn call(call: &Call, _: serde_json::Value) -> Result<serde_json::Value, Failure> {
/// #         NewFileWriter::create(call, "card.txt")?.finish()?;
/// #         Ok(json!({"success": true}))
/// #     }
/// # }
/// let mut run = Run::new();
/// let output = run.perform::<Connector>(&json!({"name": "Ada"}))?;
/// assert_eq!(output["success"], true);
/// assert!(run.file("card.txt").is_some());
/// # Ok::<(), Failure>(())
/// ```
#[derive(Debug, Default)]
pub struct Run {
    files: BTreeMap<String, Vec<u8>>,
    log: Vec<(Level, String)>,
    chance: u64,
}

impl Run {
    /// Creates a run without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file into the run's directory.
    #[must_use]
    pub fn with_file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), content.into());
        self
    }

    /// Returns the content of a file of the run.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Returns what was logged.
    pub fn log(&self) -> &[(Level, String)] {
        &self.log
    }

    /// Performs one call of a connector with these parameters.
    ///
    /// # Errors
    /// The failure that the call is settled with.
    pub fn perform<T: Each>(&mut self, parameters: &Value) -> Result<Value, Failure> {
        self.perform_text::<T>(&parameters.to_string())
    }

    /// Performs one call with the parameters as JSON text, in which members keep their order and numbers keep their
    /// digits.
    ///
    /// # Errors
    /// The failure that the call is settled with.
    pub fn perform_text<T: Each>(&mut self, parameters: &str) -> Result<Value, Failure> {
        let call = call(parameters);
        let output = self.within(|| perform_one::<T>(&call))?;
        serde_json::from_str(&output).map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Runs `work`, which may call this crate's helpers: they work on this run.
    ///
    /// # Panics
    /// When `work` itself calls `within`.
    pub fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "a run is being tested within another one");
            *current = Some(std::mem::take(self));
        });
        let result = work();
        *self = CURRENT.take().unwrap_or_default();
        result
    }
}

/// Returns the connector's manifest.
pub fn describe<T: Each>() -> Manifest {
    describe_each::<T>()
}

/// Creates a first call with these parameters.
pub fn call(parameters: impl Into<String>) -> Call {
    Call {
        id: 0,
        key: "test/start#0".to_owned(),
        attempt: 1,
        parameters: parameters.into(),
        remainder: None,
    }
}

/// The host's functions that the comforts call, under the contract's names.
pub(crate) mod imports {
    use super::{CURRENT, Run};

    fn on_run<R>(act: impl FnOnce(&mut Run) -> R) -> R {
        CURRENT.with_borrow_mut(|current| match current {
            Some(run) => act(run),
            None => panic!("outside WebAssembly the host's functions answer within testing::Run alone"),
        })
    }

    pub(crate) mod files {
        use super::on_run;
        use crate::FileError;

        pub(crate) struct File(Vec<u8>);

        pub(crate) fn open(_call: u32, name: &str) -> Result<File, FileError> {
            let name = super::inside(name)?;
            on_run(|run| run.files.get(name).cloned())
                .map(File)
                .ok_or(FileError::NotFound)
        }

        impl File {
            pub(crate) fn size(&self) -> u64 {
                self.0.len() as u64
            }

            pub(crate) fn read(&self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
                let to = from.saturating_add(max as usize).min(self.0.len());
                Ok(self.0[from..to].to_vec())
            }
        }
    }

    pub(crate) mod new_files {
        use std::cell::RefCell;

        use super::on_run;
        use crate::FileError;

        pub(crate) struct NewFile {
            name: String,
            content: RefCell<Vec<u8>>,
        }

        pub(crate) fn create(_call: u32, name: &str) -> Result<NewFile, FileError> {
            Ok(NewFile {
                name: super::inside(name)?.to_owned(),
                content: RefCell::default(),
            })
        }

        impl NewFile {
            pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), FileError> {
                self.content.borrow_mut().extend_from_slice(bytes);
                Ok(())
            }

            pub(crate) fn finish(file: Self) -> Result<(), FileError> {
                on_run(|run| run.files.insert(file.name, file.content.into_inner()));
                Ok(())
            }
        }
    }

    /// A name that does not leave the run's directory.
    fn inside(name: &str) -> Result<&str, crate::FileError> {
        let leads_out = name.is_empty() || name.starts_with('/') || name.contains(['\\', '\0']);
        if leads_out || name.split('/').any(|part| part == "..") {
            return Err(crate::FileError::NotAllowed);
        }
        Ok(name)
    }

    pub(crate) mod log {
        pub(crate) fn write(level: crate::Level, _call: Option<u32>, message: &str) {
            super::on_run(|run| run.log.push((level, message.to_owned())));
        }
    }

    pub(crate) mod wall_clock {
        pub(crate) struct Datetime {
            pub(crate) seconds: u64,
            pub(crate) nanoseconds: u32,
        }

        /// The first second of 2026.
        pub(crate) fn now() -> Datetime {
            Datetime {
                seconds: 1_767_225_600,
                nanoseconds: 0,
            }
        }
    }

    pub(crate) mod random {
        pub(crate) fn get_random_u64() -> u64 {
            super::on_run(|run| {
                run.chance += 1;
                run.chance
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureKind, NewFileWriter, RunFileReader};

    #[test]
    fn no_name_leads_out() {
        Run::new().within(|| {
            for name in ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0"] {
                let failure = NewFileWriter::create(&call("{}"), name).err().expect("refused");
                assert_eq!(failure.kind, FailureKind::Invalid, "{name:?}");
                assert!(RunFileReader::open(&call("{}"), name).is_err(), "{name:?}");
            }
        });
    }

    #[test]
    fn clock_chance_and_log_are_the_runs() {
        let mut run = Run::new();
        let (now, first, second) = run.within(|| {
            crate::log(Level::Warn, None, "beware");
            (crate::now(), crate::random(), crate::random())
        });
        assert_eq!((now.as_secs(), first, second), (1_767_225_600, 1, 2));
        assert_eq!(run.log(), [(Level::Warn, "beware".to_owned())]);
    }
}
