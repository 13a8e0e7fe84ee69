//! What a document requires from outside, for the person who sets it up.

use std::collections::{BTreeMap, BTreeSet};

use pipepost_double_braces::{Scope, Segment};
use serde::Serialize;

use crate::reader::Findings;

/// What a document requires from outside: its accounts, globals, message and other pipelines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requirements {
    /// Account labels, with the fields that expressions read of them.
    pub accounts: BTreeMap<String, BTreeSet<String>>,
    /// The names of globals.
    pub globals: BTreeSet<String>,
    /// Paths into the message, of any step: `message.order.id` is `order.id`, the whole message `$`.
    pub message: BTreeSet<String>,
    /// Paths into the data that triggered the run.
    pub trigger: BTreeSet<String>,
    /// The names of other pipelines that it runs.
    pub pipelines: BTreeSet<String>,
    /// The names of events that it publishes.
    pub events: BTreeSet<String>,
    /// The paths by which conditions, loops and transformers read the message, as the document writes them.
    pub paths: BTreeSet<String>,
    /// How often expressions and bodies read each member of the message, of any step, or of the data that triggered the run;
    /// `$` stands for all of them.
    #[serde(skip)]
    reads: BTreeMap<String, usize>,
}

/// All members of a message.
const WHOLE: &str = "$";

impl Requirements {
    pub(crate) fn of(findings: &mut Findings) -> Self {
        let mut reads: BTreeMap<String, usize> = BTreeMap::new();
        let mut read = |member: &str| *reads.entry(member.to_owned()).or_default() += 1;
        if findings.bodies_compute_names {
            read(WHOLE);
        }
        for path in findings
            .wanted_paths
            .iter()
            .chain(findings.body_paths.iter().map(|(_, path)| path))
        {
            let member = path.split(['.', '[']).next().filter(|member| !member.is_empty());
            read(member.unwrap_or(WHOLE));
        }
        for found in &findings.uses {
            if let Scope::Message | Scope::Trigger = found.reference.scope() {
                match found.reference.segments().first() {
                    Some(Segment::Name(member)) => read(member),
                    _ => read(WHOLE),
                }
            }
        }
        let mut requirements = Self {
            reads,
            accounts: std::mem::take(&mut findings.wanted_accounts),
            paths: std::mem::take(&mut findings.wanted_paths),
            pipelines: findings.wanted_pipelines.drain(..).map(|(_, name)| name).collect(),
            events: findings.wanted_events.drain(..).map(|(_, name)| name).collect(),
            message: findings.body_paths.drain(..).map(|(_, path)| path).collect(),
            ..Self::default()
        };
        for found in &findings.uses {
            let segments = found.reference.segments();
            match found.reference.scope() {
                Scope::Message => requirements.message.insert(dotted(segments)),
                Scope::Trigger => requirements.trigger.insert(dotted(segments)),
                Scope::Global => match segments.first() {
                    Some(Segment::Name(name)) => requirements.globals.insert(name.clone()),
                    _ => false,
                },
                _ => false,
            };
        }
        requirements
    }

    /// Returns whether one place alone reads this member of the message, and nothing reads the message as a whole.
    pub(crate) fn is_read_once(&self, member: &str) -> bool {
        self.reads.get(member) == Some(&1) && !self.reads.contains_key(WHOLE)
    }
}

fn dotted(segments: &[Segment]) -> String {
    let mut path = String::new();
    for segment in segments {
        match segment {
            Segment::Name(name) if path.is_empty() => path.push_str(name),
            Segment::Name(name) => {
                path.push('.');
                path.push_str(name);
            }
            Segment::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    if path.is_empty() { "$".to_owned() } else { path }
}
