//! Where an account may sign in without TLS.

use std::net::IpAddr;

use crate::account::Account;

impl Account {
    /// Checks whether the account may sign in without TLS at this address: it must be a loopback address, and the
    /// account must allow it.
    pub fn may_sign_in_clear(&self, address: IpAddr) -> bool {
        self.allow_plaintext_auth() && pipepost_core::egress::is_loopback(address)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Accounts, Environment};

    #[test]
    fn signing_in_in_clear_takes_a_word_of_the_account_and_a_loopback_address() {
        let json = |word| {
            format!(
                r#"{{"label": "a", "type": "smtp-auth-and-properties", "host": "localhost", "port": 2525, "username": "u",
                "password": "p", "starttls_enable": false, "allow_plaintext_auth": {word}}}"#
            )
        };
        let may = |word, address: &str| {
            let accounts = Accounts::from_json(&json(word), Path::new("."), &Environment::process()).expect("good");
            let account = accounts.iter().next().expect("one");
            account.may_sign_in_clear(address.parse().expect("an address"))
        };
        assert!(may(true, "127.0.0.1") && may(true, "::1") && may(true, "::ffff:127.0.0.1"));
        assert!(!may(true, "64:ff9b::127.0.0.1") && !may(true, "10.0.0.1") && !may(true, "142.250.27.108"));
        assert!(!may(false, "127.0.0.1"));
    }
}
