//! Servers that want a weaker proof, or the same one again.

use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::json;

use super::attack::{Attack, NOTHING_SECRET};

#[test]
fn mechanisms_that_bait() {
    for offer in [
        "AUTH NTLM GSSAPI DIGEST-MD5 EXTERNAL ANONYMOUS SCRAM-SHA-1 SCRAM-SHA-256-PLUS",
        "AUTH XOAUTH2 OAUTHBEARER",
        "AUTH",
        "AUTHPLAIN",
        "AUTH PLAINER LOGINS",
    ] {
        let reply = format!("250-smtp.example\n250 {offer}");
        let script = Script::new().rule(Rule::at(At::Ehlo).tls(true).reply(reply));
        Attack::new(Security::StartTls, script)
            .run()
            .fails("configuration", &["127.0.0.1"])
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}

#[test]
fn mechanisms_that_are_offered_in_clear_alone() {
    let script = Script::new()
        .rule(
            Rule::at(At::Ehlo)
                .tls(false)
                .act(Action::Offer("AUTH PLAIN LOGIN".to_owned())),
        )
        .rule(Rule::at(At::Ehlo).tls(true).act(Action::Strip("AUTH".to_owned())));
    Attack::new(Security::StartTls, script)
        .run()
        .fails("configuration", &["127.0.0.1"])
        .never_heard(NOTHING_SECRET)
        .stored(0);
}

#[test]
fn a_server_that_asks_for_the_password_again_and_again() {
    for (mechanism, at) in [
        ("PLAIN", At::Auth),
        ("PLAIN", At::SignIn),
        ("LOGIN", At::AuthResponse),
        ("LOGIN", At::SignIn),
    ] {
        let script = Script::new().reply(at, "334 UGFzc3dvcmQ6");
        let aftermath = Attack::new(Security::StartTls, script)
            .account("auth", mechanism)
            .run()
            // Whatever it says to the withdrawal of the sign-in: here, that it knows no such command.
            .fails(
                "configuration",
                &[
                    "The sign-in dialogue of the server `127.0.0.1:",
                    "does not end",
                    mechanism,
                    "`mail`",
                ],
            );
        assert_eq!(aftermath.heard("AUTH").len(), 1);
        aftermath
            .never_heard(&["MAIL", "RCPT", "DATA", "BDAT"])
            .stored(0)
            .connected(1);
    }
}

/// With a challenge the password stays here, and what its proof could be guessed from has bounds.
#[test]
fn challenges_that_bait() {
    let cram = "AUTH CRAM-MD5 NTLM GSSAPI DIGEST-MD5 EXTERNAL ANONYMOUS";
    // r=x,s=QUFB,i=4096: another client's; and a challenge that is none.
    let (foreign, nonsense) = ("334 cj14LHM9UVVGQixpPTQwOTY=", "334 !");
    for (offer, at, reply, kind, words) in [
        (cram, At::Auth, "535 5.7.8 no", "authentication", "535"),
        (
            cram,
            At::Auth,
            nonsense,
            "configuration",
            "its challenge is not what the mechanism defines",
        ),
        (
            "AUTH SCRAM-SHA-256",
            At::Auth,
            nonsense,
            "configuration",
            "its challenge is not what",
        ),
        (
            "AUTH SCRAM-SHA-256",
            At::Auth,
            foreign,
            "configuration",
            "another client's sign-in",
        ),
        // A yes without a proof is no yes.
        (
            "AUTH SCRAM-SHA-256",
            At::Auth,
            "235 2.7.0 welcome",
            "configuration",
            "did not prove",
        ),
    ] {
        let ehlo = format!("250-smtp.example\r\n250 {offer}");
        let script = Script::new()
            .rule(Rule::at(At::Ehlo).tls(true).reply(ehlo))
            .reply(at, reply);
        Attack::new(Security::StartTls, script)
            .run()
            .fails(kind, &["127.0.0.1", words])
            .never_heard(&["MAIL", "RCPT", "DATA", "BDAT", "AUTH PLAIN", "AUTH LOGIN"])
            .stored(0)
            .connected(1);
    }
}

#[test]
fn a_server_that_repeats_the_password_to_whoever_reads_the_output() {
    for mechanism in ["PLAIN", "LOGIN"] {
        Attack::new(Security::StartTls, Script::new().echo_sign_in())
            .account("auth", mechanism)
            .run()
            .fails("authentication", &["535"])
            .stored(0);
    }
}

/// What the other tests do not overhear would be overheard.
#[test]
fn a_password_that_does_go_over_the_wire_is_overheard() {
    let aftermath = Attack::new(Security::Plain, Script::new())
        .account("starttls_enable", "false")
        .account("allow_plaintext_auth", true)
        .param("isOverTLS", json!(false))
        .param("isOverSSL", json!(false))
        .run();
    assert_eq!(aftermath.output()["outcome"], "sent");
    assert!(!aftermath.overheard().is_empty());
    aftermath.stored(1);
}
