//! The knowledge of a ledger, in memory. The rules are here, shared by every ledger.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{ClaimError, Decision, Entry, Known, Message, Part, PartEntry, PartOutcome, Recorded, SettleError, State};
use crate::clock::{Clock, SystemClock, seconds};
use crate::store::Redact;

/// The messages of one execution, by key.
#[derive(Debug)]
pub struct LedgerState {
    messages: HashMap<String, MessageEntry>,
    clock: Arc<dyn Clock>,
    redact: Redact,
}

impl Default for LedgerState {
    fn default() -> Self {
        Self::with(HashMap::new(), Arc::new(SystemClock), Redact::nothing())
    }
}

/// The knowledge about one message.
#[derive(Debug, Clone, Default)]
pub struct MessageEntry {
    /// The digest of the resolved parameters.
    pub digest: String,
    /// The transactions that were claimed and are not known to be uncommitted.
    pub parts: BTreeMap<u32, PartState>,
    /// The output that came with the part which completed the message, as JSON.
    pub completed: Option<String>,
    /// The way the message ended, if that was recorded.
    pub ended: Option<Recorded>,
    /// What is left to do of a message that is to be sent again, as JSON.
    pub left: Option<String>,
    /// Whether a store has written it down as ended with the part that completed it.
    pub completion_is_kept: bool,
    /// The output that is reported while it is not known how the message ended, as JSON.
    pub in_doubt: Option<String>,
    /// Whether `in_doubt` is not written down yet. The next claim writes it.
    pub in_doubt_is_new: bool,
    /// Whether a person decided how the message ended.
    pub decided: bool,
    /// The time of its last change, in seconds since the Unix epoch.
    pub changed: i64,
    /// Whether the message was uncertain and is to be sent again, and no claim has recorded that yet.
    pub reopened: bool,
    /// The state before it was reopened. Without a claim, the next owner finds the message in this state.
    pub before: Option<Box<BeforeReopening>>,
}

/// The knowledge about a message before it was reopened to be sent again.
pub type BeforeReopening = (BTreeMap<u32, PartState>, Option<Recorded>);

/// The state of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    /// Its bytes may have left. After a crash nobody can tell whether they did.
    Claimed,
    /// The other side confirmed it.
    Confirmed,
    /// It is not known whether the other side took it.
    Uncertain,
}

impl PartState {
    /// Returns the name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Confirmed => "confirmed",
            Self::Uncertain => "uncertain",
        }
    }

    /// Reads a name. An unknown name is read as uncertain.
    pub fn from_name(name: &str) -> Self {
        match name {
            "claimed" => Self::Claimed,
            "confirmed" => Self::Confirmed,
            _ => Self::Uncertain,
        }
    }
}

/// The changes that a claim makes to what is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The parts.
    pub parts: Vec<Part>,
    /// The digests of the parts' messages, in the order of the parts.
    pub digests: Vec<String>,
    /// The output to report for each part's message while its end is not known, if it is not written down yet.
    pub in_doubt: Vec<Option<String>>,
    /// Messages whose uncertain parts no longer count.
    pub reopened: Vec<String>,
}

impl LedgerState {
    /// Makes a state from what an earlier owner left. What that owner had claimed and not settled is uncertain.
    pub fn with(messages: HashMap<String, MessageEntry>, clock: Arc<dyn Clock>, redact: Redact) -> Self {
        let mut state = Self {
            messages,
            clock,
            redact,
        };
        state.take_over();
        state
    }

    /// Returns whether anything is known of a message, or was asked of it.
    pub fn knows(&self, key: &str) -> bool {
        self.messages.contains_key(key)
    }

    /// Returns how many messages are in memory.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether no message is in memory.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes in what an earlier owner left of some messages, unless more is known of them already.
    pub fn take_in(&mut self, messages: impl IntoIterator<Item = (String, MessageEntry)>) {
        for (key, entry) in messages {
            self.messages.entry(key).or_insert(entry);
        }
    }

    /// Forgets these messages, unless they are still open.
    pub fn let_go(&mut self, keys: &[String]) {
        for key in keys {
            let is_open = |entry: &MessageEntry| {
                entry.ended.is_none() && entry.parts.values().any(|part| *part == PartState::Claimed)
            };
            if !self.messages.get(key).is_some_and(is_open) {
                self.messages.remove(key);
            }
        }
    }

    /// Makes what is claimed uncertain: its owner is gone.
    fn take_over(&mut self) {
        for entry in self.messages.values_mut() {
            if let Some(before) = entry.before.take() {
                (entry.parts, entry.ended) = *before;
                (entry.left, entry.reopened) = (None, false);
            }
            for part in entry.parts.values_mut().filter(|part| **part == PartState::Claimed) {
                *part = PartState::Uncertain;
            }
        }
    }

    /// Hands the messages to the next owner, as they may be kept.
    pub(crate) fn hand_over(&mut self, redact: Option<Redact>) {
        self.take_over();
        for entry in self.messages.values_mut() {
            entry.redact(&self.redact);
        }
        if let Some(redact) = redact {
            self.redact = redact;
        }
    }

    /// Records the messages that were confirmed completely but not recorded, and returns what was recorded.
    pub fn record_completed(&mut self) -> Vec<(String, String, Recorded)> {
        let open = self.messages.iter().filter(|(_, entry)| entry.ended.is_none());
        let ended = open.filter_map(|(key, entry)| Some((key.clone(), entry.ended()?)));
        let completed: Vec<(String, Recorded)> = ended.filter(|(_, ended)| !ended.uncertain).collect();
        completed
            .into_iter()
            .map(|(key, recorded)| {
                let digest = self.record(&key, recorded.clone());
                (key, digest, recorded)
            })
            .collect()
    }

    /// Returns what is known of a message. If nothing is known, the message is to be sent.
    pub fn look_up(&mut self, message: &Message) -> Known {
        let entry = self.messages.entry(message.key.clone()).or_default();
        let ended = entry.ended();
        if entry.parts.is_empty() && ended.is_none() {
            message.digest.clone_into(&mut entry.digest);
            return entry.left.clone().map_or(Known::Nothing, Known::Left);
        }
        if entry.digest != message.digest {
            return Known::OtherContent;
        }
        match ended {
            Some(ended) if ended.uncertain && message.resend => match entry.reopen() {
                Some(known) => known,
                None => Known::Ended(ended),
            },
            Some(ended) => Known::Ended(ended),
            None => entry.left.clone().map_or(Known::Nothing, Known::Left),
        }
    }

    /// Notes what to report about a message while its end is not known.
    pub fn in_doubt(&mut self, key: &str, output: &str) {
        let entry = self.messages.entry(key.to_owned()).or_default();
        entry.in_doubt = Some(self.redact.apply(output));
        entry.in_doubt_is_new = true;
    }

    /// Claims all parts or none.
    ///
    /// # Errors
    /// Fails with [`ClaimError::Claimed`] when one of them is already claimed, or is named twice.
    pub fn claim(&mut self, parts: Vec<Part>) -> Result<Claim, ClaimError> {
        let now = seconds(self.clock.now());
        let mut named = HashSet::with_capacity(parts.len());
        for part in &parts {
            let entry = self.messages.get(&part.key);
            let is_taken = entry.is_some_and(|entry| entry.parts.contains_key(&part.number));
            if is_taken || !named.insert(part) {
                return Err(ClaimError::Claimed);
            }
        }
        let mut claim = Claim {
            digests: Vec::with_capacity(parts.len()),
            in_doubt: Vec::with_capacity(parts.len()),
            reopened: Vec::new(),
            parts,
        };
        for part in &claim.parts {
            let entry = self.messages.entry(part.key.clone()).or_default();
            let before = entry.parts.insert(part.number, PartState::Claimed);
            debug_assert_eq!(before, None, "{part:?} was claimed twice");
            // From here on it no longer tells what is left.
            entry.left = None;
            entry.before = None;
            entry.decided = false;
            entry.completion_is_kept = false;
            entry.changed = now;
            claim.digests.push(entry.digest.clone());
            let is_new = std::mem::take(&mut entry.in_doubt_is_new);
            claim.in_doubt.push(entry.in_doubt.clone().filter(|_| is_new));
            if std::mem::take(&mut entry.reopened) {
                claim.reopened.push(part.key.clone());
            }
        }
        Ok(claim)
    }

    /// Takes back a claim that could not be written down.
    pub fn unclaim(&mut self, claim: &Claim) {
        for (part, in_doubt) in claim.parts.iter().zip(&claim.in_doubt) {
            if let Some(entry) = self.messages.get_mut(&part.key) {
                let before = entry.parts.remove(&part.number);
                debug_assert_ne!(
                    before,
                    Some(PartState::Confirmed),
                    "{part:?} was confirmed before it was claimed"
                );
                entry.reopened |= claim.reopened.contains(&part.key);
                entry.in_doubt_is_new |= in_doubt.is_some();
            }
        }
    }

    /// Notes how a part ended.
    pub fn settle(&mut self, part: &Part, outcome: PartOutcome) {
        let now = seconds(self.clock.now());
        let entry = self.messages.entry(part.key.clone()).or_default();
        entry.changed = now;
        match outcome {
            PartOutcome::NotCommitted => {
                let before = entry.parts.remove(&part.number);
                debug_assert_ne!(
                    before,
                    Some(PartState::Confirmed),
                    "{part:?} was confirmed, and may not be sent again"
                );
            }
            PartOutcome::Uncertain => {
                entry.parts.insert(part.number, PartState::Uncertain);
            }
            PartOutcome::Confirmed(output) => {
                entry.parts.insert(part.number, PartState::Confirmed);
                entry.completed = output.or(entry.completed.take());
            }
        }
    }

    /// Returns how a message ended with the part that was confirmed last, and its digest, for a store that writes both at
    /// once: what is recorded afterwards is mostly the same. None where this part did not end it.
    pub fn completion(&mut self, key: &str) -> Option<(String, Recorded)> {
        let entry = self.messages.get_mut(key).filter(|entry| entry.ended.is_none())?;
        let ended = entry.ended().filter(|ended| !ended.uncertain)?;
        entry.completion_is_kept = true;
        Some((entry.digest.clone(), ended))
    }

    /// Returns whether a store has written down that a message ended so, as [`LedgerState::completion`] told it.
    pub fn is_kept(&self, key: &str, recorded: &Recorded) -> bool {
        let Some(entry) = self.messages.get(key).filter(|entry| entry.completion_is_kept) else {
            return false;
        };
        entry.ended.is_none() && entry.is_completed_as(recorded)
    }

    /// Notes how a message ended, and returns the digest of what was recorded.
    pub fn record(&mut self, key: &str, recorded: Recorded) -> String {
        let now = seconds(self.clock.now());
        let entry = self.messages.entry(key.to_owned()).or_default();
        entry.ended = Some(recorded);
        entry.changed = now;
        entry.digest.clone()
    }

    /// Returns the output of a recorded outcome as it may be written down.
    pub fn as_kept(&self, output: &str) -> String {
        self.redact.apply(output)
    }

    /// Returns the messages of which something is known, as a person sees them, by key.
    pub(crate) fn entries(&self, execution: &str, is_running: bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .messages
            .iter()
            .filter(|(_, entry)| entry.is_known())
            .map(|(key, entry)| {
                let mut entry = entry.clone();
                entry.redact(&self.redact);
                entry.shown(key, execution, is_running)
            })
            .collect();
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries
    }

    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut MessageEntry> {
        self.messages.get_mut(key).filter(|entry| entry.is_known())
    }

    /// Returns whether every message is known to be sent, and was so before this moment, in seconds.
    pub(crate) fn is_forgettable(&self, before: i64) -> bool {
        let mut known = self.messages.values().filter(|entry| entry.is_known());
        known.all(|entry| entry.ended.as_ref().is_some_and(|ended| !ended.uncertain) && entry.changed < before)
    }
}

impl MessageEntry {
    /// Returns whether anything is known that a store has to keep.
    fn is_known(&self) -> bool {
        !self.parts.is_empty() || self.ended.is_some() || self.decided
    }

    fn redact(&mut self, redact: &Redact) {
        if let Some(ended) = &mut self.ended {
            ended.output = redact.apply(&ended.output);
        }
        if let Some(completed) = &mut self.completed {
            *completed = redact.apply(completed);
        }
    }

    /// Returns how it ended, as far as that can be told now.
    fn ended(&self) -> Option<Recorded> {
        if let Some(ended) = &self.ended {
            return Some(ended.clone());
        }
        let all_confirmed = self.parts.values().all(|state| *state == PartState::Confirmed);
        match &self.completed {
            _ if self.parts.is_empty() => None,
            Some(output) if all_confirmed => Some(Recorded {
                output: output.clone(),
                uncertain: false,
                remainder: None,
            }),
            // Sent in part is what a person has decided of the rest.
            None if all_confirmed && self.left.is_some() => None,
            // The process ended before it knew.
            _ => Some(Recorded {
                output: uncertain_output(self.in_doubt.as_deref()).to_string(),
                uncertain: true,
                remainder: None,
            }),
        }
    }

    /// Checks whether every part is confirmed, and the last one said the same.
    fn is_completed_as(&self, recorded: &Recorded) -> bool {
        self.completed.as_ref() == Some(&recorded.output)
            && !recorded.uncertain
            && recorded.remainder.is_none()
            && self.parts.values().all(|state| *state == PartState::Confirmed)
    }

    /// Makes an uncertain message ready to be sent again: what was confirmed stays so. Not possible where some of it was
    /// confirmed and nobody knows what is left.
    fn reopen(&mut self) -> Option<Known> {
        let left = self.ended.as_ref().and_then(|ended| ended.remainder.clone());
        let some_confirmed = self.parts.values().any(|state| *state == PartState::Confirmed);
        if left.is_none() && some_confirmed {
            return None;
        }
        self.before = Some(Box::new((self.parts.clone(), self.ended.take())));
        self.parts.retain(|_, state| *state == PartState::Confirmed);
        self.reopened = true;
        self.left = left;
        Some(self.left.clone().map_or(Known::Nothing, Known::Left))
    }

    /// Returns the state that is shown to a person.
    pub fn state(&self, is_running: bool) -> State {
        let all_confirmed = self.parts.values().all(|state| *state == PartState::Confirmed);
        match &self.ended {
            Some(ended) if ended.uncertain => State::Uncertain,
            Some(_) => State::Sent,
            None if is_running => State::UnderWay,
            None if all_confirmed && self.completed.is_some() => State::Sent,
            None if all_confirmed && self.decided => State::NotSent,
            None => State::Uncertain,
        }
    }

    /// Returns the message as it is shown to a person.
    pub fn shown(self, key: &str, execution: &str, is_running: bool) -> Entry {
        let known = self
            .ended
            .as_ref()
            .map(|ended| &ended.output)
            .or(self.completed.as_ref());
        let known = known.and_then(|output| serde_json::from_str(output).ok());
        let in_doubt = self.in_doubt.as_deref();
        Entry {
            key: key.to_owned(),
            execution: execution.to_owned(),
            state: self.state(is_running),
            decided: self.decided,
            changed: jiff::Timestamp::from_second(self.changed).unwrap_or_default(),
            output: known.or_else(|| in_doubt.map(|output| uncertain_output(Some(output)))),
            parts: self
                .parts
                .iter()
                .map(|(number, state)| PartEntry {
                    number: *number,
                    state: state.as_str().to_owned(),
                })
                .collect(),
        }
    }

    /// Settles an uncertain message as a person decided.
    ///
    /// # Errors
    /// Returns a [`SettleError`]; nothing is changed then.
    pub fn decide(&mut self, key: &str, decision: Decision, is_running: bool) -> Result<(), SettleError> {
        if is_running {
            return Err(SettleError::Running(key.to_owned()));
        }
        let state = self.state(is_running);
        if state != State::Uncertain {
            return Err(SettleError::NotUncertain {
                key: key.to_owned(),
                state,
            });
        }
        match decision {
            Decision::Sent => {
                let output = self.clone().shown(key, "", false).output;
                self.ended = Some(Recorded {
                    output: as_sent(output).to_string(),
                    uncertain: false,
                    remainder: None,
                });
            }
            Decision::NotSent => {
                let remainder = self.ended.as_ref().and_then(|ended| ended.remainder.clone());
                let in_part = self.parts.values().any(|state| *state == PartState::Confirmed);
                if in_part && remainder.is_none() {
                    return Err(SettleError::InPart(key.to_owned()));
                }
                self.parts.retain(|_, state| *state == PartState::Confirmed);
                self.ended = None;
                self.left = remainder;
            }
        }
        self.in_doubt = None;
        self.decided = true;
        Ok(())
    }
}

/// The output of a message of which nobody knows how it ended, with what was said of it before.
fn uncertain_output(in_doubt: Option<&str>) -> Value {
    let said = in_doubt.and_then(|output| serde_json::from_str(output).ok());
    let mut output = match said {
        Some(Value::Object(output)) => output,
        _ => Map::new(),
    };
    // Whatever a connector says.
    output.insert("success".to_owned(), json!(false));
    output.insert("outcome".to_owned(), json!("uncertain"));
    Value::Object(output)
}

/// The output of a message that a person says was sent.
fn as_sent(output: Option<Value>) -> Value {
    let mut output = match output {
        Some(Value::Object(output)) => output,
        _ => Map::new(),
    };
    for name in ["message", "exception", "failure"] {
        output.remove(name);
    }
    output.insert("success".to_owned(), json!(true));
    output.insert("outcome".to_owned(), json!("sent"));
    output.insert("decided".to_owned(), json!(true));
    Value::Object(output)
}
