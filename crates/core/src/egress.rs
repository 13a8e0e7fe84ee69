//! The egress rule: which addresses may be dialled, for which hosts, in every way that an address can be written.
//!
//! A name is allowed first, by the account or the policy. Then every address that it resolves to is checked here. The
//! address that was checked is the one that is dialled, so that an answer that changes between two look-ups (DNS
//! rebinding) gains nothing. Everything that dials asks this module: SMTP, token endpoints, and what comes after them.
//!
//! The order of the checks, for the address itself and for each IPv4 address that it represents:
//!
//! 1. Link-local addresses, the metadata services of clouds, and addresses that do not belong to one machine are
//!    refused. It does not matter who named the host.
//! 2. A host that the operator named may lead to any other address.
//! 3. A host that only a step named may lead to public addresses, and into the inner networks that were opened for it.

mod gate;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub use self::gate::{AdmittedEndpoint, EgressDenied, EgressGate};

/// How far inside a network a host may lead; it depends on who named the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressRule {
    /// The operator named the host (in an account or a policy): it may lead to loopback and private addresses.
    Operator,
    /// Only a step named the host: it may lead to public addresses, and into these networks.
    Step(Vec<IpNet>),
}

/// The reason why an address is not dialled. `Display` continues the sentence "the address … is not dialled, because it
/// is".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenAddress {
    /// 169.254.0.0/16 and fe80::/10, where cloud machines find their credentials.
    #[error("link-local")]
    LinkLocal,
    /// The addresses at which clouds serve credentials outside the link-local range.
    #[error("a cloud's metadata service")]
    Metadata,
    /// Not a single machine: unspecified, multicast, broadcast, reserved.
    #[error("not the address of one machine")]
    NotUnicast,
    /// Loopback, private, or an address with another meaning in each network, and only a step named the host. Holds the
    /// address that a network would have to contain.
    #[error(
        "inside this machine's or a private network, which only an account or a policy may name (if that is meant, name the host in the account, or add \"{0}\" to the account's `allowed_networks` or the policy's `networks`)"
    )]
    Inner(IpAddr),
}

impl EgressRule {
    /// Checks one address.
    ///
    /// # Errors
    /// Returns the reason why the address may not be dialled.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let readings = Readings::of(address);
        // Where the length of a translation's prefix is not known, what only one reading finds is no reason to refuse a
        // mail server; credentials are.
        for reading in readings.possible.iter().copied().map(IpAddr::V4) {
            if let Err(reason @ (ForbiddenAddress::LinkLocal | ForbiddenAddress::Metadata)) =
                refuse_for_everybody(reading)
            {
                return Err(reason);
            }
        }
        for reading in &readings.certain {
            refuse_for_everybody(*reading)?;
        }
        let Self::Step(networks) = self else { return Ok(()) };
        for reading in readings.certain {
            if is_inner(reading) && !networks.iter().any(|network| network.contains(&reading)) {
                return Err(ForbiddenAddress::Inner(reading));
            }
        }
        Ok(())
    }
}

/// Checks whether an address belongs to this machine, so that no other machine sees what is sent to it in clear.
///
/// An IPv4-mapped address counts as its IPv4 address. Translated forms (NAT64, 6to4) do not: they leave the machine
/// first.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Checks whether a host, as a URL or an account names it, is this machine: a loopback address, or `localhost` (RFC
/// 6761, section 6.3). What the name resolves to is checked again when it is dialled.
pub fn is_loopback_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => is_loopback(address),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// What an address may mean.
struct Readings {
    /// The address itself, unless it is only a spelling of an IPv4 address; and the IPv4 address that it stands for.
    certain: Vec<IpAddr>,
    /// IPv4 addresses that it stands for in some networks.
    possible: Vec<Ipv4Addr>,
}

impl Readings {
    fn of(address: IpAddr) -> Self {
        let mut readings = Self {
            certain: Vec::with_capacity(2),
            possible: Vec::new(),
        };
        let IpAddr::V6(v6) = address else {
            readings.certain.push(address);
            return readings;
        };
        let octets = v6.octets();
        let v4 = |at: [usize; 4]| Ipv4Addr::from(at.map(|position| octets[position]));
        let embedded = |prefix: PrefixLength| v4(prefix.positions());
        let segments = v6.segments();
        // Spellings of an IPv4 address have no meaning of their own; the others are addresses too.
        let is_own_address = match segments {
            // ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2) and its translated form ::ffff:0:a.b.c.d (RFC 2765).
            [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => {
                readings.certain.push(embedded(PrefixLength::L96).into());
                false
            }
            // ::a.b.c.d (RFC 4291, section 2.5.5.1), except :: and ::1.
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => {
                readings.certain.push(embedded(PrefixLength::L96).into());
                false
            }
            // 64:ff9b::/96 (RFC 6052, section 2.1).
            [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
                readings.certain.push(embedded(PrefixLength::L96).into());
                false
            }
            // 64:ff9b:1::/48 (RFC 8215): a network cuts prefixes of any length of RFC 6052 out of it.
            [0x64, 0xff9b, 1, ..] => {
                readings
                    .certain
                    .push(embedded(PrefixLength::likely_local(&octets)).into());
                readings.possible.extend(PrefixLength::LOCAL.map(embedded));
                true
            }
            // 2002:aabb:ccdd::/48 (RFC 3056).
            [0x2002, ..] => {
                readings.certain.push(v4([2, 3, 4, 5]).into());
                true
            }
            // 2001::/32 (RFC 4380, section 4): the server's address, and the client's with every bit turned over.
            [0x2001, 0, ..] => {
                let client = v4([12, 13, 14, 15]).octets().map(|octet| !octet);
                readings.possible.extend([v4([4, 5, 6, 7]), Ipv4Addr::from(client)]);
                true
            }
            _ => true,
        };
        if is_own_address {
            readings.certain.push(address);
        }
        readings
    }
}

/// The lengths of a translation's prefix that decide where the IPv4 address is (RFC 6052, section 2.2).
#[derive(Debug, Clone, Copy)]
enum PrefixLength {
    L48,
    L56,
    L64,
    L96,
}

impl PrefixLength {
    /// Those that fit into 64:ff9b:1::/48.
    const LOCAL: [Self; 4] = [Self::L48, Self::L56, Self::L64, Self::L96];

    /// Returns where the four octets are. Octet 8 (bits 64 to 71) is skipped by all.
    fn positions(self) -> [usize; 4] {
        match self {
            Self::L48 => [6, 7, 9, 10],
            Self::L56 => [7, 9, 10, 11],
            Self::L64 => [9, 10, 11, 12],
            Self::L96 => [12, 13, 14, 15],
        }
    }

    /// Returns the length that an address in 64:ff9b:1::/48 most likely has: everything after the embedded address is
    /// zero.
    fn likely_local(octets: &[u8; 16]) -> Self {
        match octets.iter().rposition(|octet| *octet != 0) {
            Some(13..) => Self::L96,
            Some(12) => Self::L64,
            Some(11) => Self::L56,
            _ => Self::L48,
        }
    }
}

/// Refuses what no host may lead to.
fn refuse_for_everybody(address: IpAddr) -> Result<(), ForbiddenAddress> {
    match address {
        IpAddr::V4(v4) => {
            if v4.is_link_local() {
                return Err(ForbiddenAddress::LinkLocal);
            }
            if METADATA_V4.contains(&v4) {
                return Err(ForbiddenAddress::Metadata);
            }
            let first = v4.octets()[0];
            // "This network" (RFC 791), multicast (RFC 1112), reserved and broadcast (RFC 1112, RFC 919).
            if first == 0 || first >= 224 {
                return Err(ForbiddenAddress::NotUnicast);
            }
        }
        IpAddr::V6(v6) => {
            if v6.is_unicast_link_local() {
                return Err(ForbiddenAddress::LinkLocal);
            }
            if METADATA_V6.contains(&v6) {
                return Err(ForbiddenAddress::Metadata);
            }
            if v6.is_unspecified() || v6.is_multicast() {
                return Err(ForbiddenAddress::NotUnicast);
            }
        }
    }
    Ok(())
}

/// Where clouds serve credentials outside the link-local range: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The same over IPv6: Amazon's instances and containers, Google, Oracle, Scaleway.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Returns whether an address means something else in each network, or nothing at all.
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_documentation()
                // Shared address space (RFC 6598), benchmarks (RFC 2544), protocol assignments (RFC 6890).
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || (a == 192 && b == 0 && c == 0)
        }
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            // Only 2000::/3 is public (RFC 4291, section 2.4): unique local (RFC 4193), site-local and the local
            // translation prefix lie outside it.
            let is_global = segments[0] & 0xe000 == 0x2000;
            // 2001:db8::/32 (RFC 3849) and 3fff::/20 (RFC 9637).
            let is_documentation =
                (segments[0] == 0x2001 && segments[1] == 0xdb8) || (segments[0] == 0x3fff && segments[1] < 0x1000);
            // Teredo (RFC 4380) is gone from the public network.
            let is_teredo = segments[0] == 0x2001 && segments[1] == 0;
            !is_global || is_documentation || is_teredo
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, rule: &EgressRule) -> Result<(), ForbiddenAddress> {
        rule.check(address.parse().expect("an address"))
    }

    fn step(networks: &[&str]) -> EgressRule {
        let parse = |network: &&str| network.parse().expect("a network");
        EgressRule::Step(networks.iter().map(parse).collect())
    }

    const INNER: [&str; 30] = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.8",
        "fd12::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        // Documentation.
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.255",
        "2001:db8::1",
        "3fff:fff::1",
        // Teredo.
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        // The local translation prefix, whatever it stands for: 8.8.8.8, 10.0.0.1 with prefixes of /48, and of /96.
        "64:ff9b:1:808:8:800::",
        "64:ff9b:1:a00:0:100::",
        "64:ff9b:1::10.0.0.1",
        // Discarded, and segment identifiers.
        "100::1",
        "5f00::1",
    ];

    const LINK_LOCAL: [&str; 16] = [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::",
        "2002:a9fe:a9fe::1",
        // 64:ff9b:1::/48 with prefixes of /48, /56, /64 and /96, with and without a suffix behind the address.
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9fe:a9:fe00::1",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "64:ff9b:1:abcd::169.254.169.254",
        // Teredo of a client at 169.254.169.254.
        "2001:0:4136:e378:8000:63bf:5601:5601",
    ];

    const METADATA: [&str; 14] = [
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "::ffff:100.100.100.200",
        "::ffff:168.63.129.16",
        "::ffff:0:168.63.129.16",
        "64:ff9b::168.63.129.16",
        "64:ff9b:1:a83f:81:1000::",
        "2002:a83f:8110::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
    ];

    const NOT_UNICAST: [&str; 10] = [
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:0.0.0.0",
        "64:ff9b::224.0.0.1",
        "64:ff9b:1:e000:0:100::",
    ];

    const PUBLIC: [&str; 8] = [
        "142.250.1.108",
        "142.250.27.108",
        "8.8.8.8",
        "2a00:1450::6c",
        "2a00:1450:4025:c03::6c",
        "::ffff:142.250.27.108",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ];

    #[test]
    fn nobody_reaches_link_local_or_metadata_addresses_in_any_spelling() {
        let open = step(&["0.0.0.0/0", "::/0"]);
        for rule in [&EgressRule::Operator, &step(&[]), &open] {
            for address in LINK_LOCAL {
                assert_eq!(judge(address, rule), Err(ForbiddenAddress::LinkLocal), "{address}");
            }
            for address in METADATA {
                assert_eq!(judge(address, rule), Err(ForbiddenAddress::Metadata), "{address}");
            }
            for address in NOT_UNICAST {
                assert_eq!(judge(address, rule), Err(ForbiddenAddress::NotUnicast), "{address}");
            }
        }
    }

    #[test]
    fn only_the_operator_reaches_inner_networks() {
        for address in INNER {
            assert_eq!(judge(address, &EgressRule::Operator), Ok(()), "{address}");
            let refused = judge(address, &step(&[]));
            assert!(
                matches!(refused, Err(ForbiddenAddress::Inner(_))),
                "{address}: {refused:?}"
            );
        }
        for address in PUBLIC {
            assert_eq!(judge(address, &EgressRule::Operator), Ok(()), "{address}");
            assert_eq!(judge(address, &step(&[])), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_named_network_opens_itself_alone() {
        let some = step(&["10.1.0.0/16", "127.0.0.1/32", "169.254.0.0/16"]);
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("::ffff:10.1.2.3", true),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(judge(address, &some).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn both_halves_of_a_local_translation_have_to_be_opened() {
        let address = "64:ff9b:1:a01:2:300::";
        let both = step(&["10.1.0.0/16", "64:ff9b:1::/48"]);
        assert_eq!(judge(address, &both), Ok(()));
        for one in ["10.1.0.0/16", "64:ff9b:1::/48"] {
            assert!(judge(address, &step(&[one])).is_err(), "{one}");
        }
    }

    #[test]
    fn the_refusal_names_a_line_that_helps() {
        let refused = judge("::ffff:10.1.2.3", &step(&[])).unwrap_err();
        assert!(refused.to_string().contains("add \"10.1.2.3\""), "{refused}");
        assert_eq!(judge("::ffff:10.1.2.3", &step(&["10.1.2.3/32"])), Ok(()));
    }

    #[test]
    fn loopback_is_this_machine_in_each_spelling_and_nothing_else() {
        for (address, own) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::127.0.0.1", false),
            ("2002:7f00:1::", false),
            ("10.0.0.1", false),
            ("142.250.27.108", false),
            ("::", false),
        ] {
            assert_eq!(is_loopback(address.parse().expect("an address")), own, "{address}");
            assert_eq!(is_loopback_host(address), own, "{address}");
        }
        for (host, own) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_host(host), own, "{host}");
        }
    }
}
