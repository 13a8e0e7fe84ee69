//! Replies that no row knows: the RFCs' meanings, and the places at which a code means something else.

use pipepost_replies::{Class, Explanation, FailureKind, Provider, Retry, Scope, Stage, explain, explain_for};

fn unknown(code: u16, enhanced: Option<(u8, u16, u16)>, stage: Option<Stage>) -> Explanation {
    let got = explain(code, enhanced, "Words that nobody has seen", stage);
    assert_eq!(got.row, None);
    got
}

#[test]
fn the_enhanced_code_tells_what_the_code_does_not() {
    let got = unknown(550, Some((5, 2, 2)), Some(Stage::Rcpt));
    assert_eq!(
        (got.kind, got.scope, got.retry),
        (FailureKind::Refused, Scope::Recipient, Retry::No)
    );
    assert!(got.cause.contains("full"));

    let got = unknown(552, Some((5, 3, 4)), Some(Stage::Mail));
    assert_eq!(
        (got.kind, got.scope, got.retry),
        (FailureKind::Refused, Scope::Transaction, Retry::No)
    );
    assert!(got.cause.contains("larger"));

    let got = unknown(550, Some((5, 7, 27)), Some(Stage::Mail));
    assert_eq!(got.kind, FailureKind::Configuration);
    assert!(got.cause.contains("null MX"));
}

#[test]
fn the_temporary_class_of_an_enhanced_code_is_worth_another_try() {
    let got = unknown(450, Some((4, 2, 2)), Some(Stage::Rcpt));
    assert_eq!(
        (got.kind, got.scope, got.retry),
        (FailureKind::Transient, Scope::Recipient, Retry::Soon)
    );
    assert_eq!(
        got.cure,
        "Try again later; if it lasts, ask the recipient by another way to free some space."
    );
}

#[test]
fn an_enhanced_code_that_contradicts_its_code_is_ignored() {
    let got = unknown(450, Some((5, 1, 1)), Some(Stage::Rcpt));
    assert_eq!(got, unknown(450, None, Some(Stage::Rcpt)));
    assert_eq!(got.kind, FailureKind::Transient);
}

#[test]
fn a_detail_that_is_not_registered_means_its_subject() {
    let got = unknown(550, Some((5, 7, 510)), Some(Stage::Content));
    assert_eq!((got.kind, got.scope), (FailureKind::Refused, Scope::Transaction));
    assert!(got.cause.contains("rule"));
}

#[test]
fn too_many_recipients_are_split_whatever_the_class() {
    for (code, class) in [(452, 4), (550, 5), (552, 5)] {
        let got = unknown(code, Some((class, 5, 3)), Some(Stage::Rcpt));
        assert_eq!(
            (got.kind, got.retry, got.classes),
            (FailureKind::Transient, Retry::SplitRecipients, &[Class::Split][..])
        );
    }
    assert_eq!(unknown(452, None, Some(Stage::Rcpt)).retry, Retry::SplitRecipients);
    assert_eq!(unknown(452, None, Some(Stage::Content)).retry, Retry::Soon);
}

#[test]
fn every_permanent_code_at_auth_speaks_of_credentials_and_every_temporary_one_does_not() {
    for enhanced in [
        None,
        Some((5, 7, 8)),
        Some((5, 7, 1)),
        Some((5, 0, 0)),
        Some((5, 5, 2)),
        Some((5, 7, 9)),
    ] {
        for code in [500, 501, 502, 504, 534, 535, 550, 554, 571] {
            let got = unknown(code, enhanced, Some(Stage::Auth));
            assert_eq!(
                (got.kind, got.scope, got.retry),
                (FailureKind::Authentication, Scope::Account, Retry::No),
                "{code}"
            );
        }
    }
    for enhanced in [None, Some((4, 7, 0)), Some((4, 7, 8)), Some((4, 3, 2))] {
        for code in [421, 432, 450, 451, 454, 471] {
            let got = unknown(code, enhanced, Some(Stage::Auth));
            assert_eq!(got.kind, FailureKind::Transient, "{code} {enhanced:?}");
            // 421 and 432 may mean this connection alone; more sign-ins do not mend the others.
            let retry = if matches!(code, 421 | 432) {
                Retry::Soon
            } else {
                Retry::After(300)
            };
            assert_eq!(got.retry, retry, "{code} {enhanced:?}");
        }
    }
    assert_eq!(
        unknown(538, Some((5, 7, 11)), Some(Stage::Auth)).kind,
        FailureKind::Configuration
    );
    assert_eq!(unknown(535, None, None).kind, FailureKind::Authentication);
}

#[test]
fn the_place_decides_whom_a_reply_speaks_about() {
    let scope = |code, stage| unknown(code, None, Some(stage)).scope;
    assert_eq!(scope(554, Stage::Greeting), Scope::Connection);
    assert_eq!(scope(550, Stage::Ehlo), Scope::Connection);
    assert_eq!(scope(554, Stage::Rcpt), Scope::Recipient);
    assert_eq!(scope(550, Stage::Rcpt), Scope::Recipient);
    assert_eq!(scope(550, Stage::Mail), Scope::Transaction);
    assert_eq!(scope(550, Stage::Content), Scope::Transaction);
    assert_eq!(scope(421, Stage::Rcpt), Scope::Connection);
}

#[test]
fn a_code_of_no_standard_is_read_by_its_first_digit() {
    assert_eq!(unknown(499, None, None).kind, FailureKind::Transient);
    assert_eq!(unknown(599, None, None).kind, FailureKind::Refused);
    for code in [0, 99, 199, 600, 999, u16::MAX] {
        assert!(
            unknown(code, None, None).cause.contains("not a reply of a mail server"),
            "{code}"
        );
    }
    for code in [220, 250, 354] {
        assert!(
            unknown(code, Some((2, 0, 0)), None).cause.contains("not a failure"),
            "{code}"
        );
    }
}

#[test]
fn each_registered_code_has_a_cause_of_its_own_and_a_cure() {
    for code in [
        421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 521, 530, 534, 535, 538, 550, 551, 552, 553,
    ] {
        let got = unknown(code, None, None);
        assert!(!got.cause.contains("no standard names"), "{code}");
        assert!(got.cause.ends_with('.') && got.cure.ends_with('.'), "{code}");
    }
}

#[test]
fn common_words_of_another_server_are_not_taken_for_gmails() {
    let got = explain(
        550,
        Some((5, 7, 27)),
        "Sender address has null MX; see SPF",
        Some(Stage::Mail),
    );
    assert_eq!(got.row, None);
    let got = explain_for(
        Provider::Gmail,
        550,
        Some((5, 7, 27)),
        "SPF did not pass",
        Some(Stage::Content),
    );
    assert_eq!(got.row.map(|row| row.id), Some("gmail-spf"));
}

#[test]
fn a_provider_is_not_named_on_words_alone() {
    let got = explain(535, None, "Authentication unsuccessful", Some(Stage::Auth));
    assert_eq!((got.row, got.kind), (None, FailureKind::Authentication));
    let got = explain_for(
        Provider::Outlook,
        535,
        None,
        "Authentication unsuccessful",
        Some(Stage::Auth),
    );
    assert_eq!(got.row.map(|row| row.id), Some("outlook-bad-credentials"));
    let got = explain(421, Some((4, 7, 0)), "Too many failed recipients", Some(Stage::Rcpt));
    assert_eq!(got.row, None);
}

#[test]
fn a_change_of_the_enhanced_code_does_not_hide_what_gmail_says() {
    let got = explain(
        550,
        Some((5, 7, 99)),
        "Daily user sending limit exceeded. p6 - gsmtp",
        None,
    );
    assert_eq!(got.kind, FailureKind::Quota);
    let got = explain(550, None, "Daily user sending limit exceeded. p6 - gsmtp", None);
    assert_eq!(got.kind, FailureKind::Quota);
}

#[test]
fn what_the_reply_says_outweighs_the_name_of_the_host() {
    let text = "Username and Password not accepted. n8 - gsmtp";
    let got = explain_for(Provider::Yahoo, 535, Some((5, 7, 8)), text, Some(Stage::Auth));
    assert_eq!(got.row.map(|row| row.id), Some("gmail-bad-credentials"));
}

#[test]
fn a_link_of_the_reply_is_handed_on_and_gmails_leads_to_google_only() {
    let got = explain(
        550,
        Some((5, 7, 1)),
        "Blocked, see https://postmaster.example/why?id=1.",
        Some(Stage::Content),
    );
    assert_eq!(got.link.as_deref(), Some("https://postmaster.example/why?id=1"));
    let text =
        "<https://accounts.google.com.evil.example/signin/continue?x> Please log in via your web browser - gsmtp";
    let got = explain(534, Some((5, 7, 14)), text, Some(Stage::Auth));
    assert_eq!((got.kind, got.link), (FailureKind::Authentication, None));
}

#[test]
fn what_a_refusal_for_now_says_of_the_next_try() {
    for (code, enhanced, text, retry) in [
        (451, Some((4, 3, 0)), "try later", Retry::Soon),
        (450, None, "mailbox busy", Retry::Soon),
        (421, None, "closing", Retry::Soon),
        (
            451,
            Some((4, 7, 1)),
            "Please try again in 300 seconds",
            Retry::After(300),
        ),
        (
            450,
            Some((4, 2, 0)),
            "Greylisted, come back after 7 minutes",
            Retry::After(420),
        ),
        (450, Some((4, 2, 0)), "Greylisted", Retry::After(300)),
        (
            451,
            Some((4, 4, 2)),
            "Timeout waiting for data from client",
            Retry::NewConnection,
        ),
        (
            452,
            Some((4, 5, 3)),
            "Too many messages this session",
            Retry::NewConnection,
        ),
        (
            421,
            Some((4, 7, 0)),
            "Maximum number of messages per connection reached",
            Retry::NewConnection,
        ),
        (452, Some((4, 5, 3)), "Too many recipients", Retry::SplitRecipients),
        // A number alone is no time, and a time alone is no request.
        (451, None, "Message 300 seconds late: queue 17 in use", Retry::Soon),
    ] {
        assert_eq!(explain(code, enhanced, text, Some(Stage::Mail)).retry, retry, "{text}");
    }
}
