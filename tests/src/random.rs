//! Numbers that spread kills and faults, from a seed that a test shows.

use std::time::{SystemTime, UNIX_EPOCH};

/// Marsaglia's xorshift.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// One from this seed, which is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// A number from `first` to `last`.
    ///
    /// # Panics
    /// When it is not a small one.
    pub fn between(&mut self, first: u64, last: u64) -> i64 {
        i64::try_from(first + self.below(last - first + 1)).expect("a small number")
    }
}

/// `PIPEPOST_SEED`, else another one each time.
pub fn seed() -> u64 {
    let named = std::env::var("PIPEPOST_SEED").ok().and_then(|seed| seed.parse().ok());
    named.unwrap_or_else(any_seed).max(1)
}

/// Another one each time, and in each process.
pub(crate) fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
}
