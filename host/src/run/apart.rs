//! The results of a mail merge, apart from its output: as text, in memory while they are few and in a file when they are many.
//!
//! As values they take many times the size of their text, and whoever only writes them somewhere needs one of them at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError};

use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Beyond so much text, in octets, they are in a file.
const IN_MEMORY_MAX: usize = 4 << 20;

/// How much is written to the file, and read of it, at a time, in octets.
const AT_ONCE: usize = 256 * 1024;

/// The member of the output that holds the results.
pub(super) const MEMBER: &str = "results";

/// The results of a mail merge, in the order of its elements. They are written where they are serialized, as an array, and one
/// at a time is in memory.
///
/// Many are in a temporary file without a name, which ends with this value.
pub struct MergeResults {
    /// What is not in the file.
    text: Vec<u8>,
    file: Option<Mutex<File>>,
    /// How much is in the file, in octets.
    written: u64,
    /// Where the result of each element is, and how long it is, in octets; none for an element without one.
    places: Vec<Option<(u64, u32)>>,
}

impl fmt::Debug for MergeResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeResults").field("len", &self.len()).finish()
    }
}

impl MergeResults {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            file: None,
            written: 0,
            places: Vec::new(),
        }
    }

    /// Returns how many results there are.
    pub fn len(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the result of the element at this place.
    ///
    /// # Errors
    /// Fails if the file cannot be made or written.
    pub(super) fn add(&mut self, index: usize, result: &Value) -> io::Result<()> {
        let start = self.text.len();
        serde_json::to_writer(&mut self.text, result)?;
        let length = u32::try_from(self.text.len() - start).map_err(io::Error::other)?;
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = Some((self.written + start as u64, length));
        let most = if self.file.is_some() { AT_ONCE } else { IN_MEMORY_MAX };
        if self.text.len() < most {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(Mutex::new(tempfile::tempfile()?));
        }
        if let Some(file) = &mut self.file {
            let file = file.get_mut().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&self.text)?;
            self.written += self.text.len() as u64;
            self.text.clear();
            self.text.shrink_to(AT_ONCE);
        }
        Ok(())
    }

    /// Calls `each` with every result in the order of the elements, until it fails.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or with what `each` returns.
    fn each(&self, mut each: impl FnMut(&Value) -> io::Result<()>) -> io::Result<()> {
        let guard = self
            .file
            .as_ref()
            .map(|file| file.lock().unwrap_or_else(PoisonError::into_inner));
        let mut file = match &guard {
            None => None,
            Some(file) => {
                (&**file).seek(SeekFrom::Start(0))?;
                Some(BufReader::with_capacity(AT_ONCE, &**file))
            }
        };
        let (mut at, mut text) = (0, Vec::new());
        for (start, length) in self.places.iter().flatten() {
            let own = match start.checked_sub(self.written) {
                Some(start) => {
                    let start = usize::try_from(start).unwrap_or(usize::MAX);
                    self.text.get(start..).and_then(|text| text.get(..*length as usize))
                }
                None => {
                    text.resize(*length as usize, 0);
                    if let Some(file) = &mut file {
                        // Those of one batch follow each other: nearly always it is in the buffer.
                        let ahead = i64::try_from(*start).unwrap_or(i64::MAX) - i64::try_from(at).unwrap_or(i64::MAX);
                        file.seek_relative(ahead)?;
                        file.read_exact(&mut text)?;
                        at = start + u64::from(*length);
                    }
                    Some(text.as_slice())
                }
            };
            let result: Value = serde_json::from_slice(own.unwrap_or_default())?;
            each(&result)?;
        }
        Ok(())
    }
}

impl Serialize for MergeResults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.len()))?;
        let mut failed = None;
        let read = self.each(|result| {
            sequence.serialize_element(result).map_err(|error| {
                failed = Some(error);
                io::Error::other("the results cannot be written")
            })
        });
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(S::Error::custom(format!("the results cannot be read again: {error}"))),
            (None, Ok(())) => sequence.end(),
        }
    }
}

/// An output, or an error object, with the results that are apart from it, as they are written where they are not.
pub(super) struct Whole<'w> {
    pub(super) object: &'w Value,
    pub(super) results: Option<&'w MergeResults>,
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Value::Object(members), Some(results)) = (self.object, self.results) else {
            return self.object.serialize(serializer);
        };
        let mut map = serializer.serialize_map(Some(members.len() + 1))?;
        for (name, member) in members {
            map.serialize_entry(name, member)?;
        }
        map.serialize_entry(MEMBER, results)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results(count: usize, text: usize) -> (MergeResults, Vec<Value>) {
        let all: Vec<Value> = (0..count)
            .map(|n| json!({ "n": n, "text": "é\"".repeat(text) }))
            .collect();
        let mut results = MergeResults::new();
        // Batches end in any order.
        for batch in [1, 0, 3, 2] {
            let from = batch * count / 4;
            for (index, result) in all.iter().enumerate().take((batch + 1) * count / 4).skip(from) {
                results.add(index, result).expect("written");
            }
        }
        (results, all)
    }

    #[test]
    fn they_come_in_the_elements_order_from_memory_and_from_a_file() {
        for (count, text) in [(0, 0), (10, 3), (15_000, 100)] {
            let (results, all) = results(count, text);
            assert_eq!(results.file.is_some(), count > 10);
            assert!(results.text.capacity() <= 2 * IN_MEMORY_MAX);
            let written = serde_json::to_string(&results).expect("JSON");
            assert!(written == serde_json::to_string(&all).expect("JSON"), "{count}");
            assert!(
                written == serde_json::to_string(&results).expect("JSON"),
                "a second time"
            );
        }
    }

    #[test]
    fn the_whole_is_laid_out_as_if_they_were_in_it() {
        let (results, all) = results(8, 2);
        let object = json!({ "total": 8, "success": true });
        let mut expected = object.clone();
        expected[MEMBER] = Value::Array(all);
        let whole = Whole {
            object: &object,
            results: Some(&results),
        };
        assert_eq!(
            serde_json::to_string_pretty(&whole).expect("JSON"),
            serde_json::to_string_pretty(&expected).expect("JSON")
        );
        let whole = Whole {
            object: &expected,
            results: None,
        };
        assert_eq!(serde_json::to_value(&whole).expect("JSON"), expected);
    }

    #[test]
    fn an_element_without_a_result_has_none_in_the_list() {
        let mut results = MergeResults::new();
        results.add(3, &json!(3)).expect("written");
        results.add(1, &json!(1)).expect("written");
        assert_eq!(serde_json::to_string(&results).expect("JSON"), "[1,3]");
        assert_eq!((results.len(), results.is_empty()), (2, false));
    }
}
