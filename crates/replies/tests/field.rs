//! Replies as providers and mail servers send them, and what has to be made of each: the kind, and advice that names the
//! matter.

use std::collections::BTreeSet;

use pipepost_replies::{PastedReply, Provider, Row, Stage, explain, rows};

/// One line of `field.tsv`.
struct Case {
    line: usize,
    kind: &'static str,
    about: &'static str,
    stage: Option<Stage>,
    reply: &'static str,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("field.tsv").lines().enumerate();
    lines
        .filter(|(_, line)| !line.starts_with('#'))
        .map(|(index, line)| match line.split('\t').collect::<Vec<_>>()[..] {
            [kind, about, stage, _, reply] => Case {
                line: index + 1,
                kind,
                about,
                stage: stage_named(stage),
                reply,
            },
            _ => panic!("field.tsv:{}: not five columns", index + 1),
        })
        .collect()
}

fn stage_named(name: &str) -> Option<Stage> {
    Some(match name {
        "-" => return None,
        "greeting" => Stage::Greeting,
        "ehlo" => Stage::Ehlo,
        "starttls" => Stage::StartTls,
        "auth" => Stage::Auth,
        "mail" => Stage::Mail,
        "rcpt" => Stage::Rcpt,
        "data" => Stage::Data,
        "content" => Stage::Content,
        other => panic!("no such stage: {other}"),
    })
}

/// Words of which cause and cure must hold one, so that the person knows where to look.
fn words_of(matter: &str) -> &'static [&'static str] {
    match matter {
        "account" => &["account", "plan", "sandbox"],
        "address" => &["address"],
        "content" => &["message", "content"],
        "domain" => &["SPF", "DMARC"],
        "ehlo" => &["mail.smtp.localhost"],
        "greylist" => &["five minutes", "nothing needs to be changed"],
        "message" => &["message", "attachments"],
        "network" => &["public address"],
        "recipient" => &["recipient", "mailbox", "address", "recipient's domain"],
        "recipients" => &["recipients"],
        "relay" => &["relay", "does not pass mail on"],
        "sender" => &["sender", "from"],
        "server" => &["server", "connections"],
        "sign-in" => &[
            "signs in",
            "Signing in",
            "sign-in",
            "credentials",
            "password",
            "Authenticated SMTP",
            "API key",
            "mechanism",
        ],
        "tls" => &["starttls_enable", "TLS"],
        "certificate" => &["client_certificate"],
        other => panic!("no such matter: {other}"),
    }
}

#[test]
fn each_reply_has_its_kind_and_advice_that_names_the_matter() {
    let cases = cases();
    assert!(cases.len() > 400, "{} replies", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let got = PastedReply::parse(case.reply).expect(case.reply).explain(case.stage);
        let advice = format!("{} {}", got.cause, got.cure);
        let names_it = words_of(case.about).iter().any(|word| advice.contains(word));
        if got.kind.as_str() != case.kind || !names_it {
            wrong.push(format!(
                "field.tsv:{}: {} about {}, not {} {}: {advice}\n    {}",
                case.line,
                case.kind,
                case.about,
                got.kind,
                got.row.map_or("", |row| row.id),
                case.reply
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// A log folds lines, and breaks them; another program writes in capitals.
#[test]
fn a_reply_means_the_same_however_it_is_written() {
    for case in cases() {
        let row = |text: &str| {
            PastedReply::parse(text)
                .expect(text)
                .explain(case.stage)
                .row
                .map(|row| row.id)
        };
        let broken = case.reply.replacen(" the ", "\n the ", 1);
        assert_eq!(row(&broken), row(case.reply), "{broken}");
        assert_eq!(row(&case.reply.to_uppercase()), row(case.reply), "{}", case.reply);
    }
}

fn families() -> impl Iterator<Item = &'static Row> {
    rows().filter(|row| !row.words.is_empty())
}

#[test]
fn every_family_is_reached() {
    let reached: BTreeSet<_> = cases()
        .iter()
        .filter_map(|case| {
            PastedReply::parse(case.reply)
                .expect(case.reply)
                .explain(case.stage)
                .row
        })
        .map(|row| row.id)
        .collect();
    let hidden: Vec<_> = families()
        .map(|row| row.id)
        .filter(|id| !reached.contains(id))
        .collect();
    assert_eq!(hidden, Vec::<&str>::new());
}

#[test]
fn every_family_is_anybodys_and_its_phrases_are_words() {
    for family in families() {
        assert_eq!(family.provider, Provider::Other, "{}", family.id);
        let phrases = family.words.iter().flat_map(|group| *group).chain(family.unless);
        for phrase in phrases {
            let is_plain = phrase
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b" .*#@".contains(&b));
            let words = phrase.split(' ').collect::<Vec<_>>();
            assert!(is_plain && !words.contains(&""), "{}: {phrase:?}", family.id);
            assert!(!phrase.trim_end_matches('*').contains('*'), "{}: {phrase:?}", family.id);
        }
    }
}

/// What a submission server refuses before it knows of any recipient is not about one.
#[test]
fn a_refusal_of_the_sender_never_speaks_of_recipients() {
    for code in (500..600).filter(|code| !matches!(code, 521 | 530 | 538)) {
        for enhanced in details() {
            let got = explain(code, enhanced, "No", Some(Stage::Mail));
            let advice = format!("{} {}", got.cause, got.cure);
            for word in ["recipient", "mailbox", "no such", "off your list"] {
                let speaks_of_it = advice.contains(word) && !matches!(enhanced, Some((_, 3 | 5 | 6 | 7, _)));
                assert!(!speaks_of_it, "{code} {enhanced:?}: {advice}");
            }
        }
    }
}

#[test]
fn a_refusal_of_ehlo_names_its_name_and_never_the_sender() {
    for code in [500, 501, 502, 504, 550, 551, 553, 554] {
        for enhanced in details() {
            let got = explain(code, enhanced, "No", Some(Stage::Ehlo));
            assert_eq!(got.kind.as_str(), "configuration", "{code} {enhanced:?}");
            assert!(
                got.cure.contains("mail.smtp.localhost"),
                "{code} {enhanced:?}: {}",
                got.cure
            );
            assert!(!got.cure.contains("from"), "{code} {enhanced:?}: {}", got.cure);
        }
    }
}

/// Nor do the families that may be told there; only the list of an account's own recipients may be named.
#[test]
fn no_family_that_may_refuse_the_sender_speaks_of_recipients() {
    let at_mail =
        families().filter(|family| !family.never_at.contains(&Stage::Mail) && family.id != "sender-throttled");
    for family in at_mail {
        let advice = format!("{} {}", family.cause, family.cure);
        assert!(!advice.contains("recipient "), "{}: {advice}", family.id);
    }
}

fn details() -> impl Iterator<Item = Option<(u8, u16, u16)>> {
    let all = (0..8).flat_map(|subject| (0..32).map(move |detail| Some((5, subject, detail))));
    std::iter::once(None).chain(all)
}
