//! `wasi:random/random`.

use super::{StoreData, violation};
use crate::contract::latest::random::Host;

/// The most bytes of randomness that one call gives.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

impl Host for StoreData {
    async fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.batch()?;
        if len > RANDOM_BYTES_MAX {
            return Err(violation(format!("it wanted {len} bytes of randomness at once")));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        getrandom::fill(&mut bytes).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        Ok(bytes)
    }

    async fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.batch()?;
        getrandom::u64().map_err(|error| wasmtime::Error::msg(error.to_string()))
    }
}
