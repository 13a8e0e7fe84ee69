//! Takes a secret out of what a server said.
//!
//! A server that is hostile, or merely talkative, repeats what it was sent: whole, cut short, broken over two lines, in
//! capitals. So it is not whole needles that are looked for, but every stretch that a reply shares with one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// A shared stretch this long is the secret's, not chance. A shorter secret is looked for whole.
const SHORTEST: usize = 8;
/// A server's words beyond this are dropped: no reply is that long, and the search takes time with its length.
const MAX_REPLY: usize = 64 * 1024;

/// The forms of one secret, as they are compared: lower case, and base64 in its one alphabet.
pub(crate) struct SecretPatterns {
    /// Every stretch of [`SHORTEST`] octets of the long forms, in order, so that a reply is looked through once.
    stretches: Zeroizing<Vec<u64>>,
    /// The forms that are shorter than that.
    short: Vec<Zeroizing<Vec<u8>>>,
}

impl SecretPatterns {
    /// `responses` are what goes over the wire, in base64. What they say beside the secret (user name, host) is none, and
    /// stays where a server repeats it as words: what it means may hang on them.
    pub(crate) fn new(secret: &[u8], responses: &[Zeroizing<Vec<u8>>]) -> Self {
        let mut needles = vec![folded(secret)];
        needles.extend(responses.iter().map(|response| folded(response)));

        // Inside a longer base64 the secret looks different at each of three alignments; its first and last character
        // may mix with a neighbour there, and are left out.
        for before in 0..3 {
            let mut padded = Zeroizing::new(vec![0u8; before]);
            padded.extend_from_slice(secret);
            let text = Zeroizing::new(STANDARD_NO_PAD.encode(&padded).into_bytes());
            let start = [0, 2, 3][before];
            let end = text.len() - usize::from(padded.len() % 3 != 0);
            needles.push(folded(text.get(start..end).unwrap_or_default()));
        }
        let (long, mut short): (Vec<_>, Vec<_>) = needles.into_iter().partition(|needle| needle.len() >= SHORTEST);
        short.retain(|needle| !needle.is_empty());
        // The room is made at once: growing would leave copies behind.
        let mut stretches = Zeroizing::new(Vec::with_capacity(long.iter().map(|needle| needle.len()).sum()));
        for needle in &long {
            stretches.extend(needle.windows(SHORTEST).map(number));
        }
        stretches.sort_unstable();
        Self { stretches, short }
    }

    pub(crate) fn scrub(&self, reply: &[u8]) -> Vec<u8> {
        let reply = &reply[..reply.len().min(MAX_REPLY)];
        let compared = folded(reply);
        let mut hidden = vec![false; reply.len()];
        for (at, window) in compared.windows(SHORTEST).enumerate() {
            if self.stretches.binary_search(&number(window)).is_ok() {
                hidden[at..at + SHORTEST].fill(true);
            }
        }
        for needle in &self.short {
            for (at, window) in compared.windows(needle.len()).enumerate() {
                if window == needle.as_slice() {
                    hidden[at..at + needle.len()].fill(true);
                }
            }
        }
        for (at, hide) in hidden.iter_mut().enumerate() {
            *hide &= !is_code(reply, at);
        }
        let mut shown = Vec::with_capacity(reply.len());
        for (at, byte) in reply.iter().enumerate() {
            if !hidden[at] {
                shown.push(*byte);
            } else if at == 0 || !hidden[at - 1] {
                shown.extend_from_slice(b"***");
            }
        }
        shown
    }
}

/// A stretch as one number, which compares in one go.
fn number(stretch: &[u8]) -> u64 {
    stretch.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The three digits with which a line of a reply begins.
fn is_code(reply: &[u8], at: usize) -> bool {
    let start = reply[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    at - start < 3 && reply[start..=at].iter().all(u8::is_ascii_digit)
}

fn folded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let fold = |byte: &u8| match byte.to_ascii_lowercase() {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    Zeroizing::new(bytes.iter().map(fold).collect())
}
