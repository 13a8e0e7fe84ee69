//! The table of known replies: one row for each meaning.
//!
//! Rows are tried in their order, in four rounds (see [`find`]). A row that could also match the reply of a more
//! specific row comes after that row. The tests try every row and so show that none is hidden by another.

mod families;
mod gmail_domain;
mod gmail_mail;
mod gmail_session;
mod others;

use pipepost_core::FailureKind;

use crate::meaning::{Class, Retry, Scope};
use crate::words::Words;
use crate::{EnhancedCode, Provider, Stage};

pub(crate) const MINUTE: u32 = 60;
pub(crate) const HOUR: u32 = 60 * MINUTE;
pub(crate) const DAY: u32 = 24 * HOUR;

/// Where app passwords of a Google account are made.
pub(crate) const APP_PASSWORDS: &str = "https://myaccount.google.com/apppasswords";

/// One known reply and its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// A stable name, such as `gmail-daily-limit`.
    pub id: &'static str,
    /// The provider whose reply it is.
    pub provider: Provider,
    /// The reply codes that the reply may have. Empty: any, for a family of replies.
    pub codes: &'static [u16],
    /// The enhanced codes that the reply may have. Empty: any, or none.
    pub enhanced: &'static [EnhancedCode],
    /// Phrases in lower case with single blanks. One of them must occur in the text. Empty for a family of replies.
    pub texts: &'static [&'static str],
    /// For a family of replies, which is known by its words, whoever says them: one phrase of each group must occur in
    /// the text. A phrase is whole words; one that ends in `*` may go on within its last word.
    pub words: &'static [&'static [&'static str]],
    /// Phrases that give the text another meaning: none of them may occur.
    pub unless: &'static [&'static str],
    /// The points of the dialogue at which the family's words mean something else.
    pub never_at: &'static [Stage],
    /// True when a 4yz code makes the refusal one for now, of the kind `transient`.
    pub by_class: bool,
    /// The points of the dialogue at which it has this meaning. Empty: all.
    pub stages: &'static [Stage],
    /// True when the phrases are common words. They count only when the server is known to be the provider's.
    pub marked: bool,
    /// True when code and enhanced code have this meaning with any text, if the server is known to be the provider's.
    pub by_code: bool,
    /// The kinds of remedy, the most important first; never empty.
    pub classes: &'static [Class],
    /// What went wrong, for retry decisions.
    pub kind: FailureKind,
    /// What the reply is about.
    pub scope: Scope,
    /// What another try may achieve.
    pub retry: Retry,
    /// What happened: one sentence.
    pub cause: &'static str,
    /// What to do now: one sentence.
    pub cure: &'static str,
    /// The page to open; none: the page that the reply itself names.
    pub link: Option<&'static str>,
}

/// What a row has unless it says otherwise: a permanent refusal of the message, by Gmail.
const GMAIL: Row = Row {
    id: "",
    provider: Provider::Gmail,
    codes: &[],
    enhanced: &[],
    texts: &[],
    words: &[],
    unless: &[],
    never_at: &[],
    by_class: false,
    stages: &[],
    marked: false,
    by_code: false,
    classes: &[Class::Permanent],
    kind: FailureKind::Refused,
    scope: Scope::Transaction,
    retry: Retry::No,
    cause: "",
    cure: "",
    link: None,
};

/// Returns the whole table, in the order in which it is tried.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    provider_rows().chain(families::rows())
}

fn provider_rows() -> impl Iterator<Item = &'static Row> {
    [gmail_session::ROWS, gmail_mail::ROWS, gmail_domain::ROWS, others::ROWS]
        .into_iter()
        .flatten()
}

/// What is known of a reply, in the form that rows are compared with.
pub(crate) struct Question<'a> {
    /// None where a person pasted a text that has lost it.
    pub(crate) code: Option<u16>,
    pub(crate) enhanced: Option<EnhancedCode>,
    pub(crate) normal_text: &'a str,
    pub(crate) stage: Option<Stage>,
    pub(crate) provider: Provider,
}

/// The row that speaks of this reply. First by codes and text; then, where the server is known, by code and text with
/// an enhanced code that the provider has changed or left out; then, where the server is known, by the codes with a
/// text that it has changed; then by the words that all servers have for the same thing.
pub(crate) fn find(question: &Question<'_>) -> Option<&'static Row> {
    let by_all = |row: &&Row| (row.enhanced.is_empty() || row.has_enhanced(question)) && row.has_text(question);
    let by_text = |row: &&Row| row.is_of(question) && row.has_text(question);
    let by_code = |row: &&Row| row.is_of(question) && row.by_code && row.has_enhanced(question);
    let placed = || provider_rows().filter(|row| row.has_code(question) && row.has_stage(question));
    placed()
        .find(by_all)
        .or_else(|| placed().find(by_text))
        .or_else(|| placed().find(by_code))
        .or_else(|| find_family(question))
}

fn find_family(question: &Question<'_>) -> Option<&'static Row> {
    let code = question.code_or_class();
    // An agreement has no family.
    if !(400..600).contains(&code) {
        return None;
    }
    let words = Words::of(code, question.enhanced, question.normal_text);
    families::rows().find(|row| {
        let is_placed = question.stage.is_none_or(|stage| !row.never_at.contains(&stage));
        let has_code = row.codes.is_empty() || row.codes.contains(&code);
        is_placed && has_code && row.words.iter().all(|group| words.has_any(group)) && !words.has_any(row.unless)
    })
}

impl Question<'_> {
    /// The code, or the general one of the enhanced code's class where the text has lost it.
    pub(crate) fn code_or_class(&self) -> u16 {
        self.code.unwrap_or(match self.enhanced {
            Some((4, ..)) => 450,
            Some((2, ..)) => 250,
            _ => 550,
        })
    }
}

impl Row {
    fn has_code(&self, question: &Question<'_>) -> bool {
        question.code.is_none_or(|code| self.codes.contains(&code))
    }

    fn has_enhanced(&self, question: &Question<'_>) -> bool {
        question
            .enhanced
            .is_some_and(|enhanced| self.enhanced.contains(&enhanced))
    }

    fn has_text(&self, question: &Question<'_>) -> bool {
        let allowed = !self.marked || self.is_of(question);
        allowed && self.texts.iter().any(|text| question.normal_text.contains(text))
    }

    fn has_stage(&self, question: &Question<'_>) -> bool {
        self.stages.is_empty() || question.stage.is_some_and(|stage| self.stages.contains(&stage))
    }

    fn is_of(&self, question: &Question<'_>) -> bool {
        self.provider == question.provider
    }
}
