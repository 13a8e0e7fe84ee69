//! `pipepost:claims/ahead`.

use super::{StoreData, violation};
use crate::contract::latest::ahead::{Host, InDoubt, Part};

impl Host for StoreData {
    async fn room(&mut self) -> wasmtime::Result<u32> {
        let room = self.batch()?.room_ahead();
        Ok(u32::try_from(room).unwrap_or(u32::MAX))
    }

    async fn claim(&mut self, parts: Vec<Part>, in_doubt: Vec<InDoubt>) -> wasmtime::Result<()> {
        let batch = self.batch()?;
        let room = batch.room_ahead();
        let parts: Vec<(u32, u32)> = parts
            .into_iter()
            .take(room)
            .map(|part| (part.call, part.number))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        for InDoubt { call, output } in in_doubt {
            if parts.iter().any(|part| part.0 == call) {
                let output = batch.kept.keep_text(output).map_err(violation)?;
                let before = batch.tracker.in_doubt(call, output).map_err(violation)?;
                batch.kept.give_back(before);
            }
        }
        batch.tracker.claim_ahead(&parts).map_err(violation)
    }
}
