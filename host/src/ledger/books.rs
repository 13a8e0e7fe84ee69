//! What a ledger knows, in memory: the rules are here, once for every ledger.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::{ClaimError, Known, Message, Part, PartOutcome, Recorded};

/// The messages of one execution, by key.
#[derive(Debug, Default)]
pub(super) struct Books {
    messages: HashMap<String, Account>,
}

/// What is known of one message.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) digest: String,
    pub(super) parts: BTreeMap<u32, State>,
    /// The output that the part which completed the message came with.
    pub(super) completed: Option<String>,
    pub(super) ended: Option<Recorded>,
    /// What is left to do, of a message that is to be sent again.
    pub(super) left: Option<String>,
    /// JSON: the output while nobody knows how it ended. Taken by the claim that writes it down.
    pub(super) in_doubt: Option<String>,
    /// It was uncertain and is to be sent again, and no claim has said so yet.
    reopened: bool,
}

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its bytes may have left. After a crash nobody can tell.
    Claimed,
    Confirmed,
    Uncertain,
}

/// What a claim means for what is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) parts: Vec<Part>,
    /// In the order of the parts.
    pub(super) digests: Vec<String>,
    /// What is to be told of each part's message while its end is not known, where that is not written down yet.
    pub(super) in_doubt: Vec<Option<String>>,
    /// Messages whose uncertain parts are no longer spoken of.
    pub(super) reopened: Vec<String>,
}

impl Books {
    /// As an earlier process left it.
    pub(super) fn with(messages: HashMap<String, Account>) -> Self {
        Self { messages }
    }

    /// Messages that were confirmed to their end and not recorded.
    pub(super) fn completed(&self) -> Vec<(String, Recorded)> {
        let open = self.messages.iter().filter(|(_, account)| account.ended.is_none());
        let ended = open.filter_map(|(key, account)| Some((key.clone(), account.ended()?)));
        ended.filter(|(_, ended)| !ended.uncertain).collect()
    }

    pub(super) fn look_up(&mut self, message: &Message) -> Known {
        let account = self.messages.entry(message.key.clone()).or_default();
        let ended = account.ended();
        if account.parts.is_empty() && ended.is_none() {
            message.digest.clone_into(&mut account.digest);
            return account.left.clone().map_or(Known::Nothing, Known::Left);
        }
        if account.digest != message.digest {
            return Known::OtherContent;
        }
        match ended {
            Some(ended) if ended.uncertain && message.resend => match account.reopen() {
                Some(known) => known,
                None => Known::Ended(ended),
            },
            Some(ended) => Known::Ended(ended),
            None => account.left.clone().map_or(Known::Nothing, Known::Left),
        }
    }

    pub(super) fn in_doubt(&mut self, key: &str, output: String) {
        self.messages.entry(key.to_owned()).or_default().in_doubt = Some(output);
    }

    pub(super) fn claim(&mut self, parts: Vec<Part>) -> Result<Claim, ClaimError> {
        let taken = |part: &Part| {
            let account = self.messages.get(&part.key);
            account.is_some_and(|account| account.parts.contains_key(&part.number))
        };
        if parts.iter().any(taken) {
            return Err(ClaimError::Claimed);
        }
        let mut claim = Claim {
            digests: Vec::with_capacity(parts.len()),
            in_doubt: Vec::with_capacity(parts.len()),
            reopened: Vec::new(),
            parts,
        };
        for part in &claim.parts {
            let account = self.messages.entry(part.key.clone()).or_default();
            account.parts.insert(part.number, State::Claimed);
            // From here on it no longer tells what is left.
            account.left = None;
            claim.digests.push(account.digest.clone());
            claim.in_doubt.push(account.in_doubt.take());
            if std::mem::take(&mut account.reopened) {
                claim.reopened.push(part.key.clone());
            }
        }
        Ok(claim)
    }

    /// A claim could not be written down: it never was.
    pub(super) fn unclaim(&mut self, claim: &Claim) {
        for part in &claim.parts {
            if let Some(account) = self.messages.get_mut(&part.key) {
                account.parts.remove(&part.number);
                account.reopened |= claim.reopened.contains(&part.key);
            }
        }
    }

    pub(super) fn settle(&mut self, part: &Part, outcome: PartOutcome) {
        let account = self.messages.entry(part.key.clone()).or_default();
        match outcome {
            PartOutcome::NotCommitted => {
                account.parts.remove(&part.number);
            }
            PartOutcome::Uncertain => {
                account.parts.insert(part.number, State::Uncertain);
            }
            PartOutcome::Confirmed(output) => {
                account.parts.insert(part.number, State::Confirmed);
                account.completed = output.or(account.completed.take());
            }
        }
    }

    /// Answers the digest of what was recorded.
    pub(super) fn record(&mut self, key: &str, recorded: Recorded) -> String {
        let account = self.messages.entry(key.to_owned()).or_default();
        account.ended = Some(recorded);
        account.digest.clone()
    }
}

impl Account {
    /// How it ended, as far as that can be told now.
    fn ended(&self) -> Option<Recorded> {
        if let Some(ended) = &self.ended {
            return Some(ended.clone());
        }
        let all_confirmed = self.parts.values().all(|state| *state == State::Confirmed);
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

    /// Makes an uncertain message ready to be sent again: what was confirmed stays so. Not possible where some of it was
    /// confirmed and nobody knows what is left.
    fn reopen(&mut self) -> Option<Known> {
        let left = self.ended.as_ref().and_then(|ended| ended.remainder.clone());
        let some_confirmed = self.parts.values().any(|state| *state == State::Confirmed);
        if left.is_none() && some_confirmed {
            return None;
        }
        self.parts.retain(|_, state| *state == State::Confirmed);
        self.ended = None;
        self.reopened = true;
        self.left = left;
        Some(self.left.clone().map_or(Known::Nothing, Known::Left))
    }
}

/// The output of a message of which nobody knows how it ended, with what was said of it before.
pub(super) fn uncertain_output(in_doubt: Option<&str>) -> Value {
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
