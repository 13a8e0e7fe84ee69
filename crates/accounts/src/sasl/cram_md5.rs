//! CRAM-MD5 (RFC 2195): a keyed digest of the server's challenge, in the place of the password.

use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// The octets of one block of MD5 (RFC 2104, section 2).
const BLOCK_BYTES: usize = 64;

/// Returns the digest of `challenge` under `password`, as the hexadecimal digits that go over the wire.
pub(super) fn digest(password: &[u8], challenge: &[u8]) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(32));
    for byte in hmac(password, challenge) {
        for digit in [byte >> 4, byte & 15] {
            digits.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    digits
}

/// HMAC-MD5 (RFC 2104). No library of this workspace has it: MD5 is used for nothing else.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    if key.len() > BLOCK_BYTES {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| Zeroizing::new(block.map(|byte| byte ^ pad));
    let inner = Md5::new().chain_update(*padded(0x36)).chain_update(message).finalize();
    Md5::new()
        .chain_update(*padded(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 2195, section 2.
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(
            *digest(b"tanstaaftanstaaf", challenge),
            "b913a602c7eda7a495b4e6e7334d3890"
        );
        // RFC 2202, section 2, cases 1 and 6: a key of one block at most, and a longer one.
        assert_eq!(*digest(&[0x0b; 16], b"Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(*digest(&[0xaa; 80], long), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }
}
