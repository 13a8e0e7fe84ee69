//! Between greeting and TLS: what is slipped in, left out or said too early.

use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::{Script, Security};

use super::attack::{Attack, NOTHING_SECRET};

#[test]
fn plaintext_injected_before_tls() {
    for injected in ["250 injected\r\n", "235 2.7.0 Accepted\r\n", "x"] {
        Attack::new(Security::StartTls, Script::new().inject_before_tls(injected))
            .run()
            .fails("configuration", &["127.0.0.1", "may be injecting"])
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}

#[test]
fn capabilities_from_before_tls_are_forgotten() {
    let script = Script::new()
        .rule(Rule::at(At::Ehlo).tls(false).act(Action::Offer("SIZE 1".to_owned())))
        .rule(Rule::at(At::Ehlo).tls(true).act(Action::Strip("SIZE".to_owned())));
    Attack::new(Security::StartTls, script).run().succeeds();
}

#[test]
fn a_stripped_or_refused_starttls() {
    let bait = Rule::at(At::Ehlo)
        .act(Action::Offer("AUTH PLAIN LOGIN".to_owned()))
        .act(Action::Strip("STARTTLS".to_owned()));
    for (script, kind) in [
        (Script::new().strip("STARTTLS"), "configuration"),
        (Script::new().rule(bait), "configuration"),
        (Script::new().reply(At::Starttls, "502 5.5.1 Not here"), "configuration"),
        (
            Script::new().reply(At::Starttls, "454 4.7.0 TLS not available"),
            "transient",
        ),
    ] {
        Attack::new(Security::StartTls, script)
            .run()
            .fails(kind, &["step 1 (Send)", "127.0.0.1", "TLS"])
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}

#[test]
fn replies_before_their_commands() {
    let whole = "250-smtp.example\r\n250 STARTTLS\r\n220 go\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 sent\r\n";
    for early in [whole, "220 again\r\n", "250 ok\r\n", "421 gone\r\n"] {
        for at in [At::Greeting, At::Ehlo] {
            let script = Script::new().rule(Rule::at(at).tls(false).regular().raw(early));
            Attack::new(Security::StartTls, script)
                .run()
                .fails("transient", &["step 1 (Send)", "127.0.0.1"])
                .never_heard(NOTHING_SECRET)
                .stored(0);
        }
    }
}

/// Under TLS it is the server itself that runs ahead: what it says too early answers nothing.
#[test]
fn replies_before_their_commands_under_tls() {
    for at in [At::Ehlo, At::SignIn, At::Mail, At::Rcpt, At::Data] {
        let early = if at == At::Ehlo {
            "235 2.7.0 Accepted\r\n"
        } else {
            "250 2.0.0 OK\r\n"
        };
        let script = Script::new().rule(Rule::at(at).tls(true).regular().raw(early));
        Attack::with_data(Security::StartTls, script)
            .run()
            .fails("transient", &["step 1 (Send)", "127.0.0.1"])
            .stored(0);
    }
}
