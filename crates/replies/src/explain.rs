//! The explanation of a reply: from the row of the table that knows it, else from its enhanced code, else from its
//! code.

use std::borrow::Cow;

use pipepost_core::FailureKind;

use crate::link::first_link;
use crate::meaning::{Class, Retry, Scope};
use crate::normal::normal_text;
use crate::registry::{Detail, detail_of};
use crate::reply_code::{CodeMeaning, meaning_at, meaning_of};
use crate::rows::{MINUTE, Question, Row, find};
use crate::{EnhancedCode, Provider, Stage};

/// The meaning of a reply, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What went wrong, for retry decisions and exit codes.
    pub kind: FailureKind,
    /// What the reply stops besides the command that it refuses.
    pub scope: Scope,
    /// What another try may achieve.
    pub retry: Retry,
    /// The kinds of remedy, the most important first. Empty only for a code that is not 4yz or 5yz.
    pub classes: &'static [Class],
    /// What happened: one sentence.
    pub cause: Cow<'static, str>,
    /// What to do now: one sentence.
    pub cure: Cow<'static, str>,
    /// The page to open: the table's, or the one that the server names in this reply. It is an `https` link of
    /// printable ASCII. If one of Gmail's rows takes it from the reply, it leads to Google.
    pub link: Option<String>,
    /// The row of the table that knows this reply; none when the meaning comes from the RFCs.
    pub row: Option<&'static Row>,
}

/// Explains a reply of a server that is known only by what the reply says.
///
/// `text` is the reply's text, with its lines joined by any white space. Codes that the server repeats on each line do
/// no harm. `enhanced` is the enhanced code, if there is one. `stage` is the point of the dialogue where the reply
/// came; without it, the function uses what the reply itself says of that. Every code is accepted. A code of 200 to 399
/// is not a failure and is explained as such, with the kind `uncertain`: where a failure was expected, it shows that
/// the dialogue is out of step.
pub fn explain(code: u16, enhanced: Option<EnhancedCode>, text: &str, stage: Option<Stage>) -> Explanation {
    explain_parts(Some(code), enhanced, text, stage, None)
}

/// Explains a reply of a provider's server. The text then needs no mark of the provider.
pub fn explain_for(
    provider: Provider,
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: &str,
    stage: Option<Stage>,
) -> Explanation {
    explain_parts(Some(code), enhanced, text, stage, Some(provider))
}

/// As [`explain`], of a reply that may have lost its code. One of `code` and `enhanced` is there.
pub(crate) fn explain_parts(
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    text: &str,
    stage: Option<Stage>,
    provider: Option<Provider>,
) -> Explanation {
    let normal = normal_text(text);
    let stage = stage.or_else(|| Stage::guess(code, &normal));
    // A host of one provider may be a front for another's servers: what the reply says is the better evidence.
    let provider = match Provider::of_normal_text(&normal) {
        Provider::Other => provider.unwrap_or(Provider::Other),
        spoken => spoken,
    };
    let question = Question {
        code,
        enhanced,
        normal_text: &normal,
        stage,
        provider,
    };
    let code = question.code_or_class();
    match find(&question) {
        Some(row) if row.by_class && code < 500 => for_now(row, code, text),
        Some(row) => by_row(row, text),
        None => by_standard(code, enhanced, text, stage),
    }
}

/// A row whose meaning is permanent, in a reply that says that it may pass.
fn for_now(row: &'static Row, code: u16, text: &str) -> Explanation {
    let retry = stated_wait(text).map_or(Retry::Soon, Retry::After);
    Explanation {
        kind: FailureKind::Transient,
        retry,
        classes: classes_of(FailureKind::Transient, retry, code),
        cure: if_it_lasts(row.cure),
        ..by_row(row, text)
    }
}

fn by_row(row: &'static Row, text: &str) -> Explanation {
    let beneath = (row.provider == Provider::Gmail).then_some("google.com");
    Explanation {
        kind: row.kind,
        scope: row.scope,
        // What the server says of the time is better than what the table knows.
        retry: match row.retry {
            Retry::After(_) => stated_wait(text).map_or(row.retry, Retry::After),
            other => other,
        },
        classes: row.classes,
        cause: Cow::Borrowed(row.cause),
        cure: Cow::Borrowed(row.cure),
        link: row.link.map(str::to_owned).or_else(|| first_link(text, beneath)),
        row: Some(row),
    }
}

/// By the RFCs alone.
fn by_standard(code: u16, enhanced: Option<EnhancedCode>, text: &str, stage: Option<Stage>) -> Explanation {
    let at_auth = stage == Some(Stage::Auth) || matches!(code, 432 | 534 | 535 | 538);
    // An enhanced code of another class than the code's contradicts it, and the code counts (RFC 2034, section 4).
    let enhanced = enhanced.filter(|(class, ..)| u16::from(*class) == code / 100);
    let placed = stage.and_then(|stage| meaning_at(stage, code, enhanced));
    let detail = enhanced
        .filter(|_| placed.is_none())
        .and_then(|(_, subject, detail)| telling_detail(code, subject, detail, at_auth));
    let meaning = placed.unwrap_or_else(|| meaning_of(meant_code(code, at_auth)));

    let temporary = (400..500).contains(&code);
    let too_many_recipients = !is_about_the_session(text)
        && match detail {
            Some(detail) => (detail.subject, detail.detail) == (5, 3),
            None => code == 452 && stage == Some(Stage::Rcpt),
        };
    let kind = if temporary || too_many_recipients {
        FailureKind::Transient
    } else {
        permanent_kind(code, at_auth, detail.map_or(meaning.kind, |detail| detail.kind))
    };
    let retry = match kind {
        _ if too_many_recipients => Retry::SplitRecipients,
        // A connection that went stale, or has carried enough, says nothing of the next one.
        FailureKind::Transient if is_about_the_connection(enhanced, text) => Retry::NewConnection,
        FailureKind::Transient => {
            let usual = match code {
                // Further sign-ins make it worse, except where one connection too many is meant.
                400..=499 if at_auth && !matches!(code, 421 | 432) => Retry::After(5 * MINUTE),
                _ => Retry::Soon,
            };
            stated_wait(text).map_or(usual, Retry::After)
        }
        _ => Retry::No,
    };
    Explanation {
        kind,
        scope: scope_at(
            code,
            stage,
            at_auth,
            detail.map_or(meaning.scope, |detail| detail.scope),
        ),
        retry,
        classes: classes_of(kind, retry, code),
        cause: match retry {
            Retry::NewConnection if is_about_the_session(text) => {
                Cow::Borrowed("The server takes no more messages on this connection.")
            }
            _ => Cow::Borrowed(detail.map_or(meaning.cause, |detail| detail.cause)),
        },
        cure: cure_of(temporary, detail, meaning),
        link: first_link(text, None),
        row: None,
    }
}

/// Whether a refusal for now speaks of this connection alone: `X.4.2`, a bad connection (RFC 3463, section 3.5), which
/// relays say of one that lay too long, and any reply about too many messages in a session.
fn is_about_the_connection(enhanced: Option<EnhancedCode>, text: &str) -> bool {
    enhanced.is_some_and(|(_, subject, detail)| (subject, detail) == (4, 2)) || is_about_the_session(text)
}

fn is_about_the_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_about_messages = ["messages", "mails", "emails", "transactions"]
        .iter()
        .any(|word| text.contains(word));
    let is_about_session = ["session", "connection"].iter().any(|word| text.contains(word));
    is_about_messages
        && is_about_session
        && (text.contains("too many") || text.contains("limit") || text.contains("max"))
}

/// The seconds that a text asks to wait: `try again in 5 minutes`, `retry after 300 seconds`, `wait 60s`.
fn stated_wait(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    for (index, word) in words.iter().enumerate() {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let Ok(number) = digits.parse::<u32>() else { continue };
        let unit = match &word[digits.len()..] {
            "" => words.get(index + 1).copied().unwrap_or_default(),
            unit => unit,
        };
        let length = match unit {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
            "h" | "hour" | "hours" => 60 * MINUTE,
            _ => continue,
        };
        let asks = index > 0
            && matches!(
                words[index - 1],
                "in" | "after" | "wait" | "for" | "least" | "about" | "another"
            );
        if asks {
            return number
                .checked_mul(length)
                .filter(|seconds| *seconds <= 7 * 24 * 60 * MINUTE);
        }
    }
    None
}

/// The entry of the registry, where it tells more than the code does.
fn telling_detail(code: u16, subject: u16, detail: u16, at_auth: bool) -> Option<&'static Detail> {
    let about_sign_in = matches!((subject, detail), (5, 6) | (7, 8..=14));
    let code_tells_more = match code {
        200..=399 | 530 => true,
        _ if at_auth => true,
        421 | 454 | 455 | 501..=504 | 521 | 551 | 555 | 556 => detail == 0,
        _ => false,
    };
    if code_tells_more && !about_sign_in {
        None
    } else {
        detail_of(subject, detail)
    }
}

/// Servers answer AUTH with all kinds of codes; there, a refusal is one of the credentials.
fn meant_code(code: u16, at_auth: bool) -> u16 {
    match code {
        421 | 432 | 503 | 504 | 530 | 534 | 538 => code,
        400..=499 if at_auth => 454,
        500..=599 if at_auth => 535,
        _ => code,
    }
}

fn permanent_kind(code: u16, at_auth: bool, kind: FailureKind) -> FailureKind {
    // 503, 530 and 538 at AUTH speak of the order and of TLS, not of the credentials.
    let about_credentials = at_auth && (500..600).contains(&code) && !matches!(code, 503 | 530 | 538);
    if about_credentials && kind != FailureKind::Configuration || at_auth && code == 504 {
        FailureKind::Authentication
    } else {
        kind
    }
}

fn scope_at(code: u16, stage: Option<Stage>, at_auth: bool, scope: Scope) -> Scope {
    match (stage, scope) {
        _ if code == 421 => Scope::Connection,
        _ if at_auth => Scope::Account,
        (Some(Stage::Greeting | Stage::Ehlo | Stage::StartTls), _) => Scope::Connection,
        (Some(Stage::Rcpt), Scope::Transaction) => Scope::Recipient,
        // One reply speaks for all recipients there, and for none in particular.
        (Some(Stage::Mail | Stage::Data | Stage::Content), Scope::Recipient) => Scope::Transaction,
        _ => scope,
    }
}

fn classes_of(kind: FailureKind, retry: Retry, code: u16) -> &'static [Class] {
    match kind {
        _ if retry == Retry::SplitRecipients => &[Class::Split],
        FailureKind::Transient if code == 421 => &[Class::Reconnect],
        FailureKind::Transient => &[Class::Transient],
        FailureKind::Quota => &[Class::Quota],
        FailureKind::Configuration | FailureKind::Authentication | FailureKind::Invalid => &[Class::Configure],
        FailureKind::Refused if matches!(code, 500..=503) => &[Class::Bug],
        FailureKind::Refused => &[Class::Permanent],
        // Not a failure of the server's, so there is nothing to remedy.
        FailureKind::Uncertain | FailureKind::Limit => &[],
    }
}

fn cure_of(temporary: bool, detail: Option<&'static Detail>, meaning: &'static CodeMeaning) -> Cow<'static, str> {
    match detail {
        Some(detail) if temporary => if_it_lasts(detail.cure),
        Some(detail) => Cow::Borrowed(detail.cure),
        None => Cow::Borrowed(meaning.cure),
    }
}

/// Cures begin with a verb in plain ASCII, so the first letter can be made small.
fn if_it_lasts(cure: &str) -> Cow<'static, str> {
    let (first, rest) = cure.split_at(1);
    Cow::Owned(format!(
        "Try again later; if it lasts, {}{rest}",
        first.to_ascii_lowercase()
    ))
}
