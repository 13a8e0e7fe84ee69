//! `pipepost:connector/log`.

use super::{StoreData, printable, violation};
use crate::contract::latest::log::{Host, Level};

impl Host for StoreData {
    async fn write(&mut self, level: Level, call: Option<u32>, message: String) -> wasmtime::Result<()> {
        let (lines_max, bytes_max) = (self.limits.log_lines, self.limits.log_line);
        let batch = self.batch()?;
        batch.log_lines += 1;
        if batch.log_lines > lines_max {
            return Err(violation(format!("it wrote more than {lines_max} lines of log")));
        }
        let message = printable(&message, bytes_max);
        let connector = &*batch.connector;
        match level {
            Level::Debug => tracing::debug!(connector, call, "{message}"),
            Level::Info => tracing::info!(connector, call, "{message}"),
            Level::Warn => tracing::warn!(connector, call, "{message}"),
            Level::Error => tracing::error!(connector, call, "{message}"),
        }
        Ok(())
    }
}
