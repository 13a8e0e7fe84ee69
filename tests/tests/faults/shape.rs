//! What is sent in one series of faults, how, and to whom.

use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, Catcher, Ending, PASSWORD, Point, REFUSED, Relay, Scratch, Side, document, email};
use serde_json::json;

use super::judge::{Report, TAKEN, arrived, judge};

/// How messages travel in one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) security: Security,
    /// With BDAT, else with DATA.
    pub(super) chunked: bool,
    /// More than one go out together, over one connection.
    pub(super) messages: usize,
    /// What may have been sent is sent again.
    pub(super) resend: bool,
}

impl Shape {
    /// A server that takes one of a message's two recipients.
    pub(super) fn server(self) -> Catcher {
        let script = Script::new().refuse_recipient(REFUSED, "550 5.1.1 No such user here");
        let script = if self.chunked { script } else { script.strip("CHUNKING") };
        Catcher::start(script)
    }

    /// Where this series connects to at a server.
    pub(super) fn behind(self, server: &Catcher) -> std::net::SocketAddr {
        server.inbox().address_of(self.security).expect("all faces listen")
    }

    /// A folder from which the messages are sent through a relay.
    pub(super) fn scratch(self, authority: &std::path::Path, relay: &Relay) -> Scratch {
        let at = ("127.0.0.1", relay.address().port());
        let account = match self.security {
            Security::Implicit => AccountFile::tls(at, authority),
            Security::StartTls => AccountFile::starttls(at, authority),
            Security::Plain => AccountFile::starttls(at, authority)
                .with("starttls_enable", "false")
                .with("allow_plaintext_auth", true),
        };
        let account = account.with("limits", json!({ "max_connections": 1 }));
        let mut params = json!({
            "to": [TAKEN, REFUSED],
            "subject": "A message",
            "body": "Hello",
            "failOnError": false,
            "retry": { "attempts": 2, "first": "1ms" },
        });
        if self.security == Security::Plain {
            params["isOverTLS"] = false.into();
            params["isOverSSL"] = false.into();
        }
        if self.messages > 1 {
            params["items"] = (0..self.messages).collect();
            params["subject"] = "Message {{ item }}".into();
        }
        if self.resend {
            params["onUncertain"] = "resend".into();
        }
        let scratch = Scratch::with(&document(&[email(params)]), &account);
        let state = scratch.folder().join("state").display().to_string();
        // What a killed process leaves behind goes with the test.
        let temporary = scratch.folder().join("home").display().to_string();
        scratch
            .variable("PIPEPOST_STATE", &state)
            .variable("TMPDIR", &temporary)
    }

    /// Every point of this series' first connection, as a run without faults goes through them.
    pub(super) fn points(self) -> Vec<Point> {
        let server = self.server();
        let relay = Relay::counting(self.behind(&server));
        let ending = self.scratch(&server.authority(), &relay).run(&[]).with_code(0);
        server.wait_until_ended(relay.connections());
        assert_eq!(relay.connections(), 1, "{ending}");
        judge(&self.reports(&ending, &[]), &arrived(&server), self.resend);
        points(&relay)
    }

    /// What a run reports of each message; their Message-IDs are these, where they are known.
    pub(super) fn reports(self, ending: &Ending, ids: &[String]) -> Vec<Report> {
        let output = ending.json();
        let results = match output.get("results") {
            Some(results) => results.as_array().cloned().expect("a list"),
            None => vec![output],
        };
        assert_eq!(results.len(), self.messages, "one outcome each\n{ending}");
        let read = |(number, result)| Report::read(result, ids.get(number), ending);
        results.iter().enumerate().map(read).collect()
    }

    /// Where TLS is spoken, the password did not leave in clear.
    pub(super) fn kept_the_secret(self, relay: &Relay, ending: &Ending) {
        if self.security != Security::Plain {
            assert_eq!(relay.overheard(PASSWORD), Vec::<String>::new(), "{ending}");
        }
    }
}

/// Every point of a connection that has gone through a relay that counts.
pub(super) fn points(relay: &Relay) -> Vec<Point> {
    let of = |side| (0..relay.units(side)).map(move |unit| Point { side, unit });
    of(Side::Client).chain(of(Side::Server)).collect()
}
