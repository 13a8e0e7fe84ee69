//! Servers that take their time, and servers that are gone before it.

use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::{Script, Security};

use super::attack::{Attack, BEFORE_THE_COMMIT, NOTHING_SECRET};

/// Each byte comes in time, and the reply does not.
const SLOW: Action = Action::Pace {
    bytes: 1,
    pause_ms: 300,
};

#[test]
fn a_byte_at_a_time() {
    for at in BEFORE_THE_COMMIT {
        let script = Script::new().rule(Rule::at(at).act(SLOW).regular());
        Attack::with_data(Security::Implicit, script)
            .impatient()
            .run()
            .fails(
                "transient",
                &[
                    "step 1 (Send)",
                    "`127.0.0.1:",
                    "did not answer in time",
                    "accounts test mail",
                ],
            )
            .stored(0);
    }
}

#[test]
fn a_server_that_never_says_a_word() {
    for at in BEFORE_THE_COMMIT {
        let script = Script::new().rule(Rule::at(at).silence());
        Attack::with_data(Security::StartTls, script)
            .impatient()
            .run()
            .fails("transient", &["step 1 (Send)"])
            .stored(0);
    }
}

#[test]
fn an_early_close() {
    for at in BEFORE_THE_COMMIT {
        for action in [Action::Close, Action::Abort] {
            let script = Script::new().rule(Rule::at(at).act(action));
            Attack::with_data(Security::Implicit, script)
                .run()
                .fails(
                    "transient",
                    &[
                        "step 1 (Send)",
                        "`127.0.0.1:",
                        "closed the connection",
                        "accounts test mail",
                    ],
                )
                .stored(0);
        }
    }
}

#[test]
fn a_close_instead_of_the_last_reply() {
    for action in [Action::Close, Action::Abort] {
        let script = Script::new().rule(Rule::at(At::Content).obey(true).act(action));
        Attack::new(Security::Implicit, script)
            // Even where tries are left.
            .param("retry", 3)
            .run()
            .fails("uncertain", &["step 1 (Send)", "may have been delivered and may not"])
            .stored(1)
            .connected(1);
    }
}

/// It says nothing about anybody's TLS, so it is no matter of configuration.
#[test]
fn a_close_instead_of_the_handshake() {
    for action in [Action::Close, Action::Abort] {
        let script = Script::new().rule(Rule::at(At::Starttls).regular().act(action));
        Attack::new(Security::StartTls, script)
            .run()
            .fails(
                "transient",
                &[
                    "step 1 (Send)",
                    "127.0.0.1",
                    "closed the connection",
                    "the TLS handshake",
                ],
            )
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}
