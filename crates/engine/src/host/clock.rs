//! `wasi:clocks/wall-clock`.

use super::StoreData;
use crate::contract::latest::wall_clock::{Datetime, Host};

impl Host for StoreData {
    async fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.batch()?;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    async fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        self.batch()?;
        Ok(Datetime {
            seconds: 0,
            nanoseconds: 1_000,
        })
    }
}
