//! More than anybody wants to read.

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};

use super::attack::{Attack, BEFORE_THE_COMMIT, NOTHING_SECRET, flood};

#[test]
fn a_line_without_end_and_a_reply_without_end() {
    for pattern in ["2", "250-and so on\r\n", "250 and another\r\n"] {
        for at in BEFORE_THE_COMMIT {
            let rule = Rule::at(at).tls(at != At::Greeting).act(flood(pattern, None));
            Attack::with_data(Security::StartTls, Script::new().rule(rule))
                .run()
                .fails("transient", &["step 1 (Send)", "127.0.0.1"])
                .says_little()
                .stored(0);
        }
    }
}

#[test]
fn a_flood_instead_of_the_last_reply() {
    for pattern in ["2", "250-and so on\r\n"] {
        let rule = Rule::at(At::Content).obey(true).act(flood(pattern, None));
        Attack::new(Security::StartTls, Script::new().rule(rule))
            .run()
            .fails("uncertain", &["step 1 (Send)", "127.0.0.1"])
            .says_little()
            .stored(1)
            .connected(1);
    }
}

#[test]
fn ten_megabytes_of_capabilities() {
    let much = flood("250-X-CAPABILITY-THAT-NOBODY-KNOWS\r\n", Some(10 << 20));
    for tls in [false, true] {
        let script = Script::new().rule(Rule::at(At::Ehlo).tls(tls).act(much.clone()).reply("250 OK"));
        Attack::new(Security::StartTls, script)
            .run()
            .fails("transient", &["127.0.0.1", "more than 128 lines"])
            .says_little()
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}
