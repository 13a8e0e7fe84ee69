//! Which addresses may be dialled.
//!
//! A name is allowed first, by the grant; then every address that it resolves to, here; and the address that was
//! checked is the one that is dialled, so that an answer that changes between two look-ups (DNS rebinding) gains nothing.
//! An IPv4 address is judged alike in all its spellings: IPv4-mapped and IPv4-compatible IPv6, NAT64 and 6to4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whose word the name is, and so how far inside a network it may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The operator wrote it (in an account or a policy): it may lead to loopback and private addresses.
    Operator,
    /// A step wrote it: to public addresses, and to these networks.
    Step(Vec<IpNet>),
}

/// Why an address is not dialled. `Display` continues the sentence "the address … is not dialled, because it is".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// 169.254.0.0/16 and fe80::/10, where cloud machines find their credentials.
    #[error("link-local")]
    LinkLocal,
    /// The addresses at which clouds serve credentials outside the link-local range.
    #[error("a cloud's metadata service")]
    Metadata,
    /// No single machine: unspecified, multicast, broadcast.
    #[error("not the address of one machine")]
    NotUnicast,
    /// Loopback or private, and only a step named the host.
    #[error("inside this machine's or a private network, which only an account may name")]
    Inner,
}

/// Judges one address.
///
/// # Errors
/// Why it may not be dialled.
pub fn check(address: IpAddr, reach: &Reach) -> Result<(), Forbidden> {
    for spelling in spellings(address) {
        check_plain(spelling, reach)?;
    }
    Ok(())
}

/// The address itself, and the IPv4 address that it stands for, if it does.
fn spellings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let embedded = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => embedded_v4(v6),
    };
    // A mapped address is its IPv4 address and has no meaning of its own.
    let own = match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        other => Some(other),
    };
    own.into_iter().chain(embedded.map(IpAddr::V4))
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) and its translated form ::ffff:0:a.b.c.d (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(from(high, low)),
        // ::a.b.c.d (RFC 4291, 2.5.5.1), less :: and ::1.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(from(high, low)),
        // 64:ff9b::a.b.c.d (RFC 6052) and 64:ff9b:1::/48 (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(from(high, low)),
        // 2002:aabb:ccdd::/48 (RFC 3056).
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

fn check_plain(address: IpAddr, reach: &Reach) -> Result<(), Forbidden> {
    match address {
        IpAddr::V4(v4) => {
            if v4.is_link_local() {
                return Err(Forbidden::LinkLocal);
            }
            if v4.octets() == [100, 100, 100, 200] || v4.octets() == [192, 0, 0, 192] {
                return Err(Forbidden::Metadata);
            }
            if v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] >= 240 {
                return Err(Forbidden::NotUnicast);
            }
        }
        IpAddr::V6(v6) => {
            if v6.is_unicast_link_local() {
                return Err(Forbidden::LinkLocal);
            }
            if v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || v6 == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
            {
                return Err(Forbidden::Metadata);
            }
            if v6.is_unspecified() || v6.is_multicast() {
                return Err(Forbidden::NotUnicast);
            }
        }
    }
    match reach {
        Reach::Operator => Ok(()),
        Reach::Step(networks) if !is_inner(address) || networks.iter().any(|network| network.contains(&address)) => {
            Ok(())
        }
        Reach::Step(_) => Err(Forbidden::Inner),
    }
}

fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                // Shared address space (RFC 6598), benchmarks (RFC 2544), protocol assignments (RFC 6890).
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || (a == 192 && b == 0 && v4.octets()[2] == 0)
        }
        // Unique local (RFC 4193) and the site-local range that preceded it.
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || (v6.segments()[0] & 0xffc0) == 0xfec0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, reach: &Reach) -> Result<(), Forbidden> {
        check(address.parse().expect("an address"), reach)
    }

    #[test]
    fn nobody_reaches_link_local_or_metadata_addresses_in_any_spelling() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::1",
        ] {
            assert_eq!(judge(address, &Reach::Operator), Err(Forbidden::LinkLocal), "{address}");
        }
        for address in ["fd00:ec2::254", "100.100.100.200", "::ffff:100.100.100.200"] {
            assert_eq!(judge(address, &Reach::Operator), Err(Forbidden::Metadata), "{address}");
        }
        for address in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(
                judge(address, &Reach::Operator),
                Err(Forbidden::NotUnicast),
                "{address}"
            );
        }
    }

    #[test]
    fn only_the_operator_reaches_inner_networks() {
        let step = Reach::Step(vec![]);
        for address in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "192.168.0.1",
            "::ffff:10.0.0.1",
            "fd12::1",
            "100.64.0.1",
        ] {
            assert_eq!(judge(address, &Reach::Operator), Ok(()), "{address}");
            assert_eq!(judge(address, &step), Err(Forbidden::Inner), "{address}");
        }
        assert_eq!(judge("142.250.1.108", &step), Ok(()));
        assert_eq!(judge("2a00:1450::6c", &step), Ok(()));
    }

    #[test]
    fn a_named_network_opens_itself_alone() {
        let step = Reach::Step(vec!["10.1.0.0/16".parse().expect("a network")]);
        assert_eq!(judge("10.1.2.3", &step), Ok(()));
        assert_eq!(judge("::ffff:10.1.2.3", &step), Ok(()));
        assert_eq!(judge("10.2.2.3", &step), Err(Forbidden::Inner));
    }
}
