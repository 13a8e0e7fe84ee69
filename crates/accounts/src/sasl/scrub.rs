//! Removes secrets from what a server said.
//!
//! A server that is hostile, or only verbose, repeats what it received: whole, cut short, broken over two lines, in
//! capitals, or in another encoding. So the search is not for whole secrets, but for every stretch of eight octets that
//! a text shares with one. It covers the text itself, and the text that results when each usual encoding is undone (see
//! [`views`]). The patterns do not depend on how many encodings there are, and no encoding of a secret has to be kept.
//!
//! A server that knows a secret and wants to pass it to a connector has ways that nobody can list: a cipher, a word for
//! each letter, the time between two replies. SECURITY.md says what is found and what is not.

mod views;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{OnceLock, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use self::views::{TextRun, View};

/// A shared stretch of this many octets is the secret's, not chance. A shorter secret is looked for whole.
const STRETCH_BYTES: usize = 8;

/// A secret shorter than this is hidden only where it is a word of its own: it would be found in every second reply.
const WORD_BYTES: usize = 4;

/// A server's words beyond this are dropped: no reply is that long, and the search takes time with its length.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// How many encodings are undone one after another.
const NESTED_MAX: usize = 2;

/// How many fingerprints are kept: about 20,000 passwords, or 150 access tokens of 2,000 octets.
const FINGERPRINTS_MAX: usize = 2_000_000;

/// The secrets to search for. It does not keep the secrets, but fingerprints of their stretches, keyed by a number of
/// this process.
///
/// Share one in a process, and insert each secret before its first octet leaves. When there are too many, the secret
/// that was inserted longest ago is removed first; inserting a secret again makes it new.
#[derive(Default)]
pub struct SecretPatterns {
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    /// How many secrets have each fingerprint.
    counts: HashMap<u64, u32>,
    /// One bit for each value of a cheap hash: most windows of a reply are turned away here.
    sieve: Vec<u64>,
    /// The lengths of short forms that there are: bit `n` for `n` octets.
    short_lengths: u8,
    /// By the fingerprint of the whole secret.
    entries: HashMap<u64, Entry>,
    /// The order in which they were inserted, with the turn by which an entry knows whether it was inserted again since.
    order: VecDeque<(u64, u64)>,
    turn: u64,
}

struct Entry {
    forms: Forms,
    turn: u64,
}

/// The fingerprints of one secret's forms.
#[derive(Clone, Default)]
struct Forms {
    long: Vec<u64>,
    /// With their length.
    short: Vec<(u8, u64)>,
}

impl Forms {
    /// `bytes` as they stand in a text, of which a part of at least [`STRETCH_BYTES`] gives it away.
    fn add(&mut self, bytes: &[u8]) {
        let folded = folded(bytes);
        match folded.len() {
            0 => {}
            length if length < STRETCH_BYTES => {
                self.short.push((length as u8, fingerprint(length, number(&folded))));
            }
            _ => {
                let stretches = folded.windows(STRETCH_BYTES);
                self.long
                    .extend(stretches.map(|stretch| fingerprint(STRETCH_BYTES, number(stretch))));
            }
        }
    }

    fn of_secret(secret: &[u8]) -> Self {
        let mut forms = Self::default();
        forms.add(secret);
        if secret.len() >= WORD_BYTES {
            let backwards: Zeroizing<Vec<u8>> = Zeroizing::new(secret.iter().rev().copied().collect());
            forms.add(&backwards);
        }
        if let Some(text) = std::str::from_utf8(secret).ok().filter(|text| !text.is_ascii()) {
            let units: Zeroizing<Vec<u16>> = Zeroizing::new(text.encode_utf16().collect());
            for to_bytes in [u16::to_be_bytes, u16::to_le_bytes] {
                let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(units.iter().flat_map(|unit| to_bytes(*unit)).collect());
                forms.add(&bytes);
            }
        }
        // Base64 is undone too, but not where somebody has changed the case of its letters. Inside a longer base64 the
        // secret looks different at each of three alignments; its first and last character may mix with a neighbour there,
        // and are left out.
        for before in 0..3 {
            let mut padded = Zeroizing::new(vec![0u8; before]);
            padded.extend_from_slice(secret);
            let text = Zeroizing::new(STANDARD_NO_PAD.encode(&padded).into_bytes());
            let start = [0, 2, 3][before];
            let end = text.len() - usize::from(padded.len() % 3 != 0);
            let form = text.get(start..end).unwrap_or_default();
            if form.len() >= WORD_BYTES {
                forms.add(form);
            }
        }
        forms
    }

    fn len(&self) -> usize {
        self.long.len() + self.short.len()
    }
}

impl Index {
    fn insert(&mut self, id: u64, forms: &Forms) {
        self.turn += 1;
        self.order.push_back((id, self.turn));
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.turn = self.turn;
            self.tidy();
            return;
        }
        if self.sieve.is_empty() {
            self.sieve = vec![0; SIEVE_WORDS];
        }
        for fingerprint in forms
            .long
            .iter()
            .chain(forms.short.iter().map(|(_, fingerprint)| fingerprint))
        {
            *self.counts.entry(*fingerprint).or_default() += 1;
            let (word, bit) = place(*fingerprint);
            self.sieve[word] |= bit;
        }
        for (length, _) in &forms.short {
            self.short_lengths |= 1 << length;
        }
        let forms = forms.clone();
        self.entries.insert(id, Entry { forms, turn: self.turn });
        while self.counts.len() > FINGERPRINTS_MAX && self.entries.len() > 1 {
            self.forget_oldest();
        }
        self.tidy();
    }

    fn forget_oldest(&mut self) {
        let Some((id, turn)) = self.order.pop_front() else {
            return;
        };
        if self.entries.get(&id).is_none_or(|entry| entry.turn != turn) {
            return;
        }
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let short = entry.forms.short.iter().map(|(_, fingerprint)| fingerprint);
        for fingerprint in entry.forms.long.iter().chain(short) {
            if let Some(count) = self.counts.get_mut(fingerprint) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(fingerprint);
                }
            }
        }
    }

    /// Drops the turns that were overtaken, once they are the most.
    fn tidy(&mut self) {
        if self.order.len() > 64 + 2 * self.entries.len() {
            let entries = &self.entries;
            self.order
                .retain(|(id, turn)| entries.get(id).is_some_and(|entry| entry.turn == *turn));
        }
    }

    fn holds(&self, length: usize, number: u64) -> bool {
        let fingerprint = fingerprint(length, number);
        let (word, bit) = place(fingerprint);
        self.sieve[word] & bit != 0 && self.counts.contains_key(&fingerprint)
    }

    /// Calls `each` with the length of every stretch of a secret that ends at the last of `seen` octets, of which `window`
    /// holds the last eight, folded.
    fn each_stretch(&self, seen: usize, window: u64, mut each: impl FnMut(usize)) {
        if seen >= STRETCH_BYTES && self.holds(STRETCH_BYTES, window) {
            each(STRETCH_BYTES);
        }
        let mut lengths = self.short_lengths;
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            let masked = window & ((1 << (8 * length)) - 1);
            if seen >= length && self.holds(length, masked) {
                each(length);
            }
        }
    }

    /// Marks what a view shares with a secret, and looks into the views of the view.
    fn search(&self, view: &View<'_>, nested: usize, hidden: &mut [bool]) {
        let bytes = view.bytes();
        let mut window = 0u64;
        for (at, byte) in bytes.iter().enumerate() {
            window = window << 8 | u64::from(fold(*byte));
            let seen = at + 1;
            self.each_stretch(seen, window, |length| {
                // A secret of one to three octets is in every second text by chance, once an encoding is undone.
                let is_own_word = || nested == 0 && is_word(bytes, seen - length, seen);
                if length >= WORD_BYTES || is_own_word() {
                    view.mark(seen - length, at, hidden);
                }
            });
        }
        if nested < NESTED_MAX && (nested == 0 || view.may_hold_text()) {
            let is_last = nested + 1 == NESTED_MAX;
            view.each_inner(
                |octets| self.is_worth_a_view(octets, is_last),
                |inner| self.search(&inner, nested + 1, hidden),
            );
        }
    }

    /// Returns whether the search in a view of these octets can find anything: a stretch of a secret, or text with another
    /// encoding in it, unless none is looked for there. It keeps none of them.
    fn is_worth_a_view(&self, octets: &mut dyn Iterator<Item = u8>, is_last: bool) -> bool {
        let mut window = 0u64;
        let mut text = TextRun::default();
        octets.enumerate().any(|(at, octet)| {
            window = window << 8 | u64::from(fold(octet));
            let mut is_found = !is_last && text.is_text_with(octet);
            self.each_stretch(at + 1, window, |_| is_found = true);
            is_found
        })
    }
}

impl SecretPatterns {
    /// Makes an empty set, which searches for nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret to search for from now on.
    pub fn insert(&self, secret: &[u8]) {
        if !secret.is_empty() {
            self.insert_forms(id_of(&("secret", secret)), &Forms::of_secret(secret));
        }
    }

    /// Looks for these octets as they are, and for parts of them: what goes over the wire.
    pub(crate) fn insert_as_is(&self, bytes: &[u8]) {
        let mut forms = Forms::default();
        forms.add(bytes);
        if forms.len() > 0 {
            self.insert_forms(id_of(&("as it is", bytes)), &forms);
        }
    }

    /// Adds everything that `other` searches for.
    pub fn insert_all(&self, other: &Self) {
        let other = other.index.read().unwrap_or_else(PoisonError::into_inner);
        for (id, entry) in &other.entries {
            self.insert_forms(*id, &entry.forms);
        }
    }

    fn insert_forms(&self, id: u64, forms: &Forms) {
        self.index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, forms);
    }

    /// Returns `text` without the secrets: each stretch that belongs to one becomes `***`. The codes at the start of a
    /// reply's lines stay. A text longer than 64 KiB is cut.
    pub fn scrub(&self, text: &[u8]) -> Vec<u8> {
        self.scrub_within(&[], text, text.len())
    }

    /// Returns the first `count` octets of `text` without the secrets, where `before` is the text that came before it.
    /// A secret that begins in `before`, or that ends after `count`, is also found.
    pub fn scrub_within(&self, before: &[u8], text: &[u8], count: usize) -> Vec<u8> {
        let text = &text[..text.len().min(REPLY_BYTES_MAX)];
        let count = count.min(text.len());
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        if index.entries.is_empty() {
            return text[..count].to_vec();
        }
        let joined;
        let all = if before.is_empty() {
            text
        } else {
            joined = [before, text].concat();
            &joined[..]
        };
        let mut hidden = vec![false; all.len()];
        index.search(&View::plain(all), 0, &mut hidden);
        drop(index);
        shown(all, before.len(), before.len() + count, &hidden)
    }
}

impl fmt::Debug for SecretPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPatterns")
    }
}

/// What is not hidden of `all[from..to]`.
fn shown(all: &[u8], from: usize, to: usize, hidden: &[bool]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(to - from);
    let mut in_line = if from == 0 { 0 } else { column(&all[..from]) };
    let mut only_digits = all[from - in_line.min(from)..from].iter().all(u8::is_ascii_digit);
    let mut was_hidden = false;
    for at in from..to {
        let byte = all[at];
        only_digits &= byte.is_ascii_digit();
        // The three digits with which a line of a reply begins are the code.
        let is_code = in_line < 3 && only_digits;
        let hide = hidden[at] && !is_code;
        if !hide {
            shown.push(byte);
        } else if !was_hidden {
            shown.extend_from_slice(b"***");
        }
        was_hidden = hide;
        in_line += 1;
        if byte == b'\n' {
            in_line = 0;
            only_digits = true;
        }
    }
    shown
}

/// How far into its line the end of `before` is; a line whose beginning is not there counts as long.
fn column(before: &[u8]) -> usize {
    match before.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => before.len() - end - 1,
        None => before.len().max(3),
    }
}

fn is_word(bytes: &[u8], from: usize, to: usize) -> bool {
    let is_apart = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    is_apart(from.checked_sub(1).and_then(|before| bytes.get(before))) && is_apart(bytes.get(to))
}

/// A stretch as one number, which compares in one go.
fn number(stretch: &[u8]) -> u64 {
    stretch.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The key of this process.
fn key() -> &'static (RandomState, u64, u64) {
    static KEY: OnceLock<(RandomState, u64, u64)> = OnceLock::new();
    KEY.get_or_init(|| {
        let state = RandomState::new();
        let (first, second) = (state.hash_one(1u8), state.hash_one(2u8) | 1);
        (state, first, second)
    })
}

/// One number for a stretch: a bijection of 64 bits under the key, so that no two stretches of one length share it.
fn fingerprint(length: usize, number: u64) -> u64 {
    let (_, first, second) = key();
    let mut mixed = number ^ first.rotate_left(length as u32);
    for _ in 0..2 {
        mixed = mixed.wrapping_mul(*second);
        mixed ^= mixed >> 32;
    }
    mixed
}

fn id_of(secret: &impl Hash) -> u64 {
    key().0.hash_one(secret)
}

const SIEVE_WORDS: usize = 4096;

fn place(fingerprint: u64) -> (usize, u64) {
    let bit = fingerprint as usize % (SIEVE_WORDS * 64);
    (bit / 64, 1 << (bit % 64))
}

/// How octets are compared: lower case, base64 in its one alphabet, and a space as forms write it.
fn fold(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'-' | b' ' => b'+',
        b'_' => b'/',
        other => other,
    }
}

fn folded(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().map(|byte| fold(*byte)).collect())
}

#[cfg(test)]
mod tests;
