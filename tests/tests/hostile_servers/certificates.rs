//! Servers that are not who they say they are.

use pipepost_inbox::tls::Flaw;
use pipepost_inbox::{Script, Security};
use serde_json::Value;

use super::attack::{Attack, NOTHING_SECRET};

#[test]
fn wrong_expired_and_self_signed_certificates() {
    for security in [Security::StartTls, Security::Implicit] {
        for (flaw, words) in [
            (Flaw::Expired, "has expired"),
            (Flaw::NotYetValid, "is not valid yet"),
            (Flaw::SelfSigned, "signed by nobody this machine trusts"),
            (
                Flaw::WrongName,
                "is not issued for `127.0.0.1` but for `somebody-else.example`. Name the host",
            ),
        ] {
            Attack::new(security, Script::new())
                .flawed(flaw)
                .run()
                .fails("configuration", &["step 1 (Send)", words])
                .never_heard(NOTHING_SECRET)
                .stored(0)
                .connected(1);
        }
    }
}

#[test]
fn an_authority_that_the_account_does_not_name() {
    for security in [Security::StartTls, Security::Implicit] {
        Attack::new(security, Script::new())
            .account("ca_file", Value::Null)
            .run()
            .fails("configuration", &["signed by nobody this machine trusts", "ca_file"])
            .never_heard(NOTHING_SECRET)
            .stored(0);
    }
}
