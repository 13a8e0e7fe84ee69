//! Every row of the table is played as its server says it, and every expectation beside it is checked.

use std::collections::{BTreeMap, BTreeSet};

use pipepost_replies::{
    Explanation, FailureKind, PastedReply, Provider, Retry, Row, Stage, explain, explain_for, rows,
};

/// One block of `replies.txt`.
struct Case {
    line: usize,
    fields: BTreeMap<String, String>,
    reply: String,
}

impl Case {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn stage(&self) -> Option<Stage> {
        self.field("stage").map(|stage| match stage {
            "greeting" => Stage::Greeting,
            "ehlo" => Stage::Ehlo,
            "starttls" => Stage::StartTls,
            "auth" => Stage::Auth,
            "mail" => Stage::Mail,
            "rcpt" => Stage::Rcpt,
            "data" => Stage::Data,
            "content" => Stage::Content,
            "other" => Stage::Other,
            _ => panic!("line {}: no such stage: {stage}", self.line),
        })
    }

    fn check(&self, how: &str, got: &Explanation) {
        let at = format!("replies.txt:{} ({how})", self.line);
        assert_eq!(got.row.map(|row| row.id), self.field("row"), "{at}");
        assert_eq!(Some(got.kind.as_str()), self.field("kind"), "{at}");
        assert_eq!(Some(got.retry.to_string().as_str()), self.field("retry"), "{at}");
        let letters: String = got.classes.iter().map(|class| class.letter()).collect();
        assert_eq!(Some(letters.as_str()), self.field("class"), "{at}");
        if let Some(scope) = self.field("scope") {
            assert_eq!(got.scope.as_str(), scope, "{at}");
        }
        if let Some(link) = self.field("link") {
            assert_eq!(got.link.as_deref(), Some(link), "{at}");
        }
        let advice = format!("{} {}", got.cause, got.cure);
        for words in self.field("advice").unwrap_or_default().split(", ") {
            assert!(advice.contains(words), "{at}: {words:?} is not in {advice:?}");
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = Case {
        line: 1,
        fields: BTreeMap::new(),
        reply: String::new(),
    };
    for (index, line) in include_str!("replies.txt").lines().chain([""]).enumerate() {
        if line.is_empty() {
            let next = Case {
                line: index + 2,
                fields: BTreeMap::new(),
                reply: String::new(),
            };
            let done = std::mem::replace(&mut case, next);
            if !done.fields.is_empty() {
                assert!(!done.reply.is_empty(), "replies.txt:{}: no reply", done.line);
                cases.push(done);
            }
        } else if let Some(reply) = line.strip_prefix("> ") {
            case.reply.push_str(reply);
            case.reply.push_str("\r\n");
        } else if !line.starts_with('#') {
            let (name, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("replies.txt:{}", index + 1));
            case.fields.insert(name.to_owned(), value.to_owned());
        }
    }
    cases
}

#[test]
fn every_reply_is_explained_by_its_row_however_it_is_handed_over() {
    for case in cases() {
        let stage = case.stage();
        let pasted = PastedReply::parse(&case.reply).expect("a reply");
        let code = pasted.code().expect("a code");
        let provider = case.field("host").map_or(Provider::Other, Provider::of_host);
        let explained = |text: &str| explain_for(provider, code, pasted.enhanced(), text, stage);

        case.check("parsed", &explained(pasted.text()));
        case.check("in one line", &explained(&pasted.text().replace('\n', " ")));
        case.check("with the codes left in", &explained(&case.reply));
        case.check("in capitals", &{
            let mut capitals = explained(&pasted.text().to_uppercase());
            // A link in capitals is another link, or none.
            capitals.link = explained(pasted.text()).link;
            capitals
        });
        if case.field("host").is_none() {
            case.check("pasted", &pasted.explain(stage));
            let folded = case.reply.replace("\r\n", " ");
            let folded = PastedReply::parse(&format!("Error: {folded}")).expect("a reply");
            case.check("pasted, folded by a log", &folded.explain(stage));
        }
    }
}

#[test]
fn every_row_is_reached() {
    let played: BTreeSet<_> = cases()
        .iter()
        .filter_map(|case| case.field("row").map(str::to_owned))
        .collect();
    // The families, which are known by their words, are reached in `field.rs`.
    let (families, table): (Vec<_>, Vec<_>) = rows().partition(|row| !row.words.is_empty());
    let is_family = |id: &String| families.iter().any(|family| family.id == id);
    let of_table: BTreeSet<_> = played.into_iter().filter(|id| !is_family(id)).collect();
    assert_eq!(of_table, table.iter().map(|row| row.id.to_owned()).collect());
}

#[test]
fn every_pattern_of_every_row_is_reached() {
    for row in rows() {
        for &code in row.codes {
            let enhanced: Vec<_> = match row.enhanced {
                [] => vec![None],
                some => some.iter().copied().map(Some).collect(),
            };
            for enhanced in enhanced {
                for text in row.texts {
                    let got = explain_for(row.provider, code, enhanced, text, row.stages.first().copied());
                    // A row that lists several codes and enhanced codes also lists pairs that no server sends.
                    let shared = got
                        .row
                        .is_some_and(|other| other.texts.iter().any(|other| text.contains(other)));
                    assert!(
                        got.row == Some(row) || shared,
                        "{code} {enhanced:?} {text} is taken by {:?}",
                        got.row
                    );
                }
            }
        }
    }
}

#[test]
fn no_two_rows_of_a_provider_claim_the_same_codes_for_any_text() {
    let mut claimed = BTreeMap::new();
    for row in rows().filter(|row| row.by_code) {
        assert!(!row.enhanced.is_empty(), "{} claims a whole code", row.id);
        for &code in row.codes {
            for enhanced in row.enhanced {
                let other = claimed.insert((row.provider.name(), code, enhanced), row.id);
                assert_eq!(other, None, "{} and another claim {code} {enhanced:?}", row.id);
            }
        }
    }
}

#[test]
fn every_row_says_something_of_its_own_in_whole_sentences() {
    let (mut ids, mut causes, mut cures) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for row in rows() {
        assert!(ids.insert(row.id), "{} stands twice", row.id);
        assert!(causes.insert(row.cause), "{}: another row has its cause", row.id);
        assert!(cures.insert(row.cure), "{}: another row has its cure", row.id);
        for sentence in [row.cause, row.cure] {
            assert!(
                sentence.len() > 20 && sentence.ends_with('.'),
                "{}: {sentence:?}",
                row.id
            );
            assert!(
                !sentence.contains(". ") && !sentence.contains("  "),
                "{}: {sentence:?}",
                row.id
            );
            assert!(
                sentence.starts_with(|c: char| c.is_ascii_uppercase() || c == 'i'),
                "{}: {sentence:?}",
                row.id
            );
        }
        for text in row.texts {
            assert_eq!(
                *text,
                text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "),
                "{}",
                row.id
            );
        }
        let is_known_by_words = !row.words.is_empty() && row.texts.is_empty();
        assert!(
            (is_known_by_words || !row.texts.is_empty() && !row.codes.is_empty()) && !row.classes.is_empty(),
            "{}",
            row.id
        );
    }
}

#[test]
fn a_row_is_retried_exactly_when_its_kind_is_temporary() {
    for row in rows() {
        assert_eq!(row.kind.is_temporary(), row.retry != Retry::No, "{}", row.id);
        if row.kind == FailureKind::Quota {
            assert!(row.retry.wait().is_some(), "{}: a quota says how long", row.id);
        }
    }
}

#[test]
fn a_refusal_at_auth_is_one_of_the_credentials() {
    let apart = ["starttls-first", "gmail-second-sign-in"];
    for case in cases()
        .iter()
        .filter(|case| case.field("stage") == Some("auth") && case.reply.starts_with('5'))
    {
        let id = case.field("row").unwrap_or_default();
        assert!(
            apart.contains(&id) || case.field("kind") == Some("authentication"),
            "{id}"
        );
    }
}

#[test]
fn a_wrong_password_is_never_blamed_for_too_many_logins() {
    let got = explain(
        454,
        Some((4, 7, 0)),
        "Too many login attempts, please try again later. g2 - gsmtp",
        None,
    );
    assert_eq!((got.kind, got.retry), (FailureKind::Transient, Retry::After(900)));
    assert!(got.cure.starts_with("Leave the credentials as they are"));
    assert!(!format!("{} {}", got.cause, got.cure).contains("password"));
}

#[test]
fn a_quota_behind_a_5_is_a_quota_wherever_it_comes() {
    for stage in [
        None,
        Some(Stage::Mail),
        Some(Stage::Rcpt),
        Some(Stage::Data),
        Some(Stage::Content),
    ] {
        let got = explain(
            550,
            Some((5, 4, 5)),
            "Daily user sending limit exceeded. p6 - gsmtp",
            stage,
        );
        assert_eq!((got.kind, got.retry), (FailureKind::Quota, Retry::After(86_400)));
    }
}

#[test]
fn a_421_at_ehlo_names_the_settings_and_elsewhere_the_rate() {
    let text = "Try again later, closing connection. v9 - gsmtp";
    let at = |stage| explain(421, Some((4, 7, 0)), text, stage).row.map(|row: &Row| row.id);
    assert_eq!(at(Some(Stage::Ehlo)), Some("gmail-ehlo-refused"));
    assert_eq!(at(Some(Stage::Greeting)), Some("gmail-ehlo-refused"));
    assert_eq!(at(Some(Stage::Mail)), Some("gmail-try-later"));
    assert_eq!(at(None), Some("gmail-try-later"));
}
