//! `pipepost:connector/log`.

use super::{StoreData, printable, violation};
use crate::contract::latest::log::{Host, Level};
use crate::instance::LineLevel;

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
        if let Some(log) = &batch.log {
            let level = match level {
                Level::Debug => LineLevel::Debug,
                Level::Info => LineLevel::Info,
                Level::Warn => LineLevel::Warn,
                Level::Error => LineLevel::Error,
            };
            log(level, &message);
        }
        match level {
            Level::Debug => tracing::debug!(connector, call, "{message}"),
            Level::Info => tracing::info!(connector, call, "{message}"),
            Level::Warn => tracing::warn!(connector, call, "{message}"),
            Level::Error => tracing::error!(connector, call, "{message}"),
        }
        Ok(())
    }
}
