//! Which addresses a name may resolve to: the second half of the rule about where a secret goes.
//!
//! The name was allowed first ([`Account::endpoint_for`]); each address it resolves to is checked again, in whatever
//! spelling it comes, and the address that was checked is the one to dial. The order of the checks: addresses that
//! belong to nobody's mail server are refused whoever named the host; the rest of the public ones are allowed; inner
//! ones are the account's to name, or lie in the networks that it allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::account::Account;
use crate::endpoint::{Denied, Endpoint, NamedBy};

impl Account {
    /// Whether an address that `endpoint`'s host resolved to may be dialled.
    ///
    /// # Errors
    ///
    /// A sentence that names the address, and the line to add where one would help.
    pub fn may_dial(&self, endpoint: &Endpoint, address: IpAddr) -> Result<(), Denied> {
        let plain = plain(address);
        if is_never_a_server(plain) {
            return Err(Denied::new(format!(
                "{} resolves to {address}, an address of this machine's own link or its cloud's metadata, where no mail server is; correct the host.",
                endpoint.host
            )));
        }
        let is_allowed = || self.allowed_networks().iter().any(|network| network.contains(&plain));
        if endpoint.named_by == NamedBy::Account || !is_inner(plain) || is_allowed() {
            return Ok(());
        }
        Err(Denied::new(format!(
            "{} resolves to {address}, an inner address, and only the step names this host; if it is meant, add the line \"allowed_networks\": [\"{plain}\"] to account \"{}\", or name the host in it.",
            endpoint.host,
            self.label()
        )))
    }

    /// Whether the account may sign in without TLS at this address: a loopback one, and the account says so.
    pub fn may_sign_in_clear(&self, address: IpAddr) -> bool {
        self.allow_plaintext_auth() && plain(address).is_loopback()
    }
}

/// The IPv4 address inside an IPv6 one that stands for it: mapped, compatible, translated (RFC 6052), 6to4 (RFC 3056).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let from = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => from(g, h),
        [0, 0, 0, 0, 0, 0] if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED => from(g, h),
        [0x2002, ..] => from(b, c),
        _ => address,
    }
}

/// Link-local, metadata, multicast, unspecified and reserved addresses.
fn is_never_a_server(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, ..] = v4.octets();
            // The last two are metadata services that lie outside the link-local network.
            a == 0
                || v4.is_link_local()
                || v4.is_multicast()
                || a >= 240
                || v4 == Ipv4Addr::new(100, 100, 100, 200)
                || v4 == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Addresses that mean something else in each network: loopback, private, shared, benchmarking, documentation.
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19))
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let is_site_local = first & 0xffc0 == 0xfec0;
            let is_documentation = first == 0x2001 && v6.segments()[1] == 0xdb8;
            // Teredo carries an address in a form that is not worth reading: it is gone from the public network.
            let is_teredo = first == 0x2001 && v6.segments()[1] == 0;
            let is_local_translation = v6.segments()[..3] == [0x64, 0xff9b, 1];
            v6.is_loopback()
                || v6.is_unique_local()
                || is_site_local
                || is_documentation
                || is_teredo
                || is_local_translation
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::{Accounts, Environment};

    fn account(json: &str) -> Arc<Account> {
        let accounts = Accounts::from_json(json, Path::new("."), &Environment::process()).expect("good");
        accounts.iter().next().expect("one").clone()
    }

    /// A relay without a secret, so that the step may name the host.
    fn open(networks: &str) -> Arc<Account> {
        account(&format!(
            r#"{{"label": "relay", "type": "smtp-auth-and-properties", "allowed_networks": {networks}}}"#
        ))
    }

    fn dial(account: &Account, host: Option<&str>, address: &str) -> Result<(), String> {
        let endpoint = account.endpoint_for(host, None).expect("allowed by name");
        account
            .may_dial(&endpoint, address.parse().expect("an address"))
            .map_err(|denied| denied.to_string())
    }

    const INNER: [&str; 12] = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "fd12::1",
        "::ffff:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "::10.0.0.1",
    ];
    const NEVER: [&str; 12] = [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "fd00:ec2::254",
    ];
    const PUBLIC: [&str; 4] = [
        "142.250.27.108",
        "2a00:1450:4025:c03::6c",
        "::ffff:142.250.27.108",
        "8.8.8.8",
    ];

    #[test]
    fn a_host_of_the_account_may_lie_inside_and_never_on_the_link() {
        let account = account(r#"{"label": "a", "type": "smtp-auth-and-properties", "host": "mail.internal"}"#);
        for address in INNER.iter().chain(&PUBLIC) {
            assert_eq!(dial(&account, None, address), Ok(()), "{address}");
        }
        for address in NEVER {
            assert!(
                dial(&account, None, address)
                    .expect_err(address)
                    .contains("no mail server is")
            );
        }
    }

    #[test]
    fn a_host_of_a_step_lies_outside_or_where_the_account_allows() {
        let none = open("[]");
        for address in PUBLIC {
            assert_eq!(dial(&none, Some("mail.example.com"), address), Ok(()), "{address}");
        }
        for address in INNER.iter().chain(&NEVER) {
            assert!(dial(&none, Some("mail.example.com"), address).is_err(), "{address}");
        }
        let some = open(r#"["10.1.0.0/16", "127.0.0.1", "169.254.0.0/16"]"#);
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(
                dial(&some, Some("mail.example.com"), address).is_ok(),
                allowed,
                "{address}"
            );
        }
    }

    #[test]
    fn the_refusal_names_a_line_that_helps() {
        let refusal = dial(&open("[]"), Some("mail.example.com"), "::ffff:10.1.2.3").expect_err("inner");
        assert!(refusal.contains(r#""allowed_networks": ["10.1.2.3"]"#), "{refusal}");
        assert_eq!(
            dial(&open(r#"["10.1.2.3"]"#), Some("mail.example.com"), "::ffff:10.1.2.3"),
            Ok(())
        );
    }

    #[test]
    fn signing_in_in_clear_takes_a_word_of_the_account_and_a_loopback_address() {
        let json = |word| {
            format!(
                r#"{{"label": "a", "type": "smtp-auth-and-properties", "host": "localhost", "port": 2525, "username": "u",
                "password": "p", "starttls_enable": false, "allow_plaintext_auth": {word}}}"#
            )
        };
        let may = |word, address: &str| account(&json(word)).may_sign_in_clear(address.parse().expect("an address"));
        assert!(may(true, "127.0.0.1") && may(true, "::1") && may(true, "::ffff:127.0.0.1"));
        assert!(!may(true, "10.0.0.1") && !may(true, "142.250.27.108"));
        assert!(!may(false, "127.0.0.1"));
    }
}
