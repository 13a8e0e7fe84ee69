use pipepost_tests::{AccountFile, CLOSE, Dialogue, Scratch, Scripted};
use serde_json::json;

use super::report::{send, send_with};

#[test]
fn a_refused_sign_in_is_the_only_one_of_a_run() {
    let dialogue = Dialogue::streaming().signing_in();
    let truth = send_with(dialogue, 300, json!({}), |account| {
        account.with("password", "not-the-right-one")
    });
    truth.counts(0, 300, 0);
    assert_eq!(truth.seen.sign_ins, 1, "{}", truth.ending);
    assert_eq!(truth.ending.code, Some(77), "{}", truth.ending);
}

#[test]
fn a_connection_too_many_costs_no_message() {
    for (most, greeting) in [
        (1, "421 4.7.0 too many connections from your address"),
        (3, "432 4.3.2 Concurrent connections limit exceeded"),
    ] {
        let truth = send(Dialogue::streaming().with_connections(most, greeting), 400, json!({}));
        truth.counts(400, 0, 0);
    }
    // Said at the sign-in, as Microsoft does.
    let refused = format!("432 4.3.2 Concurrent connections limit exceeded{CLOSE}");
    let dialogue = Dialogue::streaming()
        .signing_in()
        .says("AUTH", &["", &refused, &refused, ""]);
    send(dialogue, 400, json!({})).counts(400, 0, 0);
}

/// A server, what it says to each mechanism, and which are tried.
struct Refusals {
    offers: &'static str,
    says: &'static [(&'static str, &'static str)],
    /// The account's own list of mechanisms.
    wants: Option<&'static str>,
    tried: &'static [&'static str],
    /// The kind of the failure and its exit code; none: the message is sent.
    fails: Option<(&'static str, i32)>,
}

const SENT: Option<(&str, i32)> = None;
const AUTHENTICATION: Option<(&str, i32)> = Some(("authentication", 77));
const TOO_WEAK: &str = "534 5.7.9 Authentication mechanism is too weak";

/// Each account is run with ten messages, one at a time, and tested: a loop that goes on signing in shows.
#[test]
fn a_mechanism_that_is_refused_by_itself_is_followed_by_the_next() {
    for case in [
        Refusals {
            offers: "PLAIN LOGIN",
            says: &[("AUTH PLAIN", "504 5.5.4 Unrecognized authentication type")],
            wants: None,
            tried: &["PLAIN", "LOGIN"],
            fails: SENT,
        },
        Refusals {
            offers: "LOGIN PLAIN CRAM-MD5",
            says: &[("AUTH PLAIN", TOO_WEAK), ("AUTH LOGIN", TOO_WEAK)],
            wants: None,
            tried: &["PLAIN", "LOGIN", "CRAM-MD5"],
            fails: SENT,
        },
        Refusals {
            offers: "PLAIN LOGIN",
            says: &[(
                "AUTH PLAIN",
                "538 5.7.11 Encryption required for requested authentication mechanism",
            )],
            wants: None,
            tried: &["PLAIN", "LOGIN"],
            fails: SENT,
        },
        // Before the password has left, nobody can refuse it.
        Refusals {
            offers: "PLAIN LOGIN",
            says: &[("AUTH LOGIN", "535 5.7.8 Error: authentication failed")],
            wants: Some("LOGIN PLAIN"),
            tried: &["LOGIN", "PLAIN"],
            fails: SENT,
        },
        // The server cannot check this proof, and can compare the password itself.
        Refusals {
            offers: "CRAM-MD5 LOGIN PLAIN",
            says: &[("AUTH CRAM-MD5", "432 4.7.12 A password transition is needed")],
            wants: Some("CRAM-MD5 PLAIN"),
            tried: &["CRAM-MD5", "PLAIN"],
            fails: SENT,
        },
        // No mechanism is left.
        Refusals {
            offers: "PLAIN LOGIN",
            says: &[("AUTH PLAIN", "504 5.5.4 No"), ("AUTH LOGIN", "504 5.5.4 No")],
            wants: None,
            tried: &["PLAIN", "LOGIN"],
            fails: AUTHENTICATION,
        },
        // A word on the password, or on the account, is the last one.
        Refusals {
            offers: "PLAIN LOGIN CRAM-MD5",
            says: &[("AUTH PLAIN", "535 5.7.8 Username and Password not accepted")],
            wants: None,
            tried: &["PLAIN"],
            fails: AUTHENTICATION,
        },
        Refusals {
            offers: "PLAIN LOGIN CRAM-MD5",
            says: &[("AUTH PLAIN", "534 5.7.9 Application-specific password required")],
            wants: None,
            tried: &["PLAIN"],
            fails: AUTHENTICATION,
        },
        // One mechanism was refused by itself, and then the password.
        Refusals {
            offers: "PLAIN LOGIN CRAM-MD5",
            says: &[("AUTH PLAIN", "504 5.5.4 No"), ("AUTH", "535 5.7.8 Not accepted")],
            wants: None,
            tried: &["PLAIN", "LOGIN"],
            fails: AUTHENTICATION,
        },
        // However many mechanisms there are, a password is refused twice at most.
        Refusals {
            offers: "LOGIN CRAM-MD5 PLAIN",
            says: &[("AUTH", "535 5.7.8 Not accepted")],
            wants: Some("CRAM-MD5 LOGIN PLAIN"),
            tried: &["CRAM-MD5", "LOGIN"],
            fails: AUTHENTICATION,
        },
    ] {
        case.hold();
    }
}

impl Refusals {
    fn server(&self) -> Dialogue {
        let dialogue = Dialogue::streaming().signing_in_by(self.offers);
        self.says
            .iter()
            .fold(dialogue, |dialogue, (verb, reply)| dialogue.says(verb, &[reply]))
    }

    fn account(&self, account: AccountFile) -> AccountFile {
        match self.wants {
            Some(wants) => account.with("properties", json!({ "auth.mechanisms": wants })),
            None => account,
        }
    }

    fn hold(&self) {
        let what = format!("{} {:?}", self.offers, self.says);
        let truth = send_with(self.server(), 10, json!({}), |account| self.account(account));
        match self.fails {
            None => truth.counts(10, 0, 0),
            Some(_) => truth.counts(0, 10, 0),
        };
        assert_eq!(truth.seen.mechanisms, self.tried, "{what}: {}", truth.ending);
        if let Some((_, code)) = self.fails {
            assert_eq!(truth.ending.code, Some(code), "{what}: {}", truth.ending);
        }

        let server = Scripted::start(self.server());
        let account = self.account(server.account());
        let scratch = Scratch::with(&json!([]), &account);
        let command = [
            "accounts",
            "test",
            "mail",
            "--accounts",
            "accounts.json",
            "--json",
            "--in-clear",
        ];
        let ending = scratch.pipepost(&command);
        let report = ending.json();
        assert_eq!(server.seen().mechanisms, self.tried, "{what}: {ending}");
        match self.fails {
            None => assert_eq!(ending.code, Some(0), "{what}: {ending}"),
            Some((kind, code)) => {
                assert_eq!(ending.code, Some(code), "{what}: {ending}");
                assert_eq!(report["failure"]["kind"], kind, "{what}: {ending}");
            }
        }
    }
}
